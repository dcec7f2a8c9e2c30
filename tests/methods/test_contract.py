"""Every method under one contract, and what sets each apart, on the tiny model's tensors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny.digests import base_digest, digest

from clora_core.bench.costs import costs
from clora_core.concepts import Concept, LearnedConcept, Timeline
from clora_core.drawing.generate import generate
from clora_core.errors import Cancelled, ConceptError, SettingsError
from clora_core.jobs.requests import LearnRequest
from clora_core.learning.trainer import DRAWN_AT_ONCE, train_concept
from clora_core.methods import Method, class_of
from clora_core.models.installation import sum_of_deltas
from clora_core.models.loading import load_backbone
from clora_core.settings.plugins import known_methods

METHODS = known_methods([Path(__file__).parents[1] / "tiny/own_method.py"])
EVERY = METHODS.names
FEW = ("clora", "routed", "small")
SLOWLY = [name if name in FEW else pytest.param(name, marks=pytest.mark.slow) for name in EVERY]
KV = ("to_k.weight", "to_v.weight")


@pytest.fixture(autouse=True)
def few_fisher_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """EWC's Fisher information from 8 pictures a concept instead of 64: these tests are of its use, not its noise."""
    monkeypatch.setattr("clora_core.methods.ewc.FISHER_DRAWS", 8)


@pytest.fixture(scope="module")
def learned() -> dict[tuple[object, ...], LearnedConcept]:
    """What was learned for a test before: the same settings give the same bits."""
    return {}


@pytest.fixture
def sequence(learn, empty, learned):
    """sequence(method, count, **settings) -> a timeline of `count` concepts learned with that method."""

    def sequence(method: str, count: int = 2, **settings):
        timeline = replace(empty, method=METHODS.named(method))
        for seed, name in enumerate(("Rex", "Mug")[:count]):  # the same pictures, told apart by the seed
            settings = {**few_replayed(method), **settings, "seed": seed}
            key = (method, name, *sorted(settings.items()))
            if key not in learned:
                learned[key] = learn(name, timeline, **settings)
            timeline = timeline.then(learned[key])
        return timeline

    return sequence


def few_replayed(method: str) -> dict[str, int]:
    return {"replay_pictures": 2} if method == "generative_replay" else {}


def install(backbone, timeline: Timeline, prompt: str) -> None:
    class_of(timeline.method).install(backbone, timeline, prompt)


def unet_weights(backbone) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in backbone.denoiser.named_parameters()}


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("row", METHODS, ids=EVERY)
def test_the_row_says_what_the_class_does(row) -> None:
    kind = class_of(row)
    assert issubclass(kind, Method) and kind.__doc__
    assert row.penalised == (kind.penalty is not Method.penalty)


@pytest.mark.parametrize("method", EVERY)
def test_learning_and_drawing_leave_the_base_model_as_it_was(backbone, sequence, settings, method) -> None:
    before = base_digest(backbone)
    timeline = sequence(method)
    assert base_digest(backbone) == before
    generate(backbone, timeline, "a photo of <rex>", settings)
    generate(backbone, timeline.as_of(0), "a photo", settings)
    assert base_digest(backbone) == before


@pytest.mark.parametrize("method", EVERY)
def test_going_back_in_time_gives_the_earlier_picture_bit_for_bit(backbone, sequence, settings, method) -> None:
    timeline = sequence(method, 1)
    earlier = generate(backbone, timeline, "a photo of <rex>", settings)[0].tobytes()
    later = sequence(method)
    assert generate(backbone, later.as_of(1), "a photo of <rex>", settings)[0].tobytes() == earlier
    generate(backbone, later, "a photo of <rex> and <mug>", settings)
    assert generate(backbone, later.as_of(1), "a photo of <rex>", settings)[0].tobytes() == earlier


@pytest.mark.parametrize("method", EVERY)
def test_a_concept_survives_the_disk(sequence, method) -> None:
    learned = sequence(method).concepts[1]
    again = LearnedConcept.from_json(learned.to_json(), learned.tensors(), METHODS)
    assert digest(*again.tensors().values()) == digest(*learned.tensors().values())
    assert list(again.tensors()) == list(learned.tensors())
    assert again.config == learned.config and again.config.method.name == method


