"""The real page, served from this process, on the tiny model with a few made-up people."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image, ImageDraw

from app import arguments, launch_options
from clora_core.studio.studio import Studio
from demo.page import build_demo
from tiny.model import RESOLUTION

PEOPLE = {"Ida Rot": (196, 69, 32), "Bo Blau": (40, 90, 180), "Mia Gruen": (40, 140, 80)}
PRESET = {
    "name": "Tiny test model",
    "train": {"resolution": RESOLUTION, "rank": 2, "steps": 12, "preview_every_seconds": 1.0},
    "sampling": {"width": RESOLUTION, "height": RESOLUTION, "steps": 2, "guidance_scale": 3.0},
}


def make_people(folder: Path) -> None:
    """Four pictures for each of PEOPLE in ``folder``/base/people, as the app ships its sample people."""
    rng = np.random.default_rng(1)
    for name, colour in PEOPLE.items():
        person = folder / "base" / "people" / name.lower().replace(" ", "-")
        person.mkdir(parents=True)
        for number in range(4):
            picture = Image.new("RGB", (64, 64), tuple(int(c) for c in rng.integers(120, 255, 3)))
            draw = ImageDraw.Draw(picture)
            draw.ellipse((12, 8, 52, 58), fill=colour)
            draw.ellipse((22, 26, 28, 32), fill="white")
            draw.ellipse((36, 26, 42, 32), fill="white")
            picture.save(person / f"{number}.png")
        token = f"<{person.name}>"
        (person / "concept.json").write_text(json.dumps({"name": name, "token": token}), encoding="utf-8")


def open_studio(home: Path, model: Path, assets: Path, **train: Any) -> Studio:
    """A studio on a copy of the tiny model with PRESET; ``train`` changes single training settings."""
    preset = {**PRESET, "train": {**PRESET["train"], **train}}  # type: ignore[dict-item]
    folder = assets / "base"
    if not (folder / "model_index.json").exists():
        shutil.copytree(model, folder, dirs_exist_ok=True)
    (folder / "clora.json").write_text(json.dumps(preset), encoding="utf-8")
    return Studio.open(home, device="cpu", assets=assets)


@contextmanager
def served(
    studio: Studio, home: Path, assets: Path, may_remove: bool = True, flags: Sequence[str] = ()
) -> Iterator[str]:
    """The address of the page for ``studio``, while the block runs. flags: of app.py."""
    chosen = arguments(list(flags))
    demo = build_demo(studio, may_remove, chosen.mcp)
    options = launch_options(home, assets, chosen)
    try:
        yield _launched(demo, options)
    finally:
        demo.close()
        studio.close()


def _launched(demo: gr.Blocks, options: dict[str, Any], tries: int = 3) -> str:
    """The address of the page. On a busy machine Gradio gives up on itself: it waits 3 seconds for its own answer."""
    try:
        return demo.launch(**options, prevent_thread_lock=True, quiet=True)[1]
    except ValueError as error:
        if tries == 1 or "localhost" not in str(error):
            raise
        demo.close()
        return _launched(demo, options, tries - 1)
