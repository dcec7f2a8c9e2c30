"""A LoRA of fewer ranks is the nearest there is, and what it lacks is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from clora_core.errors import SettingsError
from clora_core.export.export import export_timeline
from clora_core.export.reduced import reduced
from clora_core.jobs.requests import ExportRequest
from clora_core.models.description import read_base


def stack(rank: int, seed: int = 0, layers: int = 3) -> dict[str, torch.Tensor]:
    generator, tensors = torch.Generator().manual_seed(seed), {}
    for i in range(layers):
        tensors[f"x{i}.lora_up.weight"] = torch.randn(12, rank, generator=generator)
        tensors[f"x{i}.lora_down.weight"] = torch.randn(rank, 9, generator=generator)
        tensors[f"x{i}.alpha"] = torch.tensor(float(rank))
    return tensors


def products(tensors: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    ups = [key for key in tensors if key.endswith("lora_up.weight")]
    return [tensors[key] @ tensors[key.replace("up", "down")] for key in ups]


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_it_is_as_near_as_singular_values_allow(rank: int) -> None:
    whole = stack(7)
    made, lost = reduced(whole, rank, torch.float32)
    off = sum(float(((a - b) ** 2).sum()) for a, b in zip(products(whole), products(made), strict=True))
    all_of_it = sum(float((a**2).sum()) for a in products(whole))
    assert lost == pytest.approx((off / all_of_it) ** 0.5, rel=1e-4)
    best = sum(float((torch.linalg.svdvals(a)[rank:] ** 2).sum()) for a in products(whole))
    assert off == pytest.approx(best, rel=1e-4)
    assert {len(value) for key, value in made.items() if key.endswith("down.weight")} == {rank}
    assert {float(value) for key, value in made.items() if key.endswith("alpha")} == {rank}


def test_what_is_small_enough_stays_and_what_is_too_small_is_filled_up() -> None:
    whole = stack(4)
    made, lost = reduced(whole, 4, torch.float32)
    assert lost == 0 and all(torch.equal(made[key], value) for key, value in whole.items())
    made, lost = reduced(stack(20), 15, torch.float16)  # a matrix of 12 x 9 has rank 9 at most
    assert lost < 1e-6 and made["x0.lora_up.weight"].shape == (12, 15)
    assert made["x0.lora_up.weight"].dtype == torch.float16


def test_an_export_of_a_lower_rank_says_what_is_lost(learn, empty, quick_model: Path, tmp_path: Path) -> None:
    timeline = empty
    for name in ("Rex", "Mug"):
        timeline = timeline.then(learn(name, timeline))
    made = export_timeline(timeline, read_base(quick_model), tmp_path / "out", device="cpu", rank=1)
    assert 0 < made.lost < 1 and not made.proved
    assert (
        "lost" in (made.folder / "README.txt").read_text()
        and "NOT PROVED" not in (made.folder / "README.txt").read_text()
    )
    tensors = load_file(made.folder / "loras/test-2.safetensors")
    assert {len(value) for key, value in tensors.items() if key.endswith("down.weight")} == {1}


def test_a_rank_that_cannot_be_is_refused() -> None:
    with pytest.raises(SettingsError, match="rank -1"):
        ExportRequest("pets", rank=-1)
