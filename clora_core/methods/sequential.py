"""One LoRA trained on and on: each concept goes on with the pairs that the last one left.

    W_t = W_init + A_t B_t,    A_t, B_t start where A_{t-1}, B_{t-1} ended

The plain baseline of continual learning, and the one that forgets.
"""

from __future__ import annotations

import torch

from clora_core.concepts import Timeline, TrainConfig
from clora_core.errors import SettingsError
from clora_core.methods.base import LowRankMethod
from clora_core.models.backbone import Backbone
from clora_core.models.low_rank import LowRankPairs
from clora_core.settings.methods import LowRankOptions


class Sequential(LowRankMethod):
    """Only the last concept's pairs count: they hold all before."""

    @classmethod
    def check(cls, config: TrainConfig, last: TrainConfig) -> None:
        """Raise SettingsError when the rank, or what is adapted, is another now."""
        now, before = config.options, last.options
        assert isinstance(now, LowRankOptions) and isinstance(before, LowRankOptions)
        if before.rank != now.rank:
            raise SettingsError(
                f"One LoRA is trained on and on here: it has rank {before.rank}, not {now.rank}. "
                f"Set the rank to {before.rank}, or start a new timeline."
            )
        if before.adapts != now.adapts:
            raise SettingsError(
                f"One LoRA is trained on and on here: it adapts {before.adapts}, not {now.adapts}. "
                f"Choose {before.adapts}, or start a new timeline."
            )

    def start_weights(self, backbone: Backbone, timeline: Timeline, generator: torch.Generator) -> LowRankPairs:
        """The last concept's pairs."""
        factors = timeline.concepts[-1].factors if timeline.concepts else None
        return LowRankPairs(self.adapted(backbone), self.options.rank, generator, factors)

    @staticmethod
    def install(backbone: Backbone, timeline: Timeline, prompt: str, reserve: str | None = None) -> None:
        """The last concept's pairs; none while learning, for the pairs that are trained hold them."""
        folded = () if reserve else timeline.concepts[-1:]
        backbone.installation.install(timeline.concepts, reserve, folded)
