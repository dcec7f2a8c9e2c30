"""DreamBooth (Ruiz et al., CVPR 2023, arXiv 2208.12242), one concept after the other.

Trained: every weight of the denoiser and the new token's embedding, each concept from where the last one ended.
Its prior preservation is the settings' `prior_pictures`.
"""

from __future__ import annotations

import torch

from clora_core.concepts import Timeline
from clora_core.methods.custom_diffusion import CustomDiffusion
from clora_core.models.backbone import Backbone
from clora_core.models.dense import DenseWeights


class DreamBooth(CustomDiffusion):
    """As Custom Diffusion, but all of the denoiser."""

    def start_weights(self, backbone: Backbone, timeline: Timeline, generator: torch.Generator) -> DenseWeights:
        """The whole denoiser as the last concept left it."""
        return DenseWeights(backbone, [name for name, _ in backbone.denoiser.named_parameters()])
