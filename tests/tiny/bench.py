"""What the benchmarks' tests learn from: a model with a quick preset, and three made-up people."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

PRESET = {
    "name": "Tiny",
    "train": {"rank": 2, "steps": 3, "learning_rate": 0.01},
    "sampling": {"steps": 2},
}


def copy_quick_model(tiny_folder: Path, folder: Path) -> Path:
    """A copy of the tiny model with PRESET, in ``folder``, which it makes."""
    shutil.copytree(tiny_folder, folder)
    (folder / "clora.json").write_text(json.dumps(PRESET))
    return folder


def make_samples(assets: Path) -> Path:
    """Three pictures of each of three people below ``assets``, as the app ships its sample people."""
    rng = np.random.default_rng(3)
    for number, name in enumerate(("Ann", "Bob", "Cy")):
        sample = assets / "base/people" / f"{number}-{name.lower()}"
        sample.mkdir(parents=True)
        (sample / "concept.json").write_text(json.dumps({"name": name, "token": f"<{name.lower()}>"}))
        for i in range(3):
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(sample / f"{i}.png")
    return assets
