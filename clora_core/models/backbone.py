"""What learning and drawing ask of a base model, whatever it is made of.

A family of models (Stable Diffusion 1.x and 2.x, SDXL, a DiT) is one file in this room that has these members; no
other room knows U-Nets, transformers, tokenizers or text encoders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from diffusers import DDPMScheduler
from PIL import Image
from torch import Tensor, nn

from clora_core.errors import SettingsError
from clora_core.models.installation import Installation
from clora_core.models.tokens import TokenTable
from clora_core.settings.drawing import SamplingConfig


@dataclass(frozen=True, eq=False)
class Conditioning:
    """What the denoiser is told of B prompts, each read as S positions.

    text: (B, S, d) encodings, or (B, L, S, d) where each of L cross-attention layers reads its own.
    mask: (B, S) bool, where a prompt has text; padding comes after it.
    positions: (B, S) bool for every installed token that a prompt holds: where it stands.
    pooled: (B, p), one vector a prompt.  sizes: (B, 6), pixels of the picture, its crop and the canvas (SDXL's time
    ids); None = the whole picture at the size of its latents. A family reads what its denoiser does.
    """

    text: Tensor
    mask: Tensor
    positions: Mapping[str, Tensor] = field(default_factory=dict)
    pooled: Tensor | None = None
    sizes: Tensor | None = None


class Backbone(Protocol):
    """A base model, frozen, on its device; `models.loading.load_backbone` makes one.

    denoiser: what is learned on and predicts the noise.  matrices: what a method may adapt, by module name in the
    denoiser, in its own order (W^K and W^V of the cross-attention).  queries, outputs: W^Q and W^O of the same layers,
    likewise; {} where there is none.  tables: the words of each text encoder by name; {} where nothing is read.
    installation: which concepts it holds now.  noise_scheduler: the noise it was trained on.  device, dtype: of the
    denoiser's weights.  size_grid: width and height of a picture are multiples of it, in pixels.
    """

    denoiser: nn.Module
    matrices: Mapping[str, nn.Linear]
    queries: Mapping[str, nn.Linear]
    outputs: Mapping[str, nn.Linear]
    tables: Mapping[str, TokenTable]
    installation: Installation
    noise_scheduler: DDPMScheduler
    device: torch.device
    dtype: torch.dtype
    size_grid: int

    @property
    def sampler(self) -> str:
        """What it draws with where `settings.sampler` names no other, as people call it, e.g. "DPM++ 2M Karras"."""

    def encode(self, prompts: Sequence[str]) -> Conditioning:
        """What the text encoders make of B prompts; gradients reach the tokens that are being trained."""

    def attended(self, conditioning: Conditioning) -> Tensor:
        """What keys and values are made of, (B, S, D2): the text as the denoiser's cross-attention reads it."""

    def predict(self, x_t: Tensor, t: Tensor, conditioning: Conditioning) -> Tensor:
        """The denoiser's prediction (B, C, h, w) from noisy latents (B, C, h, w) at timesteps (B,)."""

    def to_latents(self, pictures: Sequence[Image.Image]) -> Tensor:
        """Latents (N, C, h, w), fp32, of N RGB pictures of one size, scaled as the denoiser knows them."""

    def from_latents(self, latents: Tensor) -> list[Image.Image]:
        """The N pictures that latents (N, C, h, w) stand for."""

    def keep_activations(self, kept: bool) -> None:
        """Whether the denoiser keeps what the backward pass needs, as it does at first, or computes it again there
        (gradient checkpointing)."""

    def picture_bytes(self, side: int) -> int:
        """About what one picture of this side, in pixels, takes while it is made latents of, or made from them."""

    def draw(
        self,
        conditioning: Conditioning,
        negative: Conditioning,
        settings: SamplingConfig,
        generators: Sequence[torch.Generator],
        on_step: Callable[[int], None],
    ) -> list[Image.Image]:
        """One picture for each prompt of `conditioning`, from noise of its own generator, kept away from `negative`.

        settings: sampler, steps, guidance and size.  on_step: called after each denoising step with the number of steps
        done; what it raises ends the drawing.
        """


def check_size(backbone: Backbone, **sides: int) -> None:
    """Raise SettingsError when a side in pixels, by its name, does not fit the model's grid."""
    for name, side in sides.items():
        if side % backbone.size_grid:
            raise SettingsError(f"The {name} {side} does not fit this model: use a multiple of {backbone.size_grid}.")
