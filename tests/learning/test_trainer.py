"""The loop: what it trains and what it leaves alone, stopping and going on."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from diffusers import DDPMScheduler
from tiny.digests import base_digest, digest
from tiny.model import RESOLUTION

from clora_core.concepts import Concept, LearnedConcept, Timeline, TrainConfig
from clora_core.drawing.generate import generate
from clora_core.errors import ConceptError, PictureError, SettingsError, TrainingError
from clora_core.learning.noise import draw_noise
from clora_core.learning.optimizer import learning_rate_scale
from clora_core.learning.trainer import TrainState, train_concept
from clora_core.models.footprint import Footprint, planned
from clora_core.models.loading import load_backbone
from clora_core.models.precision import resolved_precision
from clora_core.settings.memory import SIZES, Savings, ladder
from clora_core.settings.methods import SEQUENTIAL


@pytest.fixture
def rex(pictures) -> Concept:
    return Concept("Rex", "<rex>", pictures)


@pytest.fixture
def mug(pictures) -> Concept:
    return Concept("My Mug", "<my-mug>", pictures[1:])


def concept_digest(concept: LearnedConcept) -> str:
    return digest(*concept.tensors().values())


# ------------------------------------------------------------------------------------- what is learned


def test_a_concept_is_learned_step_by_step(backbone, mug, config, learn, empty) -> None:
    timeline = empty.then(learn("Rex", empty))
    training = train_concept(backbone, mug, timeline, config, clock=lambda: 0.0)
    steps = list(training)
    assert [(step.step, step.total) for step in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert all(math.isfinite(step.loss) and step.loss > 0 and step.grad_norm > 0 for step in steps)
    assert [step.seconds for step in steps] == sorted({step.seconds for step in steps})
    concept = training.finish()
    assert (concept.id, concept.token, concept.created) == (
        "002-my-mug",
        "<my-mug>",
        "1970-01-01T00:00:00+00:00",
    )
    assert concept.curve == tuple(steps) and concept.seconds == steps[-1].seconds
    assert (concept.picture_count, concept.config, concept.memory) == (3, config, {})
    assert concept.versions["torch"] == torch.__version__
    shapes = {name: tuple(linear.weight.shape) for name, linear in backbone.matrices.items()}
    assert {name: (a.shape[0], b.shape[1]) for name, (a, b) in concept.factors.items()} == shapes
    assert all(a.shape[1] == b.shape[0] == 2 and a.abs().max() > 0 for a, b in concept.factors.values())


def test_learning_lowers_the_loss(backbone, rex, config, empty) -> None:
    """The same noise, timesteps and batches with and without learning: the later losses must be lower."""
    long = config.updated({"steps": 40, "batch_size": 4})
    frozen = long.updated({"learning_rate": 0.0, "token_learning_rate": 0.0})
    curves = []
    for settings in (long, frozen):
        with train_concept(backbone, rex, empty, settings) as training:
            curves.append([step.loss for step in training])
    learned, untouched = (sum(curve[-20:]) for curve in curves)
    assert curves[0][0] == curves[1][0]
    assert learned < 0.97 * untouched


def test_a_step_sees_one_timestep_of_every_part_of_the_range() -> None:
    scheduler, x0 = DDPMScheduler(num_train_timesteps=1000), torch.zeros(5, 1, 2, 2)
    drawn = [draw_noise(x0, scheduler, seed=7, step=step)[1] for step in range(1, 201)]
    assert all(sorted((t // 200).tolist()) == [0, 1, 2, 3, 4] for t in drawn)
    first = torch.stack(drawn)[:, 0].float()  # one place of the batch alone is uniform
    assert len({int(t) // 200 for t in first}) == 5
    assert abs(first.mean() - 500) < 3 * 289 / math.sqrt(len(first))
    assert torch.equal(draw_noise(x0, scheduler, 7, 3)[1], drawn[2])


def test_nothing_else_is_touched(backbone, rex, mug, config, empty) -> None:
    """Fact 3: every byte of the base and of the earlier concepts stays, during and after learning."""
    base = base_digest(backbone)
    with train_concept(backbone, rex, empty, config) as training:
        list(training)
        first = training.finish()
    assert base_digest(backbone) == base
    timeline, past = empty.then(first), concept_digest(first)
    backbone.installation.install(timeline.concepts, reserve="<my-mug>")
    with_past = base_digest(backbone)
    training = train_concept(backbone, mug, timeline, config)
    for _ in training:
        assert base_digest(backbone) == with_past
    training.finish()
    assert concept_digest(first) == past
    assert base_digest(backbone) == base
    assert all(parameter.grad is None for parameter in backbone.denoiser.parameters())


def test_every_token_starts_at_an_embedding_of_its_own(backbone, rex, mug, config, empty) -> None:
    still = config.updated({"steps": 1, "learning_rate": 0.0, "token_learning_rate": 0.0})
    starts = []
    for concept in (rex, mug, rex):
        with train_concept(backbone, concept, empty, still) as training:
            list(training)
            starts.append(training.finish().embeddings["clip"])
    assert torch.equal(starts[0], starts[2])
    assert torch.corrcoef(torch.cat(starts[:2]))[0, 1].abs() < 0.9


def test_the_seed_decides(learn, empty) -> None:
    assert concept_digest(learn("Rex", empty)) == concept_digest(learn("Rex", empty))
    assert concept_digest(learn("Rex", empty)) != concept_digest(learn("Rex", empty, seed=1))


# ------------------------------------------------------------------------- stopping, going on, drawing


def test_stopping_early_keeps_what_was_learned(backbone, rex, config, learn, empty, settings) -> None:
    base = base_digest(backbone)
    with train_concept(backbone, rex, empty, config.updated({"steps": 50})) as training:
        for step in training:
            if step.step == 4:
                break
        kept = training.finish()
    assert concept_digest(kept) == concept_digest(learn("Rex", empty))  # four steps are four steps
    assert len(kept.curve) == 4 and base_digest(backbone) == base
    assert list(training) == []
    assert len(generate(backbone, empty.then(kept), "a photo of <rex>", settings)) == 1


def test_closing_leaves_the_model_clean(backbone, rex, config, empty) -> None:
    base, tokenizer = base_digest(backbone), backbone.tables["clip"].tokenizer
    training = train_concept(backbone, rex, empty, config)
    next(training)
    training.close()
    training.close()
    assert base_digest(backbone) == base and backbone.tables["clip"].tokenizer is tokenizer
    with pytest.raises(StopIteration):
        next(training)


def test_an_error_of_the_caller_leaves_the_model_clean(backbone, rex, config, empty) -> None:
    base, tokenizer = base_digest(backbone), backbone.tables["clip"].tokenizer
    with pytest.raises(ZeroDivisionError), train_concept(backbone, rex, empty, config) as training:
        for _ in training:
            raise ZeroDivisionError
    assert base_digest(backbone) == base and backbone.tables["clip"].tokenizer is tokenizer


def test_nothing_learned_is_nothing_to_keep(backbone, rex, config, empty) -> None:
    with pytest.raises(TrainingError, match="one step"):
        train_concept(backbone, rex, empty, config).finish()


def test_drawing_between_steps_changes_nothing(backbone, pictures, config, learn, empty, settings) -> None:
    """Previews of the new concept and of an older one, from other points of the timeline, at each step."""
    timeline = empty.then(learn("Rex", empty))
    alone = learn("My Mug", timeline)
    with train_concept(backbone, Concept("My Mug", "<my-mug>", pictures), timeline, config) as training:
        previews = []
        for _ in training:
            so_far = timeline.then(training.snapshot())
            previews.append(generate(backbone, so_far, "a photo of <my-mug>", settings)[0].tobytes())
            generate(backbone, so_far.as_of(1), "a photo of <rex>", settings)
            generate(backbone, so_far.as_of(0), "a photo", settings)
        watched = training.finish()
    assert concept_digest(watched) == concept_digest(alone)
    assert len(set(previews)) == len(previews)
    final = generate(backbone, timeline.then(alone), "a photo of <my-mug>", settings)[0].tobytes()
    assert final == previews[-1]


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_going_on_from_a_checkpoint_gives_the_same_bits(backbone, rex, config, learn, empty, schedule: str) -> None:
    timeline = empty.then(learn("Mug", empty))
    config = config.updated({"steps": 6, "learning_rate_schedule": schedule})
    straight = learn("Rex", timeline, steps=6, learning_rate_schedule=schedule)
    with train_concept(backbone, rex, timeline, config) as training:
        for step in training:
            if step.step == 2:
                break
        state = training.state()
    stored = TrainState.from_json(json.loads(json.dumps(state.to_json())), state.tensors)
    with train_concept(backbone, rex, timeline, config, resume=stored) as training:
        rest = list(training)
        resumed = training.finish()
    assert [step.step for step in rest] == [3, 4, 5, 6]
    assert concept_digest(resumed) == concept_digest(straight)
    without_time = [[replace(step, seconds=0) for step in one.curve] for one in (resumed, straight)]
    assert without_time[0] == without_time[1]
    assert rest[0].seconds > state.curve[-1].seconds


def test_a_checkpoint_from_when_a_token_had_one_vector_is_gone_on_from(backbone, rex, config, learn, empty) -> None:
    with train_concept(backbone, rex, empty, config) as training:
        next(training)
        state = training.state()
    older = {name: value[0] if value.shape == (1, 32) else value for name, value in state.tensors.items()}
    assert sum(value.shape == (32,) for value in older.values()) == 3  # the vector and AdamW's two moments
    with train_concept(backbone, rex, empty, config, resume=replace(state, tensors=older)) as training:
        list(training)
        assert concept_digest(training.finish()) == concept_digest(learn("Rex", empty))


def test_a_checkpoint_from_before_the_first_update_of_all_is_gone_on_from(backbone, rex, config, empty) -> None:
    """As fp16's scaler leaves it when it has skipped every step so far: no moments."""
    with train_concept(backbone, rex, empty, config) as training:
        next(training)
        state = training.state()
    parameters = {name: value for name, value in state.tensors.items() if name.startswith("parameter.")}
    with train_concept(backbone, rex, empty, config, resume=replace(state, tensors=parameters)) as training:
        assert [step.step for step in training] == [2, 3, 4]


