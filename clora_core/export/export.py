"""A timeline as files for other programmes: LoRAs, embeddings, how to use them, and the proof of them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.torch import save

from clora_core.answers import Exported
from clora_core.concepts import Timeline
from clora_core.disk import write_text
from clora_core.errors import ModelError, SettingsError
from clora_core.export.embeddings import save_embedding
from clora_core.export.kohya import Family, family_of, lora_metadata, lora_tensors
from clora_core.export.parts import Part, parts_of
from clora_core.export.prove import STEPS, live_picture, reloaded_pictures
from clora_core.export.usage import usage
from clora_core.models.backbone import Backbone
from clora_core.models.description import BaseModel
from clora_core.models.loading import load_backbone
from clora_core.models.precision import DTYPES
from clora_core.models.stable_diffusion import StableDiffusion

TOLERANCE = {"fp32": 1e-3, "fp16": 1e-2}  # of the range of a pixel; fp16 has rounded the weights


PHASES = (
    "loading the model",
    "drawing as it is here",
    "writing the files",
    "loading the model again, without what was learned",
    "drawing from the files",
)
OnPhase = Callable[[int, int, str], None]


def export_timeline(
    timeline: Timeline,
    base: BaseModel,
    folder: Path,
    dtype: str = "fp32",
    device: str | None = None,
    on_phase: OnPhase | None = None,
    here: Backbone | None = None,
) -> Exported:
    """Write the model as of the end of `timeline` into `folder`: loras/, embeddings/ and README.txt.

    dtype: of the LoRA's numbers, "fp32" or "fp16".  device: where the pictures of the proof are drawn.  on_phase: is
    called as each of PHASES begins with how many are done, how many there are, and which it is; what it raises ends it.
    here: the base model in fp32, where it stands in memory; else it is loaded. It is loaded again for the proof.
    The folder is there when all is proved or measured, and not on an error.

    Raises SettingsError: nothing is learned, the method is no sum of low-rank pairs, or the folder holds something.
    ModelError: the base model is no Stable Diffusion 1.x, 2.x or XL.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingsError(f"There is something in {folder} already. Give a new folder.")

    def begin(phase: str) -> None:
        if on_phase:
            on_phase(PHASES.index(phase), len(PHASES), phase)

    begin(PHASES[0])
    settings = replace(base.sampling, steps=min(base.sampling.steps, STEPS), pictures=1)
    backbone = _usable(base, here or load_backbone(base.path, device, "fp32"))
    begin(PHASES[1])
    family, parts = family_of(backbone), parts_of(backbone, timeline)
    live = {part.prompt: live_picture(backbone, timeline, part.prompt, settings) for part in parts}
    del backbone  # there may be no room for two, where nobody else has it
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder.parent) as made:
        begin(PHASES[2])
        place = Path(made) / "files"
        (place / "embeddings").mkdir(parents=True)
        loras = {part.prompt: _save_lora(part, timeline, base, family, place, dtype) for part in parts}
        embeddings = {c.token: save_embedding(c, family, place / "embeddings") for c in timeline.concepts}
        begin(PHASES[3])
        fresh = _usable(base, load_backbone(base.path, device, "fp32"))
        begin(PHASES[4])
        again = reloaded_pictures(fresh, loras, embeddings, settings)
        difference = max(float(np.abs(live[prompt] - again[prompt]).max()) for prompt in live)
        proved = difference <= TOLERANCE[dtype]
        write_text(place / "README.txt", usage(timeline, base, family, parts, difference, proved))
        names = sorted(path.relative_to(place) for path in place.rglob("*") if path.is_file())
        if folder.exists():
            folder.rmdir()
        place.rename(folder)
    return Exported(folder, tuple(folder / name for name in names), difference, TOLERANCE[dtype], proved)


def _usable(base: BaseModel, backbone: Backbone) -> StableDiffusion:
    if not isinstance(backbone, StableDiffusion):
        raise ModelError(f"{base.name} is no Stable Diffusion 1.x, 2.x or XL, and only those can be exported so far.")
    return backbone


def _save_lora(part: Part, timeline: Timeline, base: BaseModel, family: Family, place: Path, dtype: str) -> Path | None:
    """The part's file; None where it holds no pairs."""
    if not part.summed:
        return None
    tensors = lora_tensors(part.summed, family, DTYPES[dtype])
    path = place / "loras" / f"{part.name}.safetensors"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(save(tensors, lora_metadata(part, timeline, base, family, tensors)))
    return path
