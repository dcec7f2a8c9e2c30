"""A timeline as files for other programmes, how they are used there, and the proof of them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from clora_core.answers import Exported
from clora_core.concepts import SamplingConfig, Timeline
from clora_core.disk import write_text
from clora_core.errors import ModelError, SettingsError
from clora_core.export.loras import Loras
from clora_core.export.merged import Merged
from clora_core.export.peft_keys import PeftLoras
from clora_core.export.prove import STEPS, Picture, live_picture
from clora_core.models.backbone import Backbone
from clora_core.models.description import BaseModel
from clora_core.models.loading import load_backbone
from clora_core.models.pipeline import PipelineBackbone

TOLERANCE = {"fp32": 1e-3, "fp16": 1e-2}  # of the range of a pixel; fp16 has rounded the weights


PHASES = (
    "loading the model",
    "drawing as it is here",
    "writing the files",
    "loading the model afresh",
    "drawing from the files",
)
OnPhase = Callable[[int, int, str], None]


class Files(Protocol):
    """One kind of files. Made of the model as it stands here, which it may keep until `write` has ended.

    prompts: what is drawn to prove them.  lost: share of the weights' norm that a lower rank has cost, once they are
    written.
    """

    prompts: tuple[str, ...]
    lost: float

    def write(self, place: Path) -> None:
        """Write them into the empty folder `place`. Raises OSError."""

    def model(self, place: Path) -> str:
        """What is loaded for the proof, as `load_backbone` takes it."""

    def draw(self, fresh: PipelineBackbone, settings: SamplingConfig) -> dict[str, Picture]:
        """Each of `prompts` drawn from the files, with that model."""

    def usage(self, difference: float, proved: bool) -> str:
        """README.txt. difference: of the pictures of the proof, of the range of a pixel."""


KINDS: Mapping[str, Callable[[PipelineBackbone, Timeline, BaseModel, str, int], Files]] = {
    "kohya": Loras,
    "peft": PeftLoras,
    "diffusers": Merged,
}


def export_timeline(
    timeline: Timeline,
    base: BaseModel,
    folder: Path,
    dtype: str = "fp32",
    device: str | None = None,
    on_phase: OnPhase | None = None,
    here: Backbone | None = None,
    kind: str = "kohya",
    rank: int = 0,
) -> Exported:
    """Write the model as of the end of `timeline` into `folder`, with README.txt.

    dtype: of the numbers, "fp32" or "fp16".  device: where the pictures of the proof are drawn.  on_phase: is
    called as each of PHASES begins with how many are done, how many there are, and which it is; what it raises ends it.
    here: the base model in fp32, where it stands in memory; else it is loaded. It is loaded again for the proof.
    kind: of the files, one of KINDS.  rank: what LoRAs are reduced to; 0 = nothing is lost. The folder is there when
    all is proved or measured, and not on an error.

    Raises SettingsError: nothing is learned, method or base model cannot be such files, or the folder holds something.
    ModelError: the base model is none of diffusers.
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
    files = KINDS[kind](backbone, timeline, base, dtype, rank)
    live = {prompt: live_picture(backbone, timeline, prompt, settings) for prompt in files.prompts}
    del backbone  # there may be no room for two, where nobody else has it
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder.parent) as made:
        begin(PHASES[2])
        place = Path(made) / "files"
        place.mkdir()
        files.write(place)
        begin(PHASES[3])
        fresh = _usable(base, load_backbone(files.model(place), device, "fp32"))
        begin(PHASES[4])
        again = files.draw(fresh, settings)
        difference = max(float(np.abs(live[prompt] - again[prompt]).max()) for prompt in live)
        proved = difference <= TOLERANCE[dtype]
        write_text(place / "README.txt", files.usage(difference, proved))
        names = sorted(path.relative_to(place) for path in place.rglob("*") if path.is_file())
        if folder.exists():
            folder.rmdir()
        place.rename(folder)
    files_made = tuple(folder / name for name in names)
    return Exported(folder, files_made, difference, TOLERANCE[dtype], proved, lost=files.lost)


def _usable(base: BaseModel, backbone: Backbone) -> PipelineBackbone:
    if not isinstance(backbone, PipelineBackbone):
        raise ModelError(f"{base.name} is no model of diffusers, and only those can be exported.")
    return backbone
