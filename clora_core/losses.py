"""The paper's two losses (C-LoRA, Smith et al., TMLR 2024, arXiv 2304.06027), in its letters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from clora_core.errors import ModelError


def diffusion_target(noise_scheduler: Any, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """What the U-Net is to predict at timestep t, by the scheduler's `prediction_type`:

        epsilon: noise    v_prediction: alpha_t noise - sigma_t x0    sample: x0

    x0, noise: (B, C, h, w) latents;  t: (B,) timesteps;  returns (B, C, h, w).
    Raises ModelError for a prediction type that diffusers does not name.
    """
    kind = noise_scheduler.config.prediction_type
    if kind == "epsilon":
        return noise
    if kind == "v_prediction":
        velocity: Tensor = noise_scheduler.get_velocity(x0, noise, t)
        return velocity
    if kind == "sample":
        return x0
    raise ModelError(f"The base model predicts {kind!r}; known are epsilon, v_prediction and sample.")


def shifted_timesteps(u: Tensor, total: int, shift: float) -> Tensor:
    """Timesteps in [0, total) from u (B,), uniform in [0, 1): with shift > 1 more of them are noisy.

        t = total * shift u / (1 + (shift - 1) u)        Esser et al. 2024 (Stable Diffusion 3), Eq. 23

    At shift 1 all are alike; at shift 3 the median is 0.75 total. Returns (B,) int64.
    """
    return (total * shift * u / (1 + (shift - 1) * u)).long().clamp(max=total - 1)


def diffusion_loss(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Eq. 1 on the valid area: the mean over pictures of the mean over valid latent values of

        (prediction - target)^2

    prediction, target: (B, C, h, w);  mask: (B, 1, h, w), 1 where the latent shows the picture and 0 where
    it shows the border that augmentation put around it (Custom Diffusion's valid-area mask). Computed in
    fp32. A picture without a valid cell adds 0.
    """
    error = (prediction.float() - target.float()).square() * mask  # (B, C, h, w)
    valid = mask.sum(dim=(1, 2, 3)) * error.shape[1]  # (B,)
    return (error.sum(dim=(1, 2, 3)) / valid.clamp(min=1.0)).mean()


def forgetting_loss(layers: Iterable[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """Eq. 3, the self-regularisation that keeps the new concept off the weights the past has used:

        L_forget = || |P| (.) D ||_F^2 = sum P^2 (.) D^2,    P = sum_{t'<t} A_t' B_t',    D = A_t B_t

    summed over entries, over K and V and over layers; (.) is elementwise, so the sign of P is without
    effect. layers: one (P (D1, D2), A (D1, r), B (r, D2)) for each adapted matrix; returns a scalar, fp32.
    With no layers it is 0. Autocast is switched off: lambda is 1e8, and the squares are small.
    """
    total = torch.zeros(())
    for past, a, b in layers:
        with torch.autocast(past.device.type, enabled=False):
            overlap = (past * (a.float() @ b.float())).flatten()  # (D1 * D2,)
            total = total.to(past.device) + torch.dot(overlap, overlap)
    return total
