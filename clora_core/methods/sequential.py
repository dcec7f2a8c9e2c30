"""One LoRA trained on and on: each concept goes on with the pairs that the last one left.

    W_t = W_init + A_t B_t,    A_t, B_t start where A_{t-1}, B_{t-1} ended

The plain baseline of continual learning, and the one that forgets.
"""

from __future__ import annotations

import torch

from clora_core.concepts import Timeline, TrainConfig
from clora_core.errors import SettingsError
from clora_core.methods.base import Method
from clora_core.models.backbone import Backbone
from clora_core.models.low_rank import LowRankPairs


class Sequential(Method):
    """Only the last concept's pairs count: they hold all before."""

    name = "sequential"
    continues = True

    @classmethod
    def check(cls, config: TrainConfig, last: TrainConfig) -> None:
        """Raise SettingsError when the rank is another now."""
        if last.rank != config.rank:
            raise SettingsError(
                f"One LoRA is trained on and on here: it has rank {last.rank}, not {config.rank}. "
                f"Set the rank to {last.rank}, or start a new timeline."
            )

    def start_weights(self, backbone: Backbone, timeline: Timeline, generator: torch.Generator) -> LowRankPairs:
        """The last concept's pairs."""
        factors = timeline.concepts[-1].factors if timeline.concepts else None
        return LowRankPairs(backbone.matrices, self.config.rank, generator, factors)

    @staticmethod
    def install(backbone: Backbone, timeline: Timeline, prompt: str, reserve: str | None = None) -> None:
        """The last concept's pairs; none while learning, for the pairs that are trained hold them."""
        folded = () if reserve else timeline.concepts[-1:]
        backbone.installation.install(timeline.concepts, reserve, folded)
