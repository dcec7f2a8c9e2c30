"""The training of the embedded model: it goes on where it was stopped, and takes over what it can of a model before."""

from __future__ import annotations

import json
import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import nn

from pretrain.autoencoder import LATENTS, ONE, encoded, with_noise
from pretrain.checkpoints import Log, keep_best
from pretrain.corpus import PICTURES, SIZE, Corpus, rendered
from pretrain.diffusion import take_over
from pretrain.eyes import portraits, spoil, without_eyes
from pretrain.held_out import UNSEEN, HeldOut, held_out_scenes
from pretrain.model import build_scheduler
from pretrain.optimiser import orthogonal


def unet(*widths: int) -> UNet2DConditionModel:
    """As ``pretrain.model.build_unet`` makes it, but small: two wide levels, with three a narrow one before them."""
    torch.manual_seed(len(widths))
    narrow = len(widths) - 2
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D",) * narrow + ("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2 + ("UpBlock2D",) * narrow,
        block_out_channels=widths,
        layers_per_block=1,
        attention_head_dim=1,
        cross_attention_dim=8,
        norm_num_groups=2,
    )


def test_a_corpus_and_its_latents_may_end_in_the_middle_of_a_picture(tmp_path: Path) -> None:
    one = SIZE * SIZE * 3
    (tmp_path / PICTURES).write_bytes(bytes(range(256)) * (one // 256) + b"\1" * one + b"\2" * 77)
    assert rendered(tmp_path).shape == (2, SIZE, SIZE, 3) and (rendered(tmp_path)[1] == 1).all()
    (tmp_path / LATENTS).write_bytes(np.ones(ONE // 2 * 3, np.float16).tobytes() + b"\0" * 5)
    assert len(encoded(tmp_path)) == 3 and (encoded(tmp_path)[2] == 1).all()


def test_the_log_goes_on_after_a_stop_in_the_middle_of_a_line(tmp_path: Path) -> None:
    Log(tmp_path, "unet").write(320, held_out=0.5)
    path = tmp_path / "unet.jsonl"
    line = json.loads(path.read_text())
    path.write_text(json.dumps({**line, "cpu_minutes": 7.0}) + '\n{"samples": 64')
    log = Log(tmp_path, "unet")
    assert log.before == 7.0 and [found["samples"] for found in log.lines()] == [320]


def test_the_two_best_are_kept(tmp_path: Path) -> None:
    for loss in (0.5, 0.4, 0.45, 0.6, 0.3):
        keep_best(tmp_path, loss, lambda folder: folder.mkdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best-0.30000", "best-0.40000"]


def test_a_unet_with_one_more_level_takes_over_the_others() -> None:
    known, new = unet(8, 16), unet(4, 8, 16)
    before = {name: tensor.clone() for name, tensor in new.state_dict().items()}
    assert 0.6 < take_over(new, known) < 1
    weights, old = new.state_dict(), known.state_dict()
    one = "attentions.0.transformer_blocks.0.attn2.to_k.weight"
    assert torch.equal(weights[f"down_blocks.1.{one}"], old[f"down_blocks.0.{one}"])
    assert torch.equal(weights[f"up_blocks.1.{one}"], old[f"up_blocks.1.{one}"])
    assert torch.equal(weights["conv_in.weight"], before["conv_in.weight"])
    assert take_over(unet(8, 16), known) == 1


@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (8, 8)])
def test_muon_s_direction_is_nearly_orthogonal(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    lengths = torch.linalg.svdvals(orthogonal(matrix))
    assert lengths.min() > 0.3 and lengths.max() < 1.3
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    assert torch.cosine_similarity(orthogonal(matrix).flatten(), (u @ v).flatten(), dim=0) > 0.95


def test_noise_on_latents_is_at_most_the_asked_share_of_their_deviation() -> None:
    torch.manual_seed(0)
    latents = 3 * torch.randn(64, 4, 8, 8)
    added = (with_noise(latents, 0.5) - latents).std(dim=(1, 2, 3))
    assert added.min() >= 0 and 1.2 < added.max() < 1.6
    assert torch.equal(with_noise(latents, 0.0), latents)


class Says(nn.Module):
    """A text encoder or a U-Net that says the same of everything."""

    device = torch.device("cpu")

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: torch.Tensor, *_: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(sample=torch.full_like(x, self.value), last_hidden_state=x)


def test_the_held_out_loss_is_the_same_each_time_and_falls_as_the_prediction_gets_better() -> None:
    held_out = HeldOut.__new__(HeldOut)  # as it is after rendering and encoding
    held_out.ids = torch.zeros(4, 77, dtype=torch.long)
    held_out.latents, held_out.noise = torch.ones(4, 4, 16, 16), torch.ones(4, 4, 16, 16)
    scheduler = DDPMScheduler.from_config(build_scheduler().config)

    model = nn.ModuleDict({"text_encoder": Says(0.0), "unet": Says(0.0)})
    first, again = held_out.losses(model, scheduler), held_out.losses(model, scheduler)
    assert first == again and set(first) == {
        "held_out",
        "unseen",
        "named",
        "t100",
        "t300",
        "t500",
        "t700",
        "t900",
    }
    assert first["held_out"] == pytest.approx((first["unseen"] + first["named"]) / 2, rel=1e-5)
    model["unet"].value = float(
        scheduler.get_velocity(held_out.latents, held_out.noise, torch.tensor([900] * 4))[0, 0, 0, 0]
    )
    assert held_out.losses(model, scheduler)["t900"] < 1e-6 < first["t900"]


def test_held_out_scenes_show_unseen_people_and_then_named_ones() -> None:
    scenes = held_out_scenes(5)
    assert not any(sitter.name for scene in scenes[:5] for sitter in scene.sitters)
    assert all(any(sitter.name for sitter in scene.sitters) for scene in scenes[5:])
    assert scenes[5] in [Corpus("train")[UNSEEN + index] for index in range(40)]


def test_each_eye_is_kept_or_not_as_its_label_says() -> None:
    blind = np.full((128, 128, 3), 200, np.uint8)
    picture = blind.copy()
    picture[50:56, 40:48] = picture[50:56, 80:88] = 0
    seen = set()
    for seed in range(30):
        found = spoil(picture, blind, random.Random(seed))
        assert found is not None
        spoiled, labels = found
        eyes = spoiled[50:56, 40:48], spoiled[50:56, 80:88]
        assert [int((eye > 0).any()) for eye in eyes] == labels
        seen.add(tuple(labels))
    assert seen == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert spoil(blind, blind, random.Random(0)) is None


def test_a_portrait_without_eyes_differs_in_nothing_else() -> None:
    scene = portraits(1, "test", unseen=True)[0]
    blind = without_eyes(scene)
    face, other = scene.sitters[0].person.face, blind.sitters[0].person.face
    assert {part for part in face if face[part] != other[part]} == {"eye"} and scene.view == blind.view
