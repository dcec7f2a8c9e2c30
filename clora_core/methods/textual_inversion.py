"""Textual Inversion (Gal et al., ICLR 2023, arXiv 2208.01618): only the token's embedding is learned.

No weight changes, so nothing can be forgotten; how much one vector can hold is the limit.
"""

from __future__ import annotations

import torch

from clora_core.concepts import Timeline
from clora_core.methods.base import Method
from clora_core.models.backbone import Backbone
from clora_core.models.low_rank import LowRankPairs


class TextualInversion(Method):
    """Pairs on no matrix."""

    def start_weights(self, backbone: Backbone, timeline: Timeline, generator: torch.Generator) -> LowRankPairs:
        """None."""
        return LowRankPairs({}, 1, generator)

    @staticmethod
    def install(backbone: Backbone, timeline: Timeline, prompt: str, reserve: str | None = None) -> None:
        """The tokens alone."""
        backbone.installation.install(timeline.concepts, reserve, ())
