"""C-LoRA's penalty at work inside the loop: zero where it must be, else Eq. 3, at a constant cost."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from clora_core.concepts import Concept
from clora_core.drawing.generate import generate
from clora_core.errors import SettingsError
from clora_core.learning.trainer import train_concept
from clora_core.models.installation import sum_of_deltas
from clora_core.settings.methods import SEQUENTIAL


@pytest.fixture
def rex(pictures) -> Concept:
    return Concept("Rex", "<rex>", pictures)


@pytest.fixture
def mug(pictures) -> Concept:
    return Concept("My Mug", "<my-mug>", pictures)


def test_the_first_concept_has_no_penalty_and_the_second_starts_at_none(learn, empty) -> None:
    first = learn("Rex", empty)
    second = learn("Mug", empty.then(first))
    assert [step.penalty for step in first.curve] == [0.0] * 4
    assert second.curve[0].penalty == 0.0
    assert all(step.penalty > 0 for step in second.curve[1:])


def test_the_penalty_is_lambda_times_eq_3(backbone, mug, config, learn, empty) -> None:
    timeline = empty.then(learn("Rex", empty))
    past = sum_of_deltas(timeline.concepts, backbone.matrices)
    training = train_concept(backbone, mug, timeline, config.updated({"penalty_weight": 100.0}))
    next(training)
    factors = training.snapshot().factors
    dense = sum(((past[f"{name}.weight"] * (a @ b)) ** 2).sum() for name, (a, b) in factors.items())
    assert next(training).penalty == pytest.approx(100.0 * float(dense), rel=1e-5)
    training.close()


def test_the_penalty_keeps_the_new_concept_off_the_old_ones_weights(backbone, learn, empty) -> None:
    timeline = empty.then(learn("Rex", empty, steps=8))
    past = sum_of_deltas(timeline.concepts, backbone.matrices)

    def overlap(weight: float) -> float:
        new = learn("Mug", timeline, steps=30, penalty_weight=weight)
        return sum(float(((past[f"{name}.weight"] * (a @ b)) ** 2).sum()) for name, (a, b) in new.factors.items())

    assert overlap(1e8) < 0.05 * overlap(0.0)


class _Operations(TorchDispatchMode):
    """Counts operations and the bytes they give back."""

    def __init__(self) -> None:
        super().__init__()
        self.count = self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.count += 1
        self.bytes += result.nbytes if isinstance(result, torch.Tensor) else 0
        return result


def test_a_step_costs_the_same_for_the_second_and_the_twelfth_concept(backbone, rex, config, learn, empty) -> None:
    """Fact 4, counted: as many operations, giving as many bytes, with 1 concept before as with 11."""
    one = learn("Mug", empty, steps=1)
    costs = []
    for count in (1, 11):
        past = tuple(replace(one, token=f"<mug-{number}>") for number in range(count))
        training = train_concept(backbone, rex, replace(empty, concepts=past), config)
        next(training)
        next(training)
        with _Operations() as operations:
            next(training)
        costs.append((operations.count, operations.bytes // 10_000))  # the table grows by a row a token
        training.close()
    assert costs[0] == costs[1]
    assert costs[0][0] > 500


@pytest.mark.parametrize("adapts", ["qkv", "qkvo"])
def test_more_is_adapted_where_that_is_asked_for(backbone, learn, empty, settings, adapts) -> None:
    """The past of a matrix that no earlier concept adapted is nothing: it is not held."""
    first = learn("Rex", empty)
    timeline = empty.then(first).then(learn("Mug", empty.then(first), adapts=adapts))
    last = timeline.concepts[-1]
    assert set(first.factors) == set(backbone.matrices)
    more = {**backbone.queries, **(backbone.outputs if adapts == "qkvo" else {})}
    assert set(last.factors) == {*backbone.matrices, *more}
    assert len(backbone.queries) == len(backbone.outputs) == len(first.factors) // 2
    moved = [float(last.factors[name][0].abs().max()) for name in more]
    assert all(size > 0 for size in moved)
    picture = generate(backbone, timeline, "a photo of <mug>", settings)[0]
    names = {f"{name}.weight" for name in last.factors}
    assert set(backbone.installation.deltas) == names
    without = replace(last, factors={name: pair for name, pair in last.factors.items() if name in backbone.matrices})
    other = replace(timeline, concepts=(first, without))
    assert generate(backbone, other, "a photo of <mug>", settings)[0].tobytes() != picture.tobytes()
    narrow = learn("Ann", timeline, seed=3)
    assert set(narrow.factors) == set(backbone.matrices) and narrow.curve[-1].penalty > 0


def test_one_lora_trained_on_adapts_what_it_did(learn, empty) -> None:
    timeline = replace(empty, method=SEQUENTIAL)
    timeline = timeline.then(learn("Rex", timeline, adapts="qkv"))
    with pytest.raises(SettingsError, match="adapts qkv, not kv"):
        learn("Mug", timeline)
    assert set(learn("Mug", timeline, adapts="qkv").factors) == set(timeline.concepts[0].factors)
