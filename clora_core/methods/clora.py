"""C-LoRA (Smith et al., "Continual Diffusion", TMLR 2024, arXiv 2304.06027).

    W_t = W_init + P + A_t B_t,    P = sum_{t'<t} A_t' B_t'                          (Eq. 2)
    L   = L_diff + lambda L_forget,    L_forget = || |P| (.) A_t B_t ||_F^2          (Eq. 1, 3)

Trained: A_t, B_t of every cross-attention K and V, and the new token's embedding, random at the start.
The prompt has no word for the object. P is one dense buffer a matrix, so a step costs the same for the
second concept and the two-hundredth.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from clora_core.concepts import Concept, Timeline
from clora_core.methods.base import LowRankMethod
from clora_core.models.backbone import Backbone
from clora_core.settings.methods import CLoraOptions


class CLora(LowRankMethod):
    """Adds the forgetting loss to plain low-rank learning."""

    options: CLoraOptions

    def begin_concept(self, backbone: Backbone, concept: Concept, timeline: Timeline) -> list[nn.Parameter]:
        """Also takes P, which is what is installed: the past is folded in when learning begins (``install``)."""
        self.past = backbone.installation.deltas
        return super().begin_concept(backbone, concept, timeline)

    def penalty(self) -> Tensor:
        """lambda L_forget (Eq. 3); 0 for the first concept."""
        if not self.past:
            return super().penalty()
        pairs = ((self.past.get(f"{name}.weight"), a, b) for name, (a, b) in self.weights.pairs.items())
        used = ((past, a, b) for past, a, b in pairs if past is not None)  # the past may have adapted less
        return self.options.penalty_weight * forgetting_loss(used)


def forgetting_loss(layers: Iterable[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """Eq. 3, the self-regularisation that keeps the new concept off the weights the past has used:

        L_forget = || |P| (.) D ||_F^2 = sum P^2 (.) D^2,    P = sum_{t'<t} A_t' B_t',    D = A_t B_t

    summed over entries, over K and V and over layers; (.) is elementwise, so the sign of P is without
    effect. layers: one (P (D1, D2), A (D1, r), B (r, D2)) for each adapted matrix; returns a scalar, fp32.
    With no layers it is 0. Autocast is switched off: lambda is 1e8, and the squares are small.

    No D is kept for the gradient, which computes each anew: at one time there is one, and not all of a model's, which
    are 1.4 GB in SDXL.
    """
    total = torch.zeros(())
    for past, a, b in layers:
        overlap = checkpoint(_squared_overlap, past, a, b, use_reentrant=False, preserve_rng_state=False)
        total = total.to(past.device) + overlap
    return total


def _squared_overlap(past: Tensor, a: Tensor, b: Tensor) -> Tensor:
    with torch.autocast(past.device.type, enabled=False):
        overlap = (past * (a.float() @ b.float())).flatten()  # (D1 * D2,)
        return torch.dot(overlap, overlap)
