"""Elastic weight consolidation (Kirkpatrick et al., PNAS 2017, arXiv 1612.00796, Eq. 3) on K and V.

    L = L_diff + sum_{t'<t} lambda/2 sum_i F_t',i (theta_i - theta*_t',i)^2

theta: the whole W^K and W^V, as in Custom Diffusion, which the C-LoRA paper combines it with. F_t: the
diagonal of the Fisher information after concept t, the mean square of the gradient of Eq. 1 on single pictures with
fresh noise. The sum over t' is one quadratic, so a step costs the same however many concepts there are:

    sum_t' F_t' (theta - theta*_t')^2 = S (theta - m)^2 + C,    S = sum F,   m = sum F theta* / S,
                                        C = sum F theta*^2 - S m^2, without a gradient
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clora_core.concepts import Concept, Timeline
from clora_core.data.dataset import LatentDataset
from clora_core.methods.base import StepLoss
from clora_core.methods.custom_diffusion import CustomDiffusion
from clora_core.models.backbone import Backbone
from clora_core.settings.methods import PenaltyOptions

FISHER_DRAWS = 64
FISHER_SCALE = 1024.0  # of the gradient while it is computed: in fp16 small ones would become 0


class EWC(CustomDiffusion):
    """Custom Diffusion held back by what mattered to the earlier concepts."""

    options: PenaltyOptions

    def begin_concept(self, backbone: Backbone, concept: Concept, timeline: Timeline) -> list[nn.Parameter]:
        """Also sums the earlier Fisher diagonals to S, m and C, with theta counted from the base model."""
        parameters = super().begin_concept(backbone, concept, timeline)
        self._past: dict[str, tuple[Tensor, Tensor, Tensor]] = {}
        for name in self.weights.trained if timeline.concepts else ():
            fishers = torch.stack([earlier.memory[f"fisher.{name}"] for earlier in timeline.concepts])
            thetas = torch.stack([earlier.deltas[name] for earlier in timeline.concepts])  # (t-1, D1, D2)
            s = fishers.sum(0)
            m = (fishers * thetas).sum(0) / s.clamp(min=torch.finfo(s.dtype).tiny)
            c = (fishers * (thetas - m) ** 2).sum()
            device = self.weights.trained[name].device
            self._past[name] = s.to(device), m.to(device), c.to(device)
        return parameters

    def penalty(self) -> Tensor:
        """lambda/2 sum F (theta - theta*)^2; 0 for the first concept."""
        total = super().penalty()
        if self._past:
            for name, theta in self.weights.changes().items():
                s, m, c = self._past[name]
                total = total + (s * (theta - m) ** 2).sum() + c
        return self.options.penalty_weight / 2 * total

    def end_concept(self, backbone: Backbone, dataset: LatentDataset, step_loss: StepLoss) -> dict[str, Tensor]:
        """The Fisher diagonal of this concept, by parameter."""
        parameters = self.weights.parameters()
        fisher = [torch.zeros_like(parameter, requires_grad=False) for parameter in parameters]
        for draw in range(FISHER_DRAWS):
            with self.attached():
                loss = step_loss(self.config.steps + 1 + draw, 1)  # noise that was not trained on
                gradients = torch.autograd.grad(FISHER_SCALE * loss, parameters)
            for total, gradient in zip(fisher, gradients, strict=True):
                total += (gradient.float() / FISHER_SCALE) ** 2 / FISHER_DRAWS
        return {f"fisher.{name}": total.cpu() for name, total in zip(self.weights.trained, fisher, strict=True)}
