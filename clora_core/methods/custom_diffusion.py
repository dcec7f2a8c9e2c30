"""Custom Diffusion (Kumari et al., CVPR 2023, arXiv 2212.04488), one concept after the other.

Trained: the whole W^K and W^V of every cross-attention layer and the new token's embedding, each concept
from where the last one ended. No low rank, nothing protected. The fourth of the paper's four ingredients,
prior preservation, is the settings' `prior_pictures`.
"""

from __future__ import annotations

import torch

from clora_core.concepts import Timeline
from clora_core.methods.base import Method
from clora_core.models.backbone import Backbone
from clora_core.models.dense import DenseWeights, last_deltas


class CustomDiffusion(Method):
    """Only the last concept's matrices count: they hold all before."""

    weights: DenseWeights

    def start_weights(self, backbone: Backbone, timeline: Timeline, generator: torch.Generator) -> DenseWeights:
        """W^K and W^V as the last concept left them."""
        return DenseWeights(backbone, [f"{name}.weight" for name in backbone.matrices])

    @staticmethod
    def install(backbone: Backbone, timeline: Timeline, prompt: str, reserve: str | None = None) -> None:
        """What the last concept left."""
        backbone.installation.install(timeline.concepts, reserve, timeline.concepts[-1:], last_deltas)