def test_a_checkpoint_holds_the_state_of_its_step(backbone, rex, config, empty) -> None:
    with train_concept(backbone, rex, empty, config) as training:
        next(training)
        state = training.state()
        held = digest(*state.tensors.values())
        next(training)
        assert digest(*state.tensors.values()) == held != digest(*training.state().tensors.values())


def test_a_checkpoint_of_other_settings_is_refused(backbone, rex, config, empty) -> None:
    base = base_digest(backbone)
    with train_concept(backbone, rex, empty, config) as training:
        next(training)
        state = training.state()
    with pytest.raises(TrainingError, match="other settings"):
        train_concept(backbone, rex, empty, config.updated({"rank": 3}), resume=state)
    assert base_digest(backbone) == base
    with pytest.raises(TrainingError, match="incomplete"):
        TrainState.from_json({"step": 1}, {})


# ----------------------------------------------------------------------------------------- arithmetic


def test_a_number_that_is_not_finite_stops_learning_before_it_does_harm(backbone, mug, config, learn, empty) -> None:
    timeline = empty.then(learn("Rex", empty))
    base = base_digest(backbone)
    training = train_concept(backbone, mug, timeline, config.updated({"penalty_weight": 1e38}))
    next(training)  # at the first step the new delta is zero, and so is the penalty
    before = concept_digest(training.snapshot())
    with pytest.raises(TrainingError, match=r"<my-mug> stopped at step 2.*inf.*penalty weight \(now 1e\+38\)"):
        for _ in training:
            pass
    assert concept_digest(training.snapshot()) == before
    assert base_digest(backbone) == base


