"""Separate LoRAs, and only those whose token stands in the prompt are switched on.

The reference every continual method has to be held against: nothing can be forgotten, but two concepts in
one picture are a merge, and every concept's weights must be kept apart for ever.
"""

from __future__ import annotations

from clora_core.concepts import Timeline, tokens_in
from clora_core.methods.base import LowRankMethod
from clora_core.models.backbone import Backbone


class Routed(LowRankMethod):
    """The prompt decides."""

    @staticmethod
    def install(backbone: Backbone, timeline: Timeline, prompt: str, reserve: str | None = None) -> None:
        """The sum of those named in the prompt; the base model while learning."""
        named = set(tokens_in(prompt))
        folded = [concept for concept in timeline.concepts if concept.token in named]
        backbone.installation.install(timeline.concepts, reserve, () if reserve else folded)
