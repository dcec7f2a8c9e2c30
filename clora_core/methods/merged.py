"""Separate LoRAs, each learned on the base model alone, and summed to draw:  W = W_init + sum_t A_t B_t."""

from __future__ import annotations

from clora_core.concepts import Timeline
from clora_core.methods.base import LowRankMethod
from clora_core.models.backbone import Backbone


class Merged(LowRankMethod):
    """Nothing of the past is in place while a concept is learned."""

    @staticmethod
    def install(backbone: Backbone, timeline: Timeline, prompt: str, reserve: str | None = None) -> None:
        """The sum of all; the base model while learning."""
        backbone.installation.install(timeline.concepts, reserve, () if reserve else timeline.concepts)
