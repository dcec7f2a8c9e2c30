"""The recipe of the embedded model: deterministic, and never showing a benchmark person in pretraining."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.training_utils import EMAModel
from torch import nn

from pretrain.captions import caption, plain_caption
from pretrain.checkpoints import Checkpoint
from pretrain.classifiers import CLASSES, labels, targets
from pretrain.corpus import FACES, Corpus, named_person, names, render
from pretrain.diffusion import by_name
from pretrain.loss import face_weight
from pretrain.model import LATENT_SIDE
from pretrain.optimiser import MuonAdamW
from pretrain.people import held_out
from pretrain.sample_people import SETS, portraits, sample_people
from pretrain.tokenizer import build_tokenizer, known_words


def test_a_scene_and_its_caption_are_functions_of_seed_and_index() -> None:
    one, other = Corpus("train")[17], Corpus("train")[17]
    assert one == other
    assert caption(one, random.Random(3)) == caption(other, random.Random(3))
    assert Corpus("train", seed=1)[17] != one
    assert len({caption(one, random.Random(seed)) for seed in range(20)}) > 5


def test_pretraining_never_sees_a_held_out_face() -> None:
    corpus = Corpus("train")
    assert not any(held_out(sitter.person.face) for index in range(300) for sitter in corpus[index].sitters)
    assert not any(held_out(named_person(name).face) for name in names()[:200])
    assert all(held_out(person.face) for person in sample_people().values())
    assert all(held_out(s.person.face) for index in range(50) for s in Corpus("held-out")[index].sitters)


@pytest.mark.parametrize("which", SETS)
def test_sample_people_come_in_look_alike_pairs_and_share_no_name_with_pretraining(which: str) -> None:
    people = sample_people(which)
    for first, second, _, _ in SETS[which]:
        one, other = people[first], people[second]
        assert one.sex == other.sex
        assert one.words["skin"] == other.words["skin"] and one.words["hair_colour"] == other.words["hair_colour"]
        assert one.face["eye"] != other.face["eye"]
    assert not {name.lower() for name in people} & set(names())
    assert list(people) == sorted(people)


def test_a_full_caption_names_what_the_classifiers_look_for() -> None:
    for scene in portraits(sample_people()["Hugo"], "caption", 5):
        text, seen = plain_caption(scene), labels(scene)
        for key in ("hair colour", "skin", "background", "clothes"):
            assert seen[key] in text
        assert "goatee" in text


def test_the_tokenizer_has_pieces_for_any_word_and_keeps_names_whole() -> None:
    corpus = Corpus("train")
    texts = [caption(corpus[index], random.Random(index)) for index in range(3000)]
    tokenizer = build_tokenizer(texts)
    end = tokenizer.eos_token_id
    for text in ("a photo of a man", "Übermensch 42 漢字", "quixotic!"):
        ids = tokenizer(text).input_ids
        assert ids[0] == tokenizer.bos_token_id and ids[-1] == end and end not in ids[1:-1]
    assert tokenizer.decode(tokenizer("red hair").input_ids, skip_special_tokens=True).split() == [
        "red",
        "hair",
    ]
    assert {"portrait", "wearing", "red"} <= set(known_words(texts))


def test_targets_leave_out_what_cannot_be_seen() -> None:
    scenes = [Corpus("train")[index] for index in range(60)]
    numbers = targets(scenes)
    for scene, row in zip(scenes, numbers, strict=True):
        if len(scene.sitters) == 2:
            assert row.tolist() == [-100] * (len(CLASSES) - 1) + [1]
        elif scene.words["style"] or scene.words["framing"] == "close-up":
            assert row[3] == -100
        else:
            assert [*CLASSES["clothes"]][row[3]] == scene.sitters[0].words["clothes"]


def test_the_pictures_learned_from_are_told_apart_by_whether_somebody_named_is_in_them() -> None:
    corpus = Corpus("train")
    plain, named = by_name(corpus, 200)
    assert len(plain) and len(named) and sorted([*plain, *named]) == list(range(200))
    assert all(any(sitter.name for sitter in corpus[index].sitters) for index in named)


def test_the_face_counts_more_and_the_mean_stays_one() -> None:
    weight = face_weight("cpu")
    middle, corner = weight[0, 0, LATENT_SIDE // 2, LATENT_SIDE // 2], weight[0, 0, 0, 0]
    assert weight.mean().item() == pytest.approx(1.0) and (middle / corner).item() == pytest.approx(3.0)


def small_network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.SiLU(), nn.Conv2d(4, 6, 3), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(6 * 16, 2)).to(memory_format=torch.channels_last)


def test_every_weight_is_trained_and_a_checkpoint_goes_on_bit_for_bit(tmp_path: Path) -> None:
    def started() -> tuple[nn.Module, MuonAdamW, Checkpoint]:
        model = small_network()
        optimiser = MuonAdamW(model, 1e-2)
        ema = EMAModel(model.parameters(), decay=0.5)
        return model, optimiser, Checkpoint(tmp_path, "small", model, optimiser, ema)

    def train(model: nn.Module, optimiser: MuonAdamW, checkpoint: Checkpoint, steps: range) -> None:
        for step in steps:
            torch.manual_seed(step)
            (model(torch.randn(5, 3, 6, 6)) - 1).square().mean().backward()
            optimiser.step()
            checkpoint.ema.step(model.parameters())

    straight = started()
    train(*straight, range(8))
    for before, after in zip(small_network().parameters(), straight[0].parameters(), strict=True):
        assert not torch.equal(before, after)
    interrupted = started()
    train(*interrupted, range(5))
    interrupted[2].save(5)
    resumed = started()
    assert resumed[2].load() == 5
    train(*resumed, range(5, 8))
    for one, other in zip(straight[0].parameters(), resumed[0].parameters(), strict=True):
        assert torch.equal(one, other)
    for one, other in zip(straight[2].ema.shadow_params, resumed[2].ema.shadow_params, strict=True):
        assert torch.equal(one, other)


@pytest.mark.skipif(
    not (FACES / "node_modules").exists() or shutil.which("node") is None,
    reason="the renderer is not installed: npm install --prefix pretrain/faces",
)
def test_the_renderer_draws_the_same_pixels_again() -> None:
    corpus = Corpus("train")
    one, other = ([np.asarray(p) for p in render(corpus[index] for index in range(6))] for _ in range(2))
    assert len(one) == 6 and one[0].shape == (128, 128, 3)
    assert all((a == b).all() for a, b in zip(one, other, strict=True))
    assert any((a != one[0]).any() for a in one[1:])
