"""The paper's two losses (C-LoRA, Smith et al., TMLR 2024, arXiv 2304.06027), in its letters."""

from __future__ import annotations

from typing import Any

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
