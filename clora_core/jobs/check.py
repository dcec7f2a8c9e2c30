"""Checking what was learned: the card picture of every concept, and what changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from clora_core.answers import Verdict
from clora_core.concepts import LearnedConcept, Timeline, filled
from clora_core.drawing.generate import generate
from clora_core.drawing.png_settings import picture_info, save_picture
from clora_core.errors import TrainingError
from clora_core.jobs.folder import Job
from clora_core.measures.difference import difference
from clora_core.models.backbone import Backbone
from clora_core.models.description import BaseModel
from clora_core.settings.drawing import SamplingConfig
from clora_core.store.store import ConceptStore

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
) -> tuple[Verdict, dict[str, Path]]:
    """Draw the card picture of every concept and measure what changed: of the new one since its first step, of the
    older ones since each was learned.

    token_start: the new token's embeddings (layers, d), by table, before the first step.

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

    def draw_card(timeline: Timeline, concept: LearnedConcept, name: str) -> Path:
        path = job.folder / "drawn" / f"{name}.png"
        return draw_concept(model, timeline, concept, settings, path, lambda done, total: _check_close(job))

    job.update(phase="checking what was learned")
    drawn[learned.id] = draw_card(after, learned, learned.id)
    not_yet = draw_card(before.then(_not_yet_learned(learned, before, token_start)), learned, "not-yet")
    differs = difference(drawn[learned.id], not_yet)
    changed = []
    for number, concept in enumerate(before.concepts, 1):
        job.update(phase=f"checking older concepts ({number} of {len(before.concepts)})")
        now = drawn[concept.id] = draw_card(after, concept, concept.id)
        try:
            since_learned = difference(store.drawn(before.id, concept.id)[concept.id], now)
        except (KeyError, OSError, ValueError):  # missing, damaged or of another size: it can be drawn again
            since_learned = difference(draw_card(before.as_of(number), concept, "as-learned"), now)
        changed.append((concept.token, since_learned))
    return Verdict(differs, tuple(changed)), drawn


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
) -> Path:
    """One picture of ``concept``'s own prompt at the end of ``timeline``, saved as PNG at ``path``."""
    prompt = filled(concept.template, concept.token)
    image = generate(model.backbone, timeline, prompt, settings, on_step)[0]
    save_picture(image, path, picture_info(model.base.name, model.backbone.sampler, timeline, prompt, settings))
    return path