def test_clipping_clips_all_gradients_together(backbone, rex, config, empty) -> None:
    """AdamW's first moment after one step is 0.1 times the gradient it was given."""

    def gradient(clip: float) -> tuple[float, float]:
        with train_concept(backbone, rex, empty, config.updated({"gradient_clip": clip})) as training:
            reported = next(training).grad_norm
            moments = [value for name, value in training.state().tensors.items() if name.startswith("exp_avg.")]
        return reported, 10 * math.sqrt(sum(float(value.square().sum()) for value in moments))

    free, given = gradient(0.0)
    assert given == pytest.approx(free, rel=1e-4)
    reported, given = gradient(free / 8)
    assert reported == pytest.approx(free, rel=1e-6)
    assert given == pytest.approx(free / 8, rel=1e-3)


def test_weight_decay_spares_the_token(learn, empty) -> None:
    """With learning rates that only decay can act through: the gradient is clipped to nothing."""
    still = {"gradient_clip": 1e-30, "steps": 1, "learning_rate": 0.1, "token_learning_rate": 0.1}
    kept, decayed = (
        learn("Rex", empty, weight_decay=0.0, **still),
        learn("Rex", empty, weight_decay=1.0, **still),
    )
    assert torch.equal(kept.embeddings["clip"], decayed.embeddings["clip"])
    for name, (_, b) in kept.factors.items():
        assert torch.allclose(decayed.factors[name][1], 0.9 * b, atol=1e-6)