@pytest.mark.parametrize("method", EVERY)
def test_a_later_concept_changes_no_byte_of_an_earlier_one(sequence, learn, method) -> None:
    timeline = sequence(method, 1)
    before = digest(*timeline.concepts[0].tensors().values())
    learn("Mug", timeline, **few_replayed(method))
    assert digest(*timeline.concepts[0].tensors().values()) == before


def test_stacked_is_clora_without_penalty(sequence) -> None:
    plain, stacked = sequence("clora", penalty_weight=0.0), sequence("stacked")
    for one, other in zip(plain.concepts, stacked.concepts, strict=True):
        assert digest(*one.tensors().values()) == digest(*other.tensors().values())
    assert all(step.penalty == 0 for step in stacked.concepts[1].curve)


def test_one_lora_goes_on_where_it_ended(backbone, sequence, learn, pictures, config) -> None:
    timeline = sequence("sequential", 1)
    training = train_concept(backbone, Concept("Mug", "<mug>", pictures), timeline, config.under(timeline.method))
    start = training.snapshot()
    first = timeline.concepts[0]
    for name, pair in first.factors.items():
        assert all(torch.equal(a, b) for a, b in zip(pair, start.factors[name], strict=True))
    training.close()
    with pytest.raises(SettingsError, match="rank 2, not 3"):
        learn("Mug", timeline, rank=3)


def test_sequential_draws_with_the_last_pairs_alone(backbone, sequence) -> None:
    timeline = sequence("sequential")
    base = unet_weights(backbone)
    install(backbone, timeline, "")
    now = unet_weights(backbone)
    for name, (a, b) in timeline.concepts[-1].factors.items():
        assert torch.allclose(now[f"{name}.weight"], base[f"{name}.weight"] + a @ b, atol=1e-6)


@pytest.mark.parametrize("method", [row.name for row in METHODS if row.alone])
def test_what_is_learned_alone_is_the_same_after_any_past(sequence, learn, empty, method) -> None:
    first = learn("Mug", replace(empty, method=METHODS.named(method)), seed=1)
    assert digest(*first.tensors().values()) == digest(*sequence(method).concepts[1].tensors().values())


def test_merged_is_drawn_with_the_sum(backbone, sequence) -> None:
    timeline = sequence("merged")
    base = unet_weights(backbone)
    install(backbone, timeline, "a photo")
    now = unet_weights(backbone)
    for name, total in sum_of_deltas(timeline.concepts, backbone.matrices).items():
        assert torch.allclose(now[name], base[name] + total, atol=1e-6)


def test_routed_switches_on_what_the_prompt_names(backbone, sequence, settings) -> None:
    timeline = sequence("routed")
    base = unet_weights(backbone)

    def weights(prompt: str) -> dict[str, torch.Tensor]:
        install(backbone, timeline, prompt)
        return unet_weights(backbone)

    assert changed(base, weights("a photo")) == set()
    rex, mug, both = weights("<rex>"), weights("<mug>"), weights("<rex> and <mug>")
    for name in changed(base, both):
        assert torch.allclose(both[name], rex[name] + mug[name] - base[name], atol=1e-6)
    assert not torch.equal(*(torch.cat([value.flatten() for value in one.values()]) for one in (rex, mug)))


def test_routed_never_forgets(backbone, sequence, settings) -> None:
    one, two = sequence("routed", 1), sequence("routed")
    drawn = [generate(backbone, timeline, "a photo of <rex>", settings)[0].tobytes() for timeline in (one, two)]
    assert drawn[0] == drawn[1]


def test_textual_inversion_learns_a_vector_and_nothing_else(backbone, sequence) -> None:
    timeline = sequence("textual_inversion")
    base = unet_weights(backbone)
    install(backbone, timeline, "<rex>")
    assert changed(base, unet_weights(backbone)) == set()
    assert [list(concept.tensors()) for concept in timeline.concepts] == [["embeddings.clip"]] * 2


