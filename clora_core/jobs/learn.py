"""Learning what was asked for: the steps, what is shown and saved between them, and storing what was learned.

Nothing here keeps state between jobs. The model comes in as ``Loaded``, progress and wishes go through
the ``Job``, results through the ``ConceptStore``.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import OutOfMemoryError, Tensor

from clora_core.answers import Preview, to_plain
from clora_core.concepts import Concept, LearnedConcept, Timeline, TrainStep
from clora_core.data.pictures import Opening, minimum_side, open_pictures, usable
from clora_core.errors import Cancelled, PictureError, StoreError, StudioError
from clora_core.jobs.check import CARD_STEPS, DRAWN, Loaded, card_settings, check_learned, draw_concept
from clora_core.jobs.checkpoints import read_checkpoint, save_checkpoint
from clora_core.jobs.folder import Interrupted, Job
from clora_core.jobs.likeness import RealPictures, look_at
from clora_core.jobs.requests import LearnRequest
from clora_core.learning.trainer import Training, TrainState, train_concept
from clora_core.models.peak_memory import peak_memory_mb
from clora_core.settings.drawing import SamplingConfig
from clora_core.settings.fields import labelled
from clora_core.settings.learning import TrainConfig
from clora_core.settings.memory import Fit
from clora_core.store.store import ConceptStore
from clora_core.verdict import Verdict

PREVIEW_STEPS = 8
PREVIEW_SHARE = 0.25  # of the time, at most
FIRST_PREVIEW_SECONDS = 3.0
WATCHED = 3  # older concepts, at most, that previews show: one a preview, in turn
CHECKPOINT_SECONDS = 20.0
CHECKPOINT_SHARE = 0.05  # of the time, at most
SERVING_SHARE = 0.5  # of the time, at most, for drawings that were asked for meanwhile, however many people draw
NOTHING_TO_KEEP = "Stopped before the first step; there is nothing to keep."


def learn(model: Loaded, job: Job, store: ConceptStore, serve: Callable[[], bool], opening: Opening) -> dict[str, Any]:
    """Learn the concept of ``job``, check it, store it; returns the job's last changes.

    ``serve`` is called between two steps, when the model is free to draw what was asked for meanwhile.
    opening: how the copies of the pictures are opened; those decoded at the door need not be decoded again.

    Raises:
        Cancelled (discard), Interrupted (the programme ends; a checkpoint is left), StudioError.
    """
    request = job.request
    assert isinstance(request, LearnRequest)
    began = time.monotonic()
    config, pictures = request.config, tuple(job.uploads / name for name in request.concept.pictures)
    concept = replace(request.concept, pictures=pictures)
    timeline = replace(store.load(request.timeline_id, model.base.id), method=config.method)
    if request.place is not None and request.place != len(timeline.concepts):
        raise StudioError(f"{concept.name} was to be learned after {request.place} others, which were not all learned.")
    job.update(phase="preparing the pictures", total=config.steps, step=0)
    job.check_past([earlier.id for earlier in timeline.concepts])
    _check_pictures(job, pictures, config, opening)
    real = _real(model, job, request, opening)
    resume, again = _resumed(job)
    job.go_on_from(resume.curve if resume else ())

    def getting_ready(phase: str) -> None:
        job.update(phase=phase)
        job.check()
        if job.stop_wish and not resume:
            raise Cancelled(NOTHING_TO_KEEP)

    def on_draw(done: int, total: int) -> None:
        getting_ready(f"drawing pictures to learn along, step {done} of {total}")

    def on_encode(done: int, total: int) -> None:
        getting_ready(f"preparing the pictures, view {done + 1} of {total}")

    def on_short(fit: Fit) -> None:
        said = f"Memory did not suffice. From step {job.record['step'] + 1} on with {fit.savings.words()}."
        job.log(said)
        job.update(memory=said, fit=to_plain(fit))

    sampling = model.base.sampling
    with train_concept(
        model.backbone,
        concept,
        timeline,
        config,
        resume,
        sampling,
        on_draw,
        opening=opening,
        on_encode=on_encode,
        on_short=on_short,
    ) as training:
        job.update(memory=training.fit.words(), fit=to_plain(training.fit))
        _Progress(model, job, timeline, config, serve).run(training)
        if not job.record["step"]:
            raise Cancelled(NOTHING_TO_KEEP)
        learned = replace(training.finish(), id=store.next_id(timeline.id, concept.name))
        token_start = training.token_start
    del training  # its copies and moments: whole-model methods need the room
    verdict, drawn, said = _checked(model, job, store, timeline, learned, token_start, real)
    keep = pictures if request.keep_pictures else ()
    look = real.look if real else None
    job.update(state="running", storing=learned.created)  # by which it is known that it was stored, whatever comes
    stored = store.append(timeline, learned, drawn, verdict, keep, look, job.real, model.base.source)
    early = job.stop_wish == "keep" and job.record["step"] < config.steps
    shown = {
        "verdict": verdict.to_json() if verdict else None,
        "seconds": stored.seconds,  # as its card has it
        "whole_seconds": None if resume else round(time.monotonic() - began, 2),  # getting ready and checks included
        "memory_mb": peak_memory_mb(str(model.backbone.device)),
        "pictures": [str(path) for name, path in store.drawn(timeline.id, stored.id).items() if name == stored.id],
        "real": str(store.real_picture(timeline.id, stored.id) or ""),
    }
    if verdict and verdict.outcome == "diverged" and not (early or request.even_diverged):
        store.undo(timeline.id)
        back = "It was taken out of the timeline again, which is as before; Redo brings it back as it is."
        return {**shown, "state": "failed", "message": f"{concept.name} was not learned. {said} {back}"}
    begins = f"Stopped at step {job.record['step']} of {config.steps} and kept." if early else _begins(concept, verdict)
    state = "stopped" if early else "done"
    return {**shown, "state": state, "message": f"{begins} {said} {again}".rstrip(), "concept_id": stored.id}


def _check_pictures(job: Job, pictures: Sequence[Path], config: TrainConfig, opening: Opening) -> None:
    """Raise PictureError when the copies of the pictures are not what was asked for any more."""
    found = open_pictures(pictures, minimum_side(config.resolution), opening)
    if job.record.get("pictures_sha256", "") in ("", usable(found).sha256):
        return
    wrong = " ".join(picture.sentence for picture in found if picture.problem)
    raise PictureError(
        f"The pictures of {job.name} in {job.uploads} are not those that were given. {wrong} Put them back, or discard "
        f"{job.name} and teach it again."
    )


def _resumed(job: Job) -> tuple[TrainState | None, str]:
    """The checkpoint to go on from, None for the start, and what is to be said of one that cannot be read."""
    try:
        return read_checkpoint(job), ""
    except StoreError as error:
        job.log(str(error))
        job.drop_learned()
        return None, f"{error} So it was learned from the start."


def _begins(concept: Concept, verdict: Verdict | None) -> str:
    if verdict and not verdict.convinces:
        return f"{concept.name} is stored, as {concept.token}."
    return f"{concept.name} is learned: write {concept.token} in a prompt."


def _real(model: Loaded, job: Job, request: LearnRequest, opening: Opening) -> RealPictures | None:
    """What is measured of the real pictures; None where that fails, which ends no lesson."""
    pictures = [job.uploads / name for name in request.concept.pictures]
    try:
        real = look_at(model.base.path, model.backbone, pictures, opening)
        if request.show_real:
            job.show_real(real.typical)
    except Exception:  # noqa: BLE001
        job.log(f"Likeness is not measured: {traceback.format_exc()}")
        return None
    return real


def _checked(
    model: Loaded,
    job: Job,
    store: ConceptStore,
    before: Timeline,
    learned: LearnedConcept,
    token_start: Mapping[str, Tensor],
    real: RealPictures | None,
) -> tuple[Verdict | None, dict[str, Path], str]:
    """``check_learned`` with its verdict in words. Drawing may fail as it likes: what was learned is stored all the
    same, without a verdict and pictures, and the words say why."""
    try:
        verdict, drawn = check_learned(model, job, store, before, learned, token_start, real)
    except PictureError as error:
        return None, {}, f"It is stored without pictures. {error}"
    except StudioError:
        raise
    except Exception as error:  # noqa: BLE001
        job.log(traceback.format_exc())
        return None, {}, f"It is stored, but no picture of it could be drawn ({type(error).__name__}: {error})."
    return verdict, drawn, verdict.words()


def watched(concepts: Sequence[LearnedConcept]) -> list[LearnedConcept]:
    """Those that previews show: the oldest, which has the most to lose, the newest, and one between."""
    last = len(concepts) - 1
    places = {round(i * last / (WATCHED - 1)) for i in range(WATCHED)} if concepts else ()
    return [concepts[place] for place in sorted(places)]


class _Progress:
    """The steps of one learn job: what is reported, previewed and saved between them."""

    def __init__(
        self, model: Loaded, job: Job, timeline: Timeline, config: TrainConfig, serve: Callable[[], bool]
    ) -> None:
        self._model, self._job, self._timeline = model, job, timeline
        self._config, self._serve = config, serve
        self._settings = card_settings(model.base, PREVIEW_STEPS)
        self._older = watched(timeline.concepts)
        self._before = {preview.token for preview in job.previews() if not preview.is_new}
        self._preview_seconds = 0.0  # what the last preview cost, for one picture
        self._preview_due = float("inf")
        self._checkpoint_due = time.monotonic() + CHECKPOINT_SECONDS
        self._serving_due = 0.0
        # not spent on learning: until the first step is done, and drawing pictures that were asked for
        self._other_seconds = 0.0
        self._small = False  # previews, for want of memory

    def run(self, training: Training) -> None:
        """Step until the end or until "stop and keep"; the caller finishes the training."""
        job, began = self._job, time.monotonic()
        first = len(job.steps())
        if self._config.preview_every_seconds > 0:
            self._preview_due = began + min(FIRST_PREVIEW_SECONDS, self._config.preview_every_seconds)
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
        to_check = (len(self._timeline.concepts) + DRAWN + 1) * self._preview_seconds * CARD_STEPS / PREVIEW_STEPS
        each = (elapsed - self._other_seconds) / done if done else None
        self._job.update(
            step=step.step,
            total=step.total,
            seconds=round(step.seconds, 2),
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
        if before >= self._serving_due and self._serve():
            spent = time.monotonic() - before
            self._other_seconds += spent
            self._serving_due = time.monotonic() + spent * (1 / SERVING_SHARE - 1)
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
        self._small = self._small or training.fit.savings.small_previews
        timeline = self._timeline.then(training.snapshot())
        with suppress(Cancelled):  # the pause that this is part of ends by meeting the wish
            self._draw(timeline, timeline.concepts[-1], step, is_new=True)
            if self._older:
                self._preview_older(timeline, self._older[0], step)
        cost = time.monotonic() - began
        self._preview_due = time.monotonic() + max(self._config.preview_every_seconds, cost / PREVIEW_SHARE)

    def _preview_older(self, timeline: Timeline, concept: LearnedConcept, step: int) -> None:
        """An older concept as it is now, and the first time also as it was before; then it is the next one's turn."""
        if concept.token not in self._before:
            self._draw(self._timeline, concept, 0, is_new=False)
            self._before.add(concept.token)
        self._draw(timeline, concept, step, is_new=False)
        self._older = [*self._older[1:], concept]

    def _draw(self, timeline: Timeline, concept: LearnedConcept, step: int, is_new: bool) -> None:
        began = time.monotonic()
        try:
            path = self._job.preview_path(step, is_new, "" if is_new else concept.id)
            template = self._config.preview_prompt if is_new else ""
            draw_concept(self._model, timeline, concept, self._preview_settings(), path, self._keep_going, template)
            self._job.add_preview(Preview(step, concept.token, concept.name, path, is_new))
        except Cancelled:
            raise
        except Exception as error:  # noqa: BLE001  a preview that cannot be drawn or written ends no lesson
            self._job.log(f"No preview: {traceback.format_exc()}")
            self._small = self._small or isinstance(error, OutOfMemoryError)
            return
        self._preview_seconds = time.monotonic() - began

    def _preview_settings(self) -> SamplingConfig:
        """Half as wide and high where memory is short."""
        settings, grid = self._settings, self._model.backbone.size_grid
        width, height = (side // 2 // grid * grid for side in (settings.width, settings.height))
        smallest = labelled(settings)["width"].metadata["minimum"]
        if not self._small or min(width, height) < smallest:
            return settings
        return replace(settings, width=width, height=height)

    def _keep_going(self, done: int, total: int) -> None:
        if self._job.stop_wish:
            raise Cancelled("Stopped.")
