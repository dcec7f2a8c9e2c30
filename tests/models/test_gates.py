"""Pairs that act at their own token alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from tiny.families import FAMILIES, PIXART

from clora_core.concepts import Concept, LearnedConcept, SamplingConfig, Timeline, TrainConfig
from clora_core.drawing.generate import generate
from clora_core.learning.trainer import train_concept
from clora_core.methods import class_of
from clora_core.models.backbone import Backbone
from clora_core.settings.memory import Savings
from clora_core.settings.methods import GATED

Learn = Callable[..., LearnedConcept]


@pytest.fixture
def two(learn: Learn, empty: Timeline) -> Timeline:
    """Rex, then Mug."""
    timeline = replace(empty, method=GATED)
    for name in ("Rex", "Mug"):
        timeline = timeline.then(learn(name, timeline))
    return timeline


def test_what_is_added_is_added_at_the_token_alone(backbone: Backbone, two: Timeline) -> None:
    prompt = "a photo of <mug> and <rex>"
    class_of(GATED).install(backbone, two, prompt)
    read, seen = backbone.encode([prompt]), {}
    name, matrix = next(iter(backbone.matrices.items()))
    watch = matrix.register_forward_hook(lambda module, inputs, output: seen.update(given=inputs[0], output=output))
    backbone.predict(torch.zeros(1, 4, 8, 8), torch.tensor([500]), read)
    watch.remove()
    expected = seen["given"] @ matrix.weight.T
    for concept in two.concepts:
        (place,) = read.positions[concept.token][0].nonzero()[0].tolist()
        a, b = concept.factors[name]
        expected[0, place] += seen["given"][0, place] @ b.T @ a.T
    torch.testing.assert_close(seen["output"], expected)
    assert not torch.equal(seen["output"], seen["given"] @ matrix.weight.T)


def test_prompts_without_a_token_are_the_base_models_bit_for_bit(
    backbone: Backbone, two: Timeline, settings: SamplingConfig
) -> None:
    def drawn(timeline: Timeline, prompt: str, **changes: float) -> bytes:
        return generate(backbone, timeline, prompt, settings.updated(changes))[0].tobytes()

    for guidance in (1.0, 3.0):  # 1: the negative prompt is not read
        base = drawn(two.as_of(0), "a photo", guidance_scale=guidance)
        assert drawn(two, "a photo", guidance_scale=guidance) == base
        rex = drawn(two.as_of(1), "a photo of <rex>", guidance_scale=guidance)
        assert drawn(two, "a photo of <rex>", guidance_scale=guidance) == rex != base
    assert drawn(two, "a photo of <rex> and <mug>") not in (
        drawn(two, "a photo of <rex>"),
        drawn(two, "a photo of <mug>"),
    )
    negative = {"negative_prompt": "<mug>"}
    with_token = generate(backbone, two, "a photo", settings.updated(negative))[0].tobytes()
    assert with_token != drawn(two, "a photo")


@pytest.mark.parametrize("family", ["stable-diffusion-xl", PIXART])
def test_layers_that_are_computed_again_learn_the_same(
    of_family: Callable[[str], Backbone], family: str, pictures, config: TrainConfig
) -> None:
    """With the pictures of a prior, whose prompt goes through the model between the pass and its backward pass."""
    backbone, timeline, learned = of_family(family), Timeline("test", "Test", "", GATED), []
    along = config.under(GATED).updated({"prior_pictures": 2, "batch_size": 2})
    for savings in (Savings(), Savings(checkpointing=True), Savings(checkpointing=True, offload=True)):
        with train_concept(backbone, Concept("Rex", "<rex>", pictures), timeline, along) as training:
            training.fit = replace(training.fit, savings=savings)
            learned.append([value for step in training for value in (step.loss, step.grad_norm)])
            assert any(a.abs().max() > 0 for a, _ in training.finish().factors.values())
    assert learned[0] == pytest.approx(learned[1], rel=1e-3) and learned[1] == learned[2]


@pytest.mark.parametrize("family", [*FAMILIES, PIXART])
def test_every_family_learns_and_draws_at_the_token(
    of_family: Callable[[str], Backbone], family: str, pictures, config: TrainConfig, settings: SamplingConfig
) -> None:
    backbone = of_family(family)
    timeline = Timeline("test", "Test", "", GATED)
    with train_concept(backbone, Concept("Rex", "<rex>", pictures), timeline, config.under(GATED)) as training:
        for _ in training:
            pass
        later = timeline.then(training.finish())
    plain = generate(backbone, later.as_of(0), "a photo", settings)[0].tobytes()
    assert generate(backbone, later, "a photo", settings)[0].tobytes() == plain
    with_pairs = generate(backbone, later, "a photo of <rex>", settings)[0].tobytes()
    bare = replace(later, concepts=(replace(later.concepts[0], factors={}),))
    assert generate(backbone, bare, "a photo of <rex>", settings)[0].tobytes() != with_pairs