@pytest.mark.parametrize(("precision", "weights"), [("fp32", "fp32"), ("bf16", "fp32"), ("bf16", "bf16")])
def test_every_precision_learns_on_the_cpu(tiny_folder, rex, config, learn, empty, precision, weights) -> None:
    exact = learn("Rex", empty)
    backbone = load_backbone(tiny_folder, "cpu", weights)
    with train_concept(backbone, rex, empty, config.updated({"precision": precision})) as training:
        losses = [step.loss for step in training]
        concept = training.finish()
    assert losses == pytest.approx([step.loss for step in exact.curve], rel=0.1)
    assert concept.embeddings["clip"].dtype == torch.float32
    assert (concept_digest(concept) == concept_digest(exact)) == (precision == "fp32")


def test_the_schedules() -> None:
    constant, cosine = TrainConfig(steps=4), TrainConfig(steps=4, learning_rate_schedule="cosine")
    assert [learning_rate_scale(constant, step) for step in (1, 4)] == [1.0, 1.0]
    expected = [1.0, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2]
    assert [learning_rate_scale(cosine, step) for step in (1, 2, 3, 4)] == pytest.approx(expected)


# ------------------------------------------------------------------------------------ refused at once


def test_what_cannot_be_learned_is_refused_before_anything_is_done(backbone, rex, config, learn, empty) -> None:
    first = empty.then(learn("Rex", empty))
    base = base_digest(backbone)
    other = replace(first, method=SEQUENTIAL)
    for error, message, call in (
        (ConceptError, "<rex> is already taken", (rex, first, config)),
        (PictureError, "got 2", (replace(rex, pictures=rex.pictures[:2]), empty, config)),
        (SettingsError, "resolution 36.*multiple of 8", (rex, empty, config.updated({"resolution": 36}))),
        (SettingsError, "fp16 needs a GPU", (rex, empty, config.updated({"precision": "fp16"}))),
        (SettingsError, "with Sequential LoRA, not C-LoRA", (replace(rex, token="<dog>"), other, config)),
    ):
        with pytest.raises(error, match=message):
            train_concept(backbone, *call)
        assert base_digest(backbone) == base


def test_a_timeline_of_another_base_model_is_refused(backbone, rex, mug, config, learn, empty) -> None:
    concept = learn("Mug", empty)
    foreign = replace(concept, embeddings={"clip": torch.zeros(1, 99)})
    tokenizer = backbone.tables["clip"].tokenizer
    with pytest.raises(ConceptError, match="99 numbers"):
        train_concept(backbone, rex, Timeline("t", "T", "other", concepts=(foreign,)), config)
    assert backbone.tables["clip"].tokenizer is tokenizer


def test_auto_precision_is_resolved_before_it_is_recorded(tiny_folder, rex, config, empty) -> None:
    backbone = load_backbone(tiny_folder, "cpu")
    with train_concept(backbone, rex, empty, config.updated({"precision": "auto"})) as training:
        next(training)
        recorded = training.snapshot().config.precision
    amx = torch.cpu.get_capabilities().get("amx_bf16", False)
    assert recorded == ("bf16" if amx else "fp32")


def test_the_precision_follows_the_models_own() -> None:
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    assert resolved_precision("fp16", cuda, torch.float32) == "fp16"
    assert resolved_precision("auto", cuda, torch.float16) == "fp16"  # with accelerate's scaler
    assert resolved_precision("auto", cpu, torch.bfloat16) == "bf16"
    with pytest.raises(SettingsError, match="fp16 needs a GPU"):
        resolved_precision("fp16", cpu, torch.float32)
    with pytest.raises(SettingsError, match="loaded in bf16, so it cannot learn in fp32"):
        resolved_precision("fp32", cuda, torch.bfloat16)


# ------------------------------------------------------------------------------------------ memory