@pytest.mark.parametrize("method", ["custom_diffusion", "ewc", "dreambooth"])
def test_whole_weights_go_on_from_concept_to_concept(backbone, sequence, learn, method) -> None:
    timeline = sequence(method, learning_rate=1e-3)
    base = unet_weights(backbone)
    install(backbone, timeline, "")
    now = unet_weights(backbone)
    for name, delta in timeline.concepts[1].deltas.items():
        assert torch.allclose(now[name], base[name] + delta, atol=1e-7)
    assert changed(base, now)
    if method == "dreambooth":
        assert set(timeline.concepts[1].deltas) == set(base)
        assert [name for name in changed(base, now) if not name.endswith(KV)]
    else:
        assert all(name.endswith(KV) for name in changed(base, now))
    still = learn("Mug", timeline.as_of(1), learning_rate=0.0)
    first = timeline.concepts[0].deltas
    assert all(torch.allclose(delta, first[name], atol=1e-7) for name, delta in still.deltas.items())


def test_ewc_penalises_what_the_fisher_diagonals_say(backbone, sequence, learn, pictures, config) -> None:
    timeline = sequence("ewc", learning_rate=1e-3, penalty_weight=0.0)
    settings = {"learning_rate": 1e-3, "penalty_weight": 50.0}
    concept = Concept("Ilva", "<ilva>", pictures)
    with train_concept(backbone, concept, timeline, config.under(timeline.method).updated(settings)) as training:
        start = next(training).penalty  # at the last concept's optimum: only the first one's term is there
        theta = training.snapshot().deltas
        expected = sum(
            float((earlier.memory[f"fisher.{name}"] * (value - earlier.deltas[name]) ** 2).sum())
            for earlier in timeline.concepts
            for name, value in theta.items()
        )
        assert next(training).penalty == pytest.approx(25.0 * expected, rel=1e-3)
    first, second = timeline.concepts
    expected = sum(
        float((first.memory[f"fisher.{name}"] * (second.deltas[name] - first.deltas[name]) ** 2).sum())
        for name in theta
    )
    assert start == pytest.approx(25.0 * expected, rel=1e-3)


def test_the_fisher_diagonal_is_the_mean_square_of_the_gradient(backbone, pictures, config, empty, monkeypatch) -> None:
    monkeypatch.setattr("clora_core.methods.ewc.FISHER_DRAWS", 3)
    row, concept = METHODS.named("ewc"), Concept("Rex", "<rex>", pictures)
    method = class_of(row)(config.under(row))
    method.install(backbone, empty, "", reserve=concept.token)
    method.begin_concept(backbone, concept, empty)
    weights = dict(zip(method.weights.trained, method.weights.parameters(), strict=True))
    slopes = []

    def step_loss(step: int, batch: int) -> torch.Tensor:
        """Linear in every weight, so that its gradient is known."""
        torch.manual_seed(step)
        slopes.append({name: torch.randn_like(value, requires_grad=False) for name, value in weights.items()})
        return sum((slopes[-1][name] * value).sum() for name, value in weights.items())

    found = method.end_concept(backbone, None, step_loss)
    for name in weights:
        expected = torch.stack([slope[name] ** 2 for slope in slopes]).mean(0)
        assert torch.allclose(found[f"fisher.{name}"], expected, rtol=1e-4)
    assert len(slopes) == 3


def test_costs_count_what_is_trained_and_what_is_kept(backbone, sequence, tiny_folder) -> None:
    whole, token = backbone.denoiser.num_parameters(), backbone.pipe.text_encoder.config.hidden_size
    adapted = [m.weight for name, m in backbone.denoiser.named_modules() if name.endswith(("attn2.to_k", "attn2.to_v"))]
    pairs = sum(2 * sum(weight.shape) for weight in adapted)  # rank 2
    dense = sum(weight.numel() for weight in adapted)
    expected = {  # trained for one concept, stored for two
        "clora": (pairs + token, 2 * (pairs + token)),
        "sequential": (pairs + token, pairs + 2 * token),
        "textual_inversion": (token, 2 * token),
        "custom_diffusion": (dense + token, dense + 2 * token),
        "ewc": (dense + token, 2 * (2 * dense + token)),  # each concept's weights and Fisher diagonal
    }
    for method, numbers in expected.items():
        found = costs(sequence(method).concepts, str(tiny_folder))
        percent = [found["trained_percent"], found["stored_percent"]]
        assert percent == pytest.approx([100 * number / whole for number in numbers], abs=1e-4), method


