"""Checking what was learned: the card picture of every concept, and what changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from clora_core.concepts import LearnedConcept, Timeline, filled
from clora_core.drawing.generate import generate
from clora_core.drawing.png_settings import picture_info, save_picture
from clora_core.errors import TrainingError
from clora_core.jobs.folder import Job
from clora_core.jobs.likeness import RealPictures, features
from clora_core.measures.difference import difference
from clora_core.models.backbone import Backbone
from clora_core.models.description import BaseModel
from clora_core.settings.drawing import SamplingConfig
from clora_core.store.store import ConceptStore
from clora_core.verdict import LIGHTER, Outcome, Verdict, outcome

DRAWN = 4  # pictures of a new concept that are measured
CARD_STEPS = 12  # sampling steps of a card picture: as many as are drawn again after every concept


@dataclass(frozen=True)
class Loaded:
    """The model in memory, with what is known about it."""

    backbone: Backbone
    base: BaseModel


def check_learned(
    model: Loaded,
    job: Job,
    store: ConceptStore,
    before: Timeline,
    learned: LearnedConcept,
    token_start: Mapping[str, Tensor],
    real: RealPictures | None = None,
) -> tuple[Verdict, dict[str, Path]]:
    """Draw the new concept DRAWN times and every older one once, and measure how like its real pictures the new one is,
    how much it has changed since its first step, and the older ones since each was learned.

    The card picture of the new one is that which is most like the real pictures; of an older one that of the seed its
    card has.

    token_start: the new token's embeddings (layers, d), by table, before the first step.  real: None = they cannot be
    looked at, and the card picture has the preset's seed.

    Returns: the verdict, and the card pictures by concept id.

    Raises:
        TrainingError: a learned number is not finite.
    """
    if not all(bool(torch.isfinite(tensor).all()) for tensor in learned.tensors().values()):
        raise TrainingError(
            f"Learning {learned.name} ended in weights that are not finite, so nothing was stored. "
            f"Lower the learning rate (it was {learned.config.learning_rate:g})."
        )
    after, settings = before.then(learned), card_settings(model.base, CARD_STEPS)
    (job.folder / "drawn").mkdir(exist_ok=True)
    drawn: dict[str, Path] = {}

    def draw_card(timeline: Timeline, concept: LearnedConcept, name: str, seed: int) -> Path:
        path, chosen = job.folder / "drawn" / f"{name}.png", replace(settings, seed=seed)
        return draw_concept(model, timeline, concept, chosen, path, lambda done, total: _check_close(job))

    seeds = [settings.seed_of(place) for place in range(DRAWN if real else 1)]
    pictures = []
    for number, seed in enumerate(seeds, 1):
        job.update(phase=f"checking what was learned (picture {number} of {len(seeds)})")
        pictures.append(draw_card(after, learned, f"{learned.id}-{number}", seed))
    rows = features(real.network, pictures) if real else np.zeros((1, 1))
    alike = rows @ real.mean if real else np.zeros(1)
    best = int(np.argmax(alike))
    card, seed = pictures[best], seeds[best]
    drawn[learned.id] = card
    not_yet = draw_card(before.then(_not_yet_learned(learned, before, token_start)), learned, "not-yet", seed)
    changed, older_likeness, looks = [], [], store.looks(before.id)
    seeds_of = {view.id: view.verdict.seed for view in store.view(before.id).cards if view.verdict}
    for number, concept in enumerate(before.concepts, 1):
        job.update(phase=f"checking older concepts ({number} of {len(before.concepts)})")
        own_seed = seeds_of.get(concept.id)
        own_seed = settings.seed if own_seed is None else own_seed
        now = drawn[concept.id] = draw_card(after, concept, concept.id, own_seed)
        try:
            since_learned = difference(store.drawn(before.id, concept.id)[concept.id], now)
        except (KeyError, OSError, ValueError):  # missing, damaged or of another size: it can be drawn again
            since_learned = difference(draw_card(before.as_of(number), concept, "as-learned", own_seed), now)
        changed.append((concept.token, since_learned))
        look = looks.get(concept.id)
        if real and look and look.network in real.networks:
            older_likeness.append((concept.token, float(real.likeness_to(look, [now])[0])))
    moved = difference(card, not_yet)
    if real is None:
        return Verdict(moved, tuple(changed)), drawn
    like, was = float(alike.mean()), float(real.likeness([not_yet])[0])
    others = [
        (concept.token, float((rows @ look.mean).mean()))
        for concept in before.concepts
        if (look := looks.get(concept.id)) and look.network == real.network.name
    ]
    nearest = max(others, key=lambda pair: pair[1], default=("", -1.0))
    confused = nearest if nearest[1] > like else None
    diverged = weight(model.backbone, learned) > LIGHTER
    came: Outcome = "diverged" if diverged else outcome(like, was, real.alike, confused is not None)
    return (
        Verdict(moved, tuple(changed), came, like, was, real.alike, tuple(older_likeness), confused, seed),
        drawn,
    )


def weight(backbone: Backbone, learned: LearnedConcept) -> float:
    """Norm of what was learned as a share of that of the model's own weights in the same places."""
    pairs = ((f"{layer}.weight", a @ b) for layer, (a, b) in learned.factors.items())  # one dense product at a time
    squares = [
        (float(change.norm()) ** 2, float(backbone.installation.pristine(name).norm()) ** 2)
        for name, change in chain(pairs, learned.deltas.items())
    ]
    own = sum(square for _, square in squares)
    return math.sqrt(sum(square for square, _ in squares) / own) if own else 0.0


def _not_yet_learned(learned: LearnedConcept, before: Timeline, token_start: Mapping[str, Tensor]) -> LearnedConcept:
    """The concept as it began: its token at the start, the weights as they were before it: D = A 0, or the last
    concept's where one set of weights is trained on and on."""
    learned = replace(learned, embeddings=token_start)
    if before.method.continues and before.concepts:
        last = before.concepts[-1]
        return replace(learned, factors=last.factors, deltas=last.deltas)
    factors = {layer: (a, torch.zeros_like(b)) for layer, (a, b) in learned.factors.items()}
    deltas = {name: torch.zeros_like(delta) for name, delta in learned.deltas.items()}
    return replace(learned, factors=factors, deltas=deltas)


def _check_close(job: Job) -> None:
    if job.stop_wish != "keep":
        job.check()


def card_settings(base: BaseModel, steps: int) -> SamplingConfig:
    """The model's own sampling preset, cheaper: one picture, at most ``steps`` steps."""
    return replace(base.sampling, steps=min(base.sampling.steps, steps), pictures=1)


def draw_concept(
    model: Loaded,
    timeline: Timeline,
    concept: LearnedConcept,
    settings: SamplingConfig,
    path: Path,
    on_step: Callable[[int, int], None],
    template: str = "",
) -> Path:
    """One picture of ``concept`` at the end of ``timeline``, by ``template`` or its own prompt; a PNG at ``path``."""
    prompt = filled(template or concept.template, concept.token)
    image = generate(model.backbone, timeline, prompt, settings, on_step)[0]
    save_picture(image, path, picture_info(model.base.name, model.backbone.sampler, timeline, prompt, settings))
    return path
