"""A fresh low-rank pair for each concept on top of the folded earlier ones: C-LoRA without Eq. 3."""

from __future__ import annotations

from clora_core.methods.base import LowRankMethod


class Stacked(LowRankMethod):
    """The plain hooks, under their own name."""
