"""A timeline as LoRAs in peft's spelling, which diffusers itself saves, and an embedding a token."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers.utils import convert_unet_state_dict_to_peft
from safetensors.torch import save

from clora_core.concepts import Timeline
from clora_core.export.kohya import tensor_digest
from clora_core.export.loras import Loras
from clora_core.export.usage import diffusers_usage
from clora_core.models.description import BaseModel
from clora_core.models.pipeline import PipelineBackbone

KOHYAS = ("ss_", "sshs_")  # what only kohya's readers ask for


class PeftLoras(Loras):
    """loras/ and embeddings/, translated from kohya's spelling by diffusers. See `export.Files`."""

    def __init__(
        self, backbone: PipelineBackbone, timeline: Timeline, base: BaseModel, dtype: str, rank: int = 0
    ) -> None:
        """See `Loras`."""
        super().__init__(backbone, timeline, base, dtype, rank)
        self._pipeline, self._unet = type(backbone.pipe), backbone.pipe.unet.config

    def _write(self, path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        # alpha is the rank, so what diffusers says of it apart from the pairs is 1 and need not be kept
        found, _ = self._pipeline.lora_state_dict(dict(tensors), unet_config=self._unet)
        pairs = {name.removeprefix("unet."): tensor for name, tensor in found.items()}
        kept = {name: said for name, said in metadata.items() if not name.startswith(KOHYAS)}

        def save_file(layers: dict[str, torch.Tensor], place: str) -> None:
            digest = {"modelspec.hash_sha256": f"0x{tensor_digest(layers)}"}
            Path(place).write_bytes(save(layers, kept | digest))

        self._pipeline.save_lora_weights(
            path.parent,
            unet_lora_layers=convert_unet_state_dict_to_peft(pairs),
            weight_name=path.name,
            save_function=save_file,
        )

    def usage(self, difference: float, proved: bool) -> str:
        return diffusers_usage(self._timeline, self._base, self._family, self._parts, difference, proved, self.lost)