def test_the_fisher_diagonal_does_not_depend_on_the_batch(sequence) -> None:
    fishers = [
        sequence("ewc", 1, learning_rate=0.0, token_learning_rate=0.0, batch_size=size).concepts[0].memory
        for size in (1, 4)
    ]
    assert all(torch.equal(value, fishers[1][name]) for name, value in fishers[0].items())
    assert all(value.isfinite().all() and value.any() for value in fishers[0].values())


def test_ewc_holds_the_weights_that_matter(sequence, learn) -> None:
    timeline = sequence("ewc", 1, learning_rate=1e-2)
    first = timeline.concepts[0]

    def moved(weight: float) -> float:
        new = learn("Mug", timeline, learning_rate=1e-2, steps=20, penalty_weight=weight)
        return sum(
            float((first.memory[f"fisher.{name}"] * (delta - first.deltas[name]) ** 2).sum())
            for name, delta in new.deltas.items()
        )

    fisher = torch.cat([value.flatten() for name, value in first.memory.items()])
    assert (fisher >= 0).all() and fisher.max() > 0
    assert moved(1e9) < 0.3 * moved(0.0)


@pytest.mark.parametrize("word", ["{a|b}", "a {", "{}", "{0}"])
def test_braces_in_the_object_word_are_text(learn, empty, word) -> None:
    if word == "{}":  # a place for the token: two of them make no sense, and are said
        with pytest.raises(ConceptError, match="must hold {} once"):
            learn("Rex", empty, object_word=word, steps=1)
    else:
        assert learn("Rex", empty, object_word=word, steps=1).config.object_word == word


def test_the_merge_gives_every_concept_what_it_learned(backbone, sequence, settings) -> None:
    """Its constraint, W c = W_i c for the text features c of each concept, and its objective: W_0 for texts without
    one."""
    timeline = sequence("custom_diffusion_merge", learning_rate=1e-2)
    base = unet_weights(backbone)
    install(backbone, timeline, "")
    merged = unet_weights(backbone)
    worst = 0.0
    for concept in timeline.concepts:
        c = concept.memory["features"]
        for name, delta in concept.deltas.items():
            wanted, got, alone = c @ delta.T, c @ (merged[name] - base[name]).T, (c @ delta.T).norm()
            worst = max(worst, float((got - wanted).norm() / alone))
    assert worst < 0.05
    gram = timeline.concepts[0].memory["gram"]
    c = torch.cat([concept.memory["features"] for concept in timeline.concepts])
    for name in timeline.concepts[0].deltas:
        shift = merged[name] - base[name]
        smallest = (torch.linalg.pinv(c) @ c @ shift.T).T  # of all that keep the constraint, the least change
        ours, theirs = (float((change @ gram @ change.T).trace()) for change in (shift, smallest))
        assert ours < 0.01 * theirs  # || (W - W_0) C_reg^T ||^2


def test_replay_draws_every_earlier_concept_and_learns_it_along(backbone, sequence, learn, monkeypatch) -> None:
    import clora_core.learning.trainer as trainer

    asked = []

    def spy(backbone, timeline, prompt, settings, on_step):
        asked.append((len(timeline.concepts), prompt, settings.pictures, settings.width, settings.guidance_scale))
        return generate(backbone, timeline, prompt, settings, on_step)

    monkeypatch.setattr(trainer, "generate", spy)
    timeline = sequence("generative_replay", replay_pictures=3)
    assert asked == [(1, "a photo of <rex>", 3, 32, 1.0)]  # without guidance
    before, common = timeline.as_of(1), {"seed": 1, "replay_pictures": 3}
    ignored = learn("Mug", before, prior_weight=0.0, **common)
    plain = learn("Mug", replace(before, method=METHODS.named("sequential")), seed=1)
    assert digest(*ignored.tensors().values()) == digest(*plain.tensors().values())
    assert digest(*timeline.concepts[1].tensors().values()) != digest(*plain.tensors().values())
    guided = learn("Mug", before, replay_guidance=4.0, **common)
    assert asked[-1] == (1, "a photo of <rex>", 3, 32, 4.0)
    assert digest(*timeline.concepts[1].tensors().values()) != digest(*guided.tensors().values())


