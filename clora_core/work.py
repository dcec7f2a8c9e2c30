"""What the worker thread does with the model: learn a concept, draw pictures, check what was learned.

Nothing here keeps state between jobs. The model comes in as ``Loaded``, progress and wishes go through
the ``Job``, results through the ``ConceptStore``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clora_core.checkpoints import read_checkpoint, save_checkpoint
from clora_core.concepts import Concept, LearnedConcept, Timeline, TrainStep
from clora_core.errors import Cancelled, StudioError, TrainingError
from clora_core.job_folder import Interrupted, Job
from clora_core.methods import method_named
from clora_core.pictures import difference
from clora_core.pipeline import BaseModel, sampler_name
from clora_core.sampling import generate, picture_info, save_picture
from clora_core.settings import SamplingConfig, TrainConfig
from clora_core.store import ConceptStore
from clora_core.trainer import Training, train_concept
from clora_core.views import Preview, Verdict

CARD_STEPS = 12  # sampling steps of a card picture: as many as are drawn again after every concept
PREVIEW_STEPS = 8
PREVIEW_SHARE = 0.25  # of the time, at most
FIRST_PREVIEW_SECONDS = 3.0
CHECKPOINT_SECONDS = 20.0
CHECKPOINT_SHARE = 0.05  # of the time, at most
NOTHING_TO_KEEP = "Stopped before the first step; there is nothing to keep."


@dataclass(frozen=True)
class Loaded:
    """The model in memory, with what is known about it."""

    pipe: Any
    base: BaseModel


# ---------------------------------------------------------------------------------------- learning


def learn(model: Loaded, job: Job, store: ConceptStore, serve: Callable[[], int]) -> dict[str, Any]:
    """Learn the concept of ``job``, check it, store it; returns the job's last changes.

    ``serve`` is called between two steps, when the model is free to draw what was asked for meanwhile.

    Raises:
        Cancelled (discard), Interrupted (the programme ends; a checkpoint is left), StudioError.
    """
    request, begun = job.request, time.monotonic()
    config = TrainConfig.from_dict(request["config"])
    concept = concept_of(job)
    timeline = replace(store.load(request["timeline_id"], model.base.id), method=config.method)
    place = request.get("place")
    if place is not None and place != len(timeline.concepts):
        raise StudioError(
            f"{concept.name} was to be learned after {place} others, which were not all learned."
        )
    job.update(phase="preparing the pictures", total=config.steps, step=0)
    job.check_past([earlier.id for earlier in timeline.concepts])
    resume = read_checkpoint(job)
    job.forget_steps_after(resume.step if resume else 0)

    def on_draw(done: int, total: int) -> None:
        job.update(phase=f"drawing pictures to learn along, step {done} of {total}")
        job.check()
        if job.stop_wish and not resume:
            raise Cancelled(NOTHING_TO_KEEP)

    sampling = model.base.sampling
    with train_concept(model.pipe, concept, timeline, config, resume, sampling, on_draw) as training:
        _Progress(model, job, timeline, config, serve).run(training)
        if not job.record["step"]:
            raise Cancelled(NOTHING_TO_KEEP)
        learned = replace(training.finish(), id=store.next_id(timeline.id, concept.name))
        token_start = training.token_start
    del training  # its copies and moments: whole-model methods need the room
    verdict, drawn = check_learned(model, job, store, timeline, learned, token_start)
    keep = concept.pictures if request["keep_pictures"] else ()
    stored = store.append(timeline, learned, drawn, verdict, keep)
    early = job.stop_wish == "keep" and job.record["step"] < config.steps
    seconds = time.monotonic() - begun
    opening = (
        f"Stopped at step {job.record['step']} of {config.steps} and kept."
        if early
        else (f"{concept.name} is learned: write {concept.token} in a prompt.")
    )
    return {
        "state": "stopped" if early else "done",
        "message": f"{opening} {verdict.words()}",
        "verdict": verdict.to_json(),
        "concept_id": stored.id,
        "seconds": seconds,
        "pictures": [str(store.drawn(timeline.id, stored.id)[stored.id])],
    }


def concept_of(job: Job) -> Concept:
    """The concept of a learn job, with its pictures where they were copied to."""
    asked = job.request["concept"]
    pictures = tuple(job.uploads / name for name in asked["pictures"])
    return Concept(asked["name"], asked["token"], pictures, asked["template"])


class _Progress:
    """The steps of one learn job: what is reported, previewed and saved between them."""

    def __init__(
        self, model: Loaded, job: Job, timeline: Timeline, config: TrainConfig, serve: Callable[[], int]
    ) -> None:
        self._model, self._job, self._timeline = model, job, timeline
        self._config, self._serve = config, serve
        self._settings = card_settings(model.base, PREVIEW_STEPS)
        self._preview_seconds = 0.0  # what the last preview cost, for one picture
        self._preview_due = float("inf")
        self._checkpoint_due = time.monotonic() + CHECKPOINT_SECONDS
        # not spent on learning: until the first step is done, and drawing pictures that were asked for
        self._other_seconds = 0.0

    def run(self, training: Training) -> None:
        """Step until the end or until "stop and keep"; the caller finishes the training."""
        job, began = self._job, time.monotonic()
        first = len(job.steps())
        if self._config.preview_every_seconds > 0:
            older = [preview for preview in job.previews() if not preview.is_new]
            began_drawing = time.monotonic()
            if self._timeline.concepts and not older:
                with suppress(Cancelled):  # the wish is met below
                    self._preview_older(self._timeline, 0)
            if job.stop_wish == "keep" and not first:
                return
            self._check_wish(training)
            cost = time.monotonic() - began_drawing
            soon = min(FIRST_PREVIEW_SECONDS, self._config.preview_every_seconds)
            self._preview_due = time.monotonic() + max(soon, cost / PREVIEW_SHARE)
        job.update(phase="learning", step=first)
        for step in training:
            job.add_step(step)
            self._report(step, first, time.monotonic() - began)
            if job.stop_wish == "keep":
                break
            self._check_wish(training)
            self._pause(training, step)
        self._save(training)  # the checks that follow may be interrupted too, or find the disk full

    def _report(self, step: TrainStep, first: int, elapsed: float) -> None:
        done = step.step - first - 1  # after the first, before which pictures were encoded and perhaps drawn
        if not done:
            self._other_seconds = elapsed
        to_check = (len(self._timeline.concepts) + 2) * self._preview_seconds * CARD_STEPS / PREVIEW_STEPS
        each = (elapsed - self._other_seconds) / done if done else None
        self._job.update(
            step=step.step,
            total=step.total,
            seconds=round(elapsed, 2),
            phase="learning",
            steps_per_second=1.0 / max(each, 1e-9) if each is not None else None,
            seconds_left=round((step.total - step.step) * each + to_check, 1) if each is not None else None,
        )

    def _check_wish(self, training: Training) -> None:
        try:
            self._job.check()
        except Interrupted:
            self._save(training)
            raise

    def _save(self, training: Training) -> None:
        """A checkpoint, if there is room for one: learning goes on without."""
        try:
            save_checkpoint(self._job, training.state(), [concept.id for concept in self._timeline.concepts])
        except OSError as error:
            self._job.log(f"No checkpoint: {error}")

    def _pause(self, training: Training, step: TrainStep) -> None:
        """Between two steps the model is free: pictures asked for, previews, checkpoint."""
        before = time.monotonic()
        if self._serve():
            self._other_seconds += time.monotonic() - before
        if time.monotonic() >= self._preview_due and step.step < step.total:
            self._preview(training, step.step)
        if time.monotonic() >= self._checkpoint_due:
            began = time.monotonic()
            self._save(training)
            spent = time.monotonic() - began
            self._checkpoint_due = time.monotonic() + max(CHECKPOINT_SECONDS, spent / CHECKPOINT_SHARE)
        self._check_wish(training)

    def _preview(self, training: Training, step: int) -> None:
        began = time.monotonic()
        self._job.update(phase="drawing a preview")
        timeline = self._timeline.then(training.snapshot())
        with suppress(Cancelled):  # the pause that this is part of ends by meeting the wish
            self._draw(timeline, timeline.concepts[-1], step, is_new=True)
            if self._timeline.concepts:
                self._preview_older(timeline, step)
        cost = time.monotonic() - began
        self._preview_due = time.monotonic() + max(self._config.preview_every_seconds, cost / PREVIEW_SHARE)

    def _preview_older(self, timeline: Timeline, step: int) -> None:
        """The oldest concept: it has seen the most since, so it has the most to lose."""
        self._draw(timeline, timeline.concepts[0], step, is_new=False)

    def _draw(self, timeline: Timeline, concept: LearnedConcept, step: int, is_new: bool) -> None:
        began = time.monotonic()
        path = self._job.preview_path(step, is_new)
        draw_concept(self._model, timeline, concept, self._settings, path, self._keep_going)
        self._job.add_preview(Preview(step, concept.token, concept.name, path, is_new))
        self._preview_seconds = time.monotonic() - began

    def _keep_going(self, done: int, total: int) -> None:
        if self._job.stop_wish:
            raise Cancelled("Stopped.")


# ---------------------------------------------------------------------------------------- checking


def check_learned(
    model: Loaded,
    job: Job,
    store: ConceptStore,
    before: Timeline,
    learned: LearnedConcept,
    token_start: Tensor,
) -> tuple[Verdict, dict[str, Path]]:
    """Draw the card picture of every concept and measure what changed: of the new one since its first step, of the
    older ones since each was learned.

    token_start: the new token's embedding (text_dim,) before the first step.

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


