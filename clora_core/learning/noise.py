"""The noise and the timesteps of one learning step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from clora_core.seeds import generator_for


def draw_noise(x0: Tensor, noise_scheduler: Any, seed: int, step: int, shift: float = 1.0) -> tuple[Tensor, Tensor]:
    """Noise like x0 (B, C, h, w) and timesteps (B,), uniform at shift 1: a function of (seed, step), on the CPU.

    One timestep falls into each of B equal parts of the range, in random order, so that every step sees quiet and
    noisy pictures alike; each alone is still uniform (Kingma et al. 2021, Variational Diffusion Models, appendix I.1).
    """
    generator = generator_for(seed, "noise", step)
    noise = torch.randn(x0.shape, generator=generator)
    count = x0.shape[0]
    u = (torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)) / count
    t = shifted_timesteps(u, noise_scheduler.config.num_train_timesteps, shift)
    return noise.to(x0.device), t.to(x0.device)


def shifted_timesteps(u: Tensor, total: int, shift: float) -> Tensor:
    """Timesteps in [0, total) from u (B,), uniform in [0, 1): with shift > 1 more of them are noisy.

        t = total * shift u / (1 + (shift - 1) u)        Esser et al. 2024 (Stable Diffusion 3), Eq. 23

    At shift 1 all are alike; at shift 3 the median is 0.75 total. Returns (B,) int64.
    """
    return (total * shift * u / (1 + (shift - 1) * u)).long().clamp(max=total - 1)