@pytest.mark.parametrize("method", EVERY)
def test_prior_pictures_are_drawn_by_the_base_model(backbone, sequence, monkeypatch, method) -> None:
    import clora_core.learning.trainer as trainer

    asked = []

    def spy(backbone, timeline, prompt, settings, on_step):
        asked.append((len(timeline.concepts), prompt, settings.pictures))
        return generate(backbone, timeline, prompt, settings, on_step)

    monkeypatch.setattr(trainer, "generate", spy)
    prior = {"prior_pictures": 2, "prior_prompt": "a photo of a far man"}
    timeline = sequence(method, **prior)
    assert [words for words in asked if not words[0]] == [(0, "a photo of a far man", 2)] * 2
    plain = sequence(method, 1).concepts[0]
    same = digest(*timeline.concepts[0].tensors().values()) == digest(*plain.tensors().values())
    assert same == (method in ("textual_inversion", "gated"))  # a prompt without the token tells nothing of it


def test_the_ablations_are_settings(backbone, pictures, config, empty) -> None:
    concept = Concept("Rex", "<rex>", pictures)
    ablated = config.updated({"token_start": "photo", "object_word": "far"})
    with train_concept(backbone, concept, empty, ablated) as training:
        start = training.snapshot()
    table = backbone.tables["clip"]
    ids = table.tokenizer("photo", add_special_tokens=False).input_ids
    assert torch.allclose(start.embeddings["clip"], table.weight[ids].mean(0, keepdim=True), atol=1e-6)
    assert start.template == "a photo of {} far"


@pytest.mark.parametrize("method", SLOWLY)
def test_every_method_goes_through_the_door_with_previews_and_checks(open_bench, tmp_path, method, monkeypatch) -> None:
    monkeypatch.setattr("clora_core.jobs.learn.PREVIEW_SHARE", 1e9)  # after every step
    studio = open_bench(tmp_path / "home", methods=METHODS)
    try:
        timeline_id = studio.new_timeline("People")
        changes = {"method": method, "preview_every_seconds": 0.001, "steps": 4, **few_replayed(method)}
        for sample in studio.samples()[:2]:
            concept = Concept(sample.name, sample.token, sample.pictures)
            job_id = studio.learn(LearnRequest(timeline_id, concept, studio.base.train_with(changes)))
            view = studio.wait(job_id, 120)
            assert (view.state, view.resumable) == ("done", False), view.message
        assert [p.is_new for p in view.previews].count(True) >= 2 and view.verdict
        assert view.verdict.differs_from_base > 0
        cards = studio.timeline(timeline_id).cards
        assert [card.token for card in cards] == [sample.token for sample in studio.samples()[:2]]
        if METHODS.named(method).steady:
            assert cards[0].changed == 0.0
    finally:
        studio.close()


@pytest.mark.parametrize("method", ["custom_diffusion", "custom_diffusion_merge", "ewc", "dreambooth"])
def test_whole_weights_learn_in_fp32_inside_a_bf16_model(tiny_folder, pictures, config, method) -> None:
    backbone = load_backbone(tiny_folder, "cpu", "bf16")
    before = base_digest(backbone)
    empty = Timeline("test", "Test", "", METHODS.named(method))
    concept = Concept("Rex", "<rex>", pictures)
    own = {"steps": 2, "precision": "bf16"}
    with train_concept(backbone, concept, empty, config.under(empty.method).updated(own)) as training:
        assert all(torch.isfinite(torch.tensor(step.loss)) for step in training)
        learned = training.finish()
    assert any(delta.abs().max() > 0 for delta in learned.deltas.values())
    assert base_digest(backbone) == before


def test_more_pictures_can_be_drawn_to_learn_from_than_at_once(backbone, learn, empty) -> None:
    assert learn("Rex", empty, steps=1, prior_pictures=DRAWN_AT_ONCE + 1).curve


def test_drawing_pictures_to_learn_from_can_be_stopped(backbone, pictures, config, empty) -> None:
    def stop(done: int, total: int) -> None:
        raise Cancelled("Stopped.")

    before = base_digest(backbone)
    training = train_concept(
        backbone, Concept("Rex", "<rex>", pictures), empty, config.updated({"prior_pictures": 2}), on_draw=stop
    )
    with pytest.raises(Cancelled), training:
        next(training)
    assert base_digest(backbone) == before
