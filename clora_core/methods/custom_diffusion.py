"""Custom Diffusion (Kumari et al., CVPR 2023, arXiv 2212.04488), one concept after the other.

Trained: the whole W^K and W^V of every cross-attention layer and the new token's embedding, each concept
from where the last one ended. No low rank, nothing protected. The fourth of the paper's four ingredients,
prior preservation, is the settings' `prior_pictures`.
"""

from __future__ import annotations

from typing import Any

import torch

from clora_core.concepts import Timeline
from clora_core.methods.base import Method
from clora_core.models.dense import DenseWeights, last_deltas
from clora_core.models.installation import Installation


class CustomDiffusion(Method):
    """Only the last concept's matrices count: they hold all before."""

    name = "custom_diffusion"
    continues = True
    weights: DenseWeights

    def start_weights(self, pipe: Any, timeline: Timeline, generator: torch.Generator) -> DenseWeights:
        """W^K and W^V as the last concept left them."""
        return DenseWeights(pipe, [f"{name}.weight" for name in Installation.of(pipe).matrices])

    @staticmethod
    def install(pipe: Any, timeline: Timeline, prompt: str, reserve: str | None = None) -> None:
        """What the last concept left."""
        Installation.of(pipe).install(pipe, timeline.concepts, reserve, timeline.concepts[-1:], last_deltas)
