"""Eq. 1 and Eq. 3 against their definitions written out."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDPMScheduler

from clora_core.errors import ModelError
from clora_core.learning.losses import diffusion_loss, diffusion_target
from clora_core.learning.noise import shifted_timesteps
from clora_core.methods.clora import forgetting_loss


@pytest.fixture
def layers() -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Three matrices (P, A, B) of different shapes, rank 2."""
    g = torch.Generator().manual_seed(1)
    shapes = [(6, 4), (5, 8), (3, 3)]
    return [
        (torch.randn(d1, d2, generator=g), torch.randn(d1, 2, generator=g), torch.randn(2, d2, generator=g))
        for d1, d2 in shapes
    ]


def test_forgetting_loss_is_the_dense_sum(layers) -> None:
    total = 0.0
    for past, a, b in layers:
        for row in range(past.shape[0]):
            for column in range(past.shape[1]):
                delta = sum(float(a[row, r]) * float(b[r, column]) for r in range(2))
                total += float(past[row, column]) ** 2 * delta**2
    assert float(forgetting_loss(layers)) == pytest.approx(total, rel=1e-5)


def test_forgetting_loss_does_not_see_the_sign_of_the_past(layers) -> None:
    flipped = [(-past, a, b) for past, a, b in layers]
    assert torch.equal(forgetting_loss(flipped), forgetting_loss(layers))


def test_forgetting_loss_of_no_past_is_zero(layers) -> None:
    assert float(forgetting_loss([])) == 0.0
    assert float(forgetting_loss((torch.zeros_like(past), a, b) for past, a, b in layers)) == 0.0


def test_forgetting_loss_keeps_no_dense_product() -> None:
    """Neither between value and gradient, nor more than a few at a time on the way."""
    side, count = 200, 20
    dense = 4 * side**2
    past = torch.ones(side, side)
    pairs = [(torch.ones(side, 2, requires_grad=True), torch.ones(2, side, requires_grad=True)) for _ in range(count)]
    with torch.autograd.profiler.profile(profile_memory=True) as seen:
        loss = forgetting_loss((past, a, b) for a, b in pairs)
    assert 0 <= sum(event.self_cpu_memory_usage for event in seen.key_averages()) < dense
    live = peak = 0
    with torch.autograd.profiler.profile(profile_memory=True) as seen:
        loss.backward()
    for event in sorted(seen.function_events, key=lambda event: event.time_range.end):
        live += event.self_cpu_memory_usage
        peak = max(peak, live)
    assert dense <= peak < 5 * dense


def test_forgetting_loss_starts_flat(layers) -> None:
    """At D = 0, the first step, value and gradients are zero."""
    pairs = [(past, torch.zeros_like(a).requires_grad_(), b.clone().requires_grad_()) for past, a, b in layers]
    loss = forgetting_loss(pairs)
    loss.backward()
    assert loss.item() == 0.0
    assert all(a.grad.abs().max() == 0 and b.grad.abs().max() == 0 for _, a, b in pairs)


def test_forgetting_loss_gradient_is_two_past_squared_delta(layers) -> None:
    past, a, b = layers[0]
    a = a.clone().requires_grad_()
    forgetting_loss([(past, a, b)]).backward()
    by_hand = (2 * past.square() * (a.detach() @ b)) @ b.T
    assert torch.allclose(a.grad, by_hand, rtol=1e-5, atol=1e-6)


def test_forgetting_loss_stays_in_fp32_under_autocast(layers) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        inside = forgetting_loss(layers)
    assert torch.equal(inside, forgetting_loss(layers))


def test_diffusion_loss_is_the_mean_over_valid_values() -> None:
    g = torch.Generator().manual_seed(2)
    prediction, target = torch.randn(2, 4, 3, 3, generator=g), torch.randn(2, 4, 3, 3, generator=g)
    mask = torch.zeros(2, 1, 3, 3)
    mask[0, 0, 0, 0] = mask[1, 0, :, 1] = 1
    first = (prediction - target)[0, :, 0, 0].square().mean()
    second = (prediction - target)[1, :, :, 1].square().mean()
    assert float(diffusion_loss(prediction, target, mask)) == pytest.approx(float(first + second) / 2, rel=1e-6)


def test_diffusion_loss_has_no_gradient_outside_the_valid_area() -> None:
    prediction = torch.ones(1, 4, 4, 4, requires_grad=True)
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2] = 1
    diffusion_loss(prediction, torch.zeros(1, 4, 4, 4), mask).backward()
    assert prediction.grad[..., 2:].abs().max() == 0
    assert prediction.grad[..., :2].abs().min() > 0


def test_diffusion_loss_of_a_batch_with_an_empty_mask_is_finite() -> None:
    loss = diffusion_loss(torch.ones(1, 4, 2, 2), torch.zeros(1, 4, 2, 2), torch.zeros(1, 1, 2, 2))
    assert float(loss) == 0.0


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_a_perfect_prediction_of_the_target_gives_the_picture_back(kind: str) -> None:
    """Solve x_t = a x0 + s noise for x0 with what the target says: the definition of each prediction type."""
    scheduler = DDPMScheduler(prediction_type=kind, clip_sample=False)
    g = torch.Generator().manual_seed(3)
    x0, noise = torch.randn(2, 4, 3, 3, generator=g), torch.randn(2, 4, 3, 3, generator=g)
    t = torch.tensor([10, 600])
    xt, target = scheduler.add_noise(x0, noise, t), diffusion_target(scheduler, x0, noise, t)
    a = scheduler.alphas_cumprod[t].sqrt().view(2, 1, 1, 1)
    s = (1 - scheduler.alphas_cumprod[t]).sqrt().view(2, 1, 1, 1)
    solved = {"epsilon": (xt - s * target) / a, "v_prediction": a * xt - s * target, "sample": target}[kind]
    assert torch.allclose(solved, x0, atol=1e-4)


def test_an_unknown_prediction_type_is_named() -> None:
    scheduler = DDPMScheduler(prediction_type="flow")
    with pytest.raises(ModelError, match="flow"):
        diffusion_target(scheduler, torch.zeros(1), torch.zeros(1), torch.zeros(1))


def test_shifted_timesteps() -> None:
    u = torch.arange(1000) / 1000
    even = shifted_timesteps(u, 1000, 1.0)
    assert even.min() == 0 and even.max() == 999 and even.unique().numel() > 990
    shifted = shifted_timesteps(u, 1000, 3.0)
    assert int(shifted.median()) == pytest.approx(750, abs=2)
    assert shifted_timesteps(torch.tensor([0.0, 0.99999999]), 1000, 8.0).tolist() == [0, 999]
    assert shifted_timesteps(torch.tensor([0.25]), 1000, 3.0).tolist() == [500]  # 750 / 1.5, by hand
