"""A timeline as LoRAs in kohya's spelling, and an embedding a token."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from clora_core.concepts import SamplingConfig, Timeline
from clora_core.errors import SettingsError
from clora_core.export.embeddings import save_embedding
from clora_core.export.kohya import family_of, lora_metadata, lora_tensors
from clora_core.export.parts import Part, no_loras, parts_of
from clora_core.export.prove import Picture, reloaded_pictures
from clora_core.export.reduced import reduced
from clora_core.export.usage import usage
from clora_core.models.description import BaseModel
from clora_core.models.pipeline import PipelineBackbone
from clora_core.models.precision import DTYPES
from clora_core.models.stable_diffusion import StableDiffusion


class Loras:
    """loras/ and embeddings/. See `export.Files`."""

    def __init__(
        self, backbone: PipelineBackbone, timeline: Timeline, base: BaseModel, dtype: str, rank: int = 0
    ) -> None:
        """rank: what every file is reduced to; 0 = as it is.

        Raises SettingsError: nothing is learned, the method is no sum of low-rank pairs, or nothing reads LoRAs into
        the base model.
        """
        if not isinstance(backbone, StableDiffusion):
            raise SettingsError(no_loras(base.name))
        self._timeline, self._base, self._dtype, self._rank = timeline, base, DTYPES[dtype], rank
        self.lost = 0.0
        self._family, self._parts = family_of(backbone), parts_of(backbone, timeline)
        self.prompts = tuple(part.prompt for part in self._parts)

    def write(self, place: Path) -> None:
        (place / "embeddings").mkdir()
        self._loras = {part.prompt: self._save(part, place) for part in self._parts}
        concepts, folder = self._timeline.concepts, place / "embeddings"
        self._embeddings = {concept.token: save_embedding(concept, self._family, folder) for concept in concepts}

    def _save(self, part: Part, place: Path) -> Path | None:
        """The part's file; None where it holds no pairs."""
        if not part.summed:
            return None
        tensors = lora_tensors(part.summed, self._family, torch.float32 if self._rank else self._dtype)
        if self._rank:
            tensors, lost = reduced(tensors, self._rank, self._dtype)
            self.lost = max(self.lost, lost)
        path = place / "loras" / f"{part.name}.safetensors"
        path.parent.mkdir(exist_ok=True)
        self._write(path, tensors, lora_metadata(part, self._timeline, self._base, self._family, tensors))
        return path

    def _write(self, path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
        path.write_bytes(save(tensors, metadata))

    def model(self, place: Path) -> str:
        return self._base.path

    def draw(self, fresh: PipelineBackbone, settings: SamplingConfig) -> dict[str, Picture]:
        return reloaded_pictures(fresh, self._loras, self._embeddings, settings)

    def usage(self, difference: float, proved: bool) -> str:
        return usage(self._timeline, self._base, self._family, self._parts, difference, proved, self.lost)