def test_checkpointing_and_offload_learn_the_same(xl, rex, config) -> None:
    """In a U-Net as SDXL has it, with its convolutions and transformers."""
    timeline, learned = Timeline("test", "Test", "base"), []
    for savings in (Savings(), Savings(checkpointing=True), Savings(checkpointing=True, offload=True)):
        with train_concept(xl, rex, timeline, config) as training:
            training.fit = replace(training.fit, savings=savings)
            steps = list(training)
            learned.append([(step.loss, step.grad_norm) for step in steps])
            training.finish()
    assert learned[0][0][0] == learned[1][0][0] == learned[2][0][0]
    assert learned[0] == [pytest.approx(step, rel=1e-3) for step in learned[1]]
    assert learned[1] == learned[2]
    assert not xl.denoiser.is_gradient_checkpointing


def test_a_batch_in_parts_learns_the_same_within_floating_point(backbone, rex, config, empty) -> None:
    batch, learned = config.updated({"batch_size": 5, "prior_pictures": 2}), []
    for at_once in (0, 2):
        with train_concept(backbone, rex, empty, batch, clock=lambda: 0.0) as training:
            training.fit = replace(training.fit, savings=Savings(at_once=at_once))
            learned.append(([step.loss for step in training], training.finish().tensors()))
    assert learned[0][0] == pytest.approx(learned[1][0], rel=1e-4)
    for name, value in learned[0][1].items():
        torch.testing.assert_close(learned[1][1][name], value, rtol=1e-2, atol=1e-4)


def test_where_memory_does_not_suffice_it_steps_down_and_learns_the_same(
    backbone, rex, config, empty, monkeypatch
) -> None:
    """PyTorch's own error, out of the model in the middle of a step: once, then until there is nothing left to save."""
    whole = config.updated({"batch_size": 2})
    with train_concept(backbone, rex, empty, whole) as training:
        plain = [step.loss for step in training]
    predict, calls, failing, told = type(backbone).predict, [], {3}, []

    def short(self, x_t, t, conditioning):
        calls.append(len(x_t))
        if len(calls) in failing:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return predict(self, x_t, t, conditioning)

    with train_concept(backbone, rex, empty, whole, on_short=lambda fit: told.append(fit.savings)) as training:
        monkeypatch.setattr(type(backbone), "predict", short)
        assert [step.loss for step in training] == plain
        assert told == [Savings(checkpointing=True)] and calls == [2] * 5
        monkeypatch.undo()
    failing, told = set(range(1, 100)), []
    calls.clear()
    with train_concept(backbone, rex, empty, whole, on_short=lambda fit: told.append(fit.savings)) as training:
        monkeypatch.setattr(type(backbone), "predict", short)
        with pytest.raises(torch.OutOfMemoryError):
            next(training)
        assert told == list(ladder(2))[1:] and calls == [2, 2, 1, 1, 1]
    monkeypatch.undo()
    assert backbone.installation.summed == () and not backbone.denoiser.is_gradient_checkpointing


def test_it_is_planned_for_the_memory_there_is(backbone, rex, config, empty) -> None:
    """What is counted grows with the pictures, and less of it is kept with checkpointing."""
    found = []
    for side in (RESOLUTION, 2 * RESOLUTION):
        with train_concept(backbone, rex, empty, config.updated({"resolution": side})) as training:
            found.append(training.footprint)
            assert training.fit.fits and training.fit.savings == Savings()
    assert 3 < found[1].whole / found[0].whole < 5
    assert all(0 < each.checkpointed < each.whole / 2 for each in found)
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    large = Footprint(resident=2 * 10**9, whole=95 * 10**8, checkpointed=10**9, picture=4 * 10**8)
    fits = {size: planned(large, size, 2, cuda) for size in SIZES}
    assert {size: fit.savings for size, fit in fits.items() if fit.fits} == {
        "8": Savings(True, 1),
        "12": Savings(True),
        "16": Savings(True),
        "24": Savings(),
    }
    assert planned(large, "all", 2, cpu).savings == Savings()
    huge = planned(replace(large, resident=10**11), "24", 2, cuda)
    assert not huge.fits and huge.savings == list(ladder(2))[-1] and huge.verdict.startswith("Does not fit")
    assert planned(replace(large, resident=10**13), "auto", 2, cpu).savings == Savings(True)
