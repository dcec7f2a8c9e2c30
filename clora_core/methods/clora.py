"""C-LoRA (Smith et al., "Continual Diffusion", TMLR 2024, arXiv 2304.06027).

    W_t = W_init + P + A_t B_t,    P = sum_{t'<t} A_t' B_t'                          (Eq. 2)
    L   = L_diff + lambda L_forget,    L_forget = || |P| (.) A_t B_t ||_F^2          (Eq. 1, 3)

Trained: A_t, B_t of every cross-attention K and V, and the new token's embedding, random at the start.
The prompt has no word for the object. P is one dense buffer a matrix, so a step costs the same for the
second concept and the two-hundredth.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from clora_core.adapters import Installation, LowRankPairs
from clora_core.concepts import Concept, Timeline
from clora_core.losses import forgetting_loss
from clora_core.methods.base import Method


class CLora(Method):
    """Adds the forgetting loss to plain low-rank learning."""

    name = "clora"
    weights: LowRankPairs

    def begin_concept(self, pipe: Any, concept: Concept, timeline: Timeline) -> list[nn.Parameter]:
        """Also takes P, which is what is installed: the past is folded in when learning begins (``install``)."""
        self.past = Installation.of(pipe).deltas
        return super().begin_concept(pipe, concept, timeline)

    def penalty(self) -> Tensor:
        """lambda L_forget (Eq. 3); 0 for the first concept."""
        if not self.past:
            return super().penalty()
        layers = ((self.past[f"{name}.weight"], a, b) for name, (a, b) in self.weights.pairs.items())
        return self.config.penalty_weight * forgetting_loss(layers)