def _not_yet_learned(learned: LearnedConcept, before: Timeline, token_start: Tensor) -> LearnedConcept:
    """The concept as it began: its token at the start, the weights as they were before it: D = A 0, or the last
    concept's where one set of weights is trained on and on."""
    learned = replace(learned, token_embedding=token_start)
    if method_named(before.method).continues and before.concepts:
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


# ----------------------------------------------------------------------------------------- drawing


def draw_concept(
    model: Loaded,
    timeline: Timeline,
    concept: LearnedConcept,
    settings: SamplingConfig,
    path: Path,
    on_step: Callable[[int, int], None],
) -> Path:
    """One picture of ``concept``'s own prompt at the end of ``timeline``, saved as PNG at ``path``."""
    prompt = concept.template.format(concept.token)
    image = generate(model.pipe, timeline, prompt, settings, on_step)[0]
    save_picture(
        image, path, picture_info(model.base.name, sampler_name(model.pipe), timeline, prompt, settings)
    )
    return path


def draw(model: Loaded, job: Job, store: ConceptStore, pictures: Path) -> dict[str, Any]:
    """Draw what ``job`` asks for into the folder ``pictures``; returns the job's last changes."""
    request, began = job.request, time.monotonic()
    timeline = store.load(request["timeline_id"], model.base.id, request["as_of"], to_draw=True)
    settings = SamplingConfig.from_dict(request["settings"])

    def on_step(done: int, total: int) -> None:
        job.check()
        elapsed = time.monotonic() - began
        job.update(
            step=done,
            total=total,
            seconds=round(elapsed, 2),
            steps_per_second=done / max(elapsed, 1e-9),
            seconds_left=round((total - done) * elapsed / max(done, 1), 1),
        )

    job.update(phase="drawing")
    images = generate(model.pipe, timeline, request["prompt"], settings, on_step)
    pictures.mkdir(parents=True, exist_ok=True)
    stamp, saved = time.strftime("%Y%m%d-%H%M%S"), []
    for number, image in enumerate(images):
        path = pictures / f"{stamp}-{job.id}-{number + 1}.png"
        info = picture_info(
            model.base.name, sampler_name(model.pipe), timeline, request["prompt"], settings, number
        )
        save_picture(image, path, info)
        saved.append(str(path))
    return {"pictures": saved, "total": job.record["step"], "seconds": round(time.monotonic() - began, 2)}
