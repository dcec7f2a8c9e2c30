"""Names, tokens, settings and timelines."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clora_core.concepts import (
    Concept,
    LearnedConcept,
    SamplingConfig,
    Timeline,
    TrainConfig,
    TrainStep,
    check_token,
    concept_id,
    token_for_name,
    tokens_in,
)
from clora_core.errors import ConceptError, SettingsError
from clora_core.settings.methods import CLORA, CLoraOptions

LEARNED = LearnedConcept(
    name="Rex", token="<rex>", template="a photo of {}",
    factors={"mid.k": (torch.ones(3, 2), torch.ones(2, 5)), "up.v": (torch.eye(4, 2), torch.ones(2, 5))},
    deltas={"mid.k.weight": torch.ones(3, 5)},
    embeddings={"clip": torch.arange(5.0)[None]}, memory={"fisher": torch.ones(1)},
    curve=(TrainStep(1, 2, 0.5, 0.0, 1.5, 0.1), TrainStep(2, 2, 0.25, 0.125, 0.5, 0.2)),
    config=TrainConfig.from_dict({"rank": 2, "steps": 2}), picture_count=4,
    created="2025-01-02T03:04:05+00:00", seconds=0.2,
    versions={"torch": "2"}, id="001-rex", pictures_sha256="ab12",
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "token"),
    [
        ("Ilva Maron", "<ilva-maron>"),
        ("  Rex!  ", "<rex>"),
        ("Zoë Ångström", "<zoe-angstrom>"),
        ("R2-D2", "<r2-d2>"),
        ("x" * 60, "<" + "x" * 32 + ">"),
    ],
)
def test_a_name_gives_a_token_that_passes_the_check(name: str, token: str) -> None:
    assert token_for_name(name) == token
    check_token(token)


def test_a_name_without_letters_gives_no_token() -> None:
    with pytest.raises(ConceptError, match="Type one yourself"):
        token_for_name("🐕 ...")


@pytest.mark.parametrize(
    "token",
    ["rex", "<rex", "<>", "<Rex>", "<my mug>", "<-rex>", "<rex->", "<a--b>", "<r:x>", "<" + "x" * 33 + ">"],
)
def test_malformed_tokens_are_refused(token: str) -> None:
    with pytest.raises(ConceptError):
        check_token(token)


def test_a_token_is_taken_whatever_its_case() -> None:
    with pytest.raises(ConceptError, match="<rex> is already taken"):
        check_token("<rex>", ["<mug>", "<REX>"])
    check_token("<rex>", ["<mug>"])


def test_tokens_are_found_in_a_prompt_once_and_in_order() -> None:
    assert tokens_in("<Rex> and <mug>, <rex> on <a b> 3 < 5") == ("<rex>", "<mug>")


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"name": " "}, "no name"), ({"token": "rex"}, "angle brackets"), ({"template": "a photo"}, "template")],
)
def test_a_concept_is_checked_when_made(changes: dict, message: str) -> None:
    concept = Concept("Rex", "<rex>", (Path("a.png"),))
    with pytest.raises(ConceptError, match=message):
        replace(concept, **changes)


def test_the_defaults_are_the_papers() -> None:
    config = TrainConfig()
    assert (config.method, config.options) == (CLORA, CLoraOptions(rank=16, penalty_weight=1e8))
    assert (config.learning_rate, config.steps, config.resolution) == (5e-4, 500, 512)


@pytest.mark.parametrize("kind", [TrainConfig, SamplingConfig])
def test_every_setting_is_explained_and_survives_json(kind: type) -> None:
    for spec in kind().specs().values():
        assert spec.metadata["label"] and spec.metadata["help"].endswith("."), spec.name
    config = kind(steps=7, seed=3)
    assert kind.from_dict(json.loads(json.dumps(config.to_json()))) == config


def test_an_unknown_setting_is_named_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"lr.*learning_rate"):
        TrainConfig.from_dict({"lr": 1})


@pytest.mark.parametrize(
    "bad",
    [{"steps": 0}, {"rank": 1.5}, {"learning_rate": "5e-4"}, {"learning_rate": float("nan")},
     {"precision": "int8"}, {"steps": True}, {"seed": -1}, {"penalty_weight": -1.0},
     {"penalty_weight": float("inf")}],
)  # fmt: skip
def test_a_setting_out_of_range_is_refused_by_name(bad: dict) -> None:
    with pytest.raises(SettingsError, match=next(iter(bad))):
        TrainConfig.from_dict(bad)


def test_whole_numbers_pass_for_fractions() -> None:
    config = TrainConfig.from_dict({"penalty_weight": 10})
    assert repr(config.to_json()["penalty_weight"]) == "10.0"


def test_a_learned_concept_survives_storing() -> None:
    back = LearnedConcept.from_json(json.loads(json.dumps(LEARNED.to_json())), LEARNED.tensors())
    assert back.to_json() == LEARNED.to_json()
    assert back.curve == LEARNED.curve and back.config == LEARNED.config
    assert list(back.factors) == list(LEARNED.factors)
    assert back.tensors().keys() == LEARNED.tensors().keys()
    assert all(torch.equal(value, LEARNED.tensors()[name]) for name, value in back.tensors().items())


def test_what_was_stored_when_there_was_one_table_is_read() -> None:
    tensors = LEARNED.tensors()
    old = {"token_embedding": tensors.pop("embeddings.clip")[0], **tensors}
    back = LearnedConcept.from_json(LEARNED.to_json(), old)
    assert back.embeddings.keys() == {"clip"}
    assert torch.equal(back.embeddings["clip"], LEARNED.embeddings["clip"])
    assert list(back.tensors()) == list(LEARNED.tensors())


def test_an_incomplete_stored_concept_is_refused() -> None:
    values, tensors = LEARNED.to_json(), LEARNED.tensors()
    with pytest.raises(ConceptError, match="factors"):
        LearnedConcept.from_json(values, {k: v for k, v in tensors.items() if not k.endswith(".B")})
    with pytest.raises(ConceptError, match="created"):
        LearnedConcept.from_json({k: v for k, v in values.items() if k != "created"}, tensors)


def test_a_timeline_is_a_value() -> None:
    empty = Timeline("t", "T", "base")
    one = empty.then(LEARNED)
    two = one.then(replace(LEARNED, token="<mug>"))
    assert (empty.tokens, one.tokens, two.tokens) == ((), ("<rex>",), ("<rex>", "<mug>"))
    assert two.as_of(1) == one and two.as_of(0) == empty and two.as_of(2) == two
    with pytest.raises(ConceptError, match="already taken"):
        two.then(LEARNED)
    for count in (-1, 3):
        with pytest.raises(ConceptError, match="2 concepts"):
            two.as_of(count)


def test_ids_say_position_and_name() -> None:
    assert (concept_id(2, "My Mug"), concept_id(12, "犬")) == ("002-my-mug", "012-concept")
