"""What a lesson will take, before it is started."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from clora_core.answers import Card, Estimate
from clora_core.jobs.board import JobBoard
from clora_core.jobs.requests import LearnRequest
from clora_core.models.description import BaseModel
from clora_core.settings.learning import TrainConfig, decisive
from clora_core.settings.memory import Fit
from clora_core.store.store import ConceptStore

if TYPE_CHECKING:
    from clora_core.jobs.check import Loaded
    from clora_core.jobs.pace import Pace

TRY_SECONDS = 60.0  # that somebody waits for a trial
FEW_STEPS = 5  # a lesson that did no more says little


class Estimates:
    """Made by ``Studio``. Paces that were tried are remembered while the programme runs.

    base: gives the open base model.
    """

    def __init__(self, store: ConceptStore, board: JobBoard, base: Callable[[], BaseModel]) -> None:
        self._store, self._board, self._base = store, board, base
        self._tried: dict[tuple[object, ...], Future[Pace]] = {}
        self._lock = threading.Lock()

    def of(self, timeline_id: str, config: TrainConfig, pictures: int, wait: bool = False) -> Estimate | None:
        """What learning from so many pictures at the end of a timeline takes; None = not known.

        From the last lesson here that was alike; else from a few steps that are tried while nothing else is done.
        wait: for that trial, a minute at most. Without, one that has ended counts, and none is begun.
        """
        return self._measured(timeline_id, config, pictures, len(self._store.view(timeline_id).cards), wait)

    def again(self, timeline_id: str, card: Card, config: TrainConfig) -> Estimate:
        """What learning a concept of a timeline again takes, with other settings. Nothing is tried for it.

        From what was measured here, as ``of``; else from the last lesson here with such pictures, else from the
        concept's own, by the steps and by how the methods' paces differ.
        """
        older = card.index - 1
        measured = self._measured(timeline_id, config, card.picture_count, older, wait=False)
        if measured:
            return measured
        near = self._from_lessons(config, older, _size)
        if near:
            return near
        own = self._base().methods.find(card.settings.get("method", ""))
        pace = config.method.pace / (own.pace if own else 1.0)
        return Estimate(card.seconds / max(card.steps, 1) * config.steps * pace, None)

    def _measured(
        self, timeline_id: str, config: TrainConfig, pictures: int, older: int, wait: bool
    ) -> Estimate | None:
        """From a lesson here that was alike, else from a trial; None = there is neither. older: how many concepts come
        before."""
        learned = self._from_lessons(config, older, _kind)
        if learned:
            return learned
        pace = self._pace(timeline_id, config, wait)
        if pace is None:
            return None
        from clora_core.jobs.pace import estimate  # the trial has loaded it

        return estimate(pace, config, pictures, older)

    def _from_lessons(
        self, config: TrainConfig, older: int, alike: Callable[[TrainConfig], tuple[object, ...]]
    ) -> Estimate | None:
        """From the newest lesson that ended here with the same ``alike``, by steps, pace of the methods, and concepts
        that are checked; None where there is none."""
        for job in self._board.jobs("learn"):
            record, request = job.record, job.request
            rate, done, whole = record["steps_per_second"], record["step"], record.get("whole_seconds")
            if not (isinstance(request, LearnRequest) and record["concept_id"] and rate and whole and done > FEW_STEPS):
                continue
            if alike(request.config) != alike(config):
                continue
            rest = max(0.0, whole - done / rate)  # getting ready, and checking every concept
            before = int(str(record["concept_id"]).split("-")[0]) - 1
            learning = config.steps / rate * config.method.pace / request.config.method.pace
            fit = Fit.from_json(record["fit"]) if record.get("fit") else None
            return Estimate(learning + rest * (older + 2) / (before + 2), record.get("memory_mb"), fit)
        return None

    def _pace(self, timeline_id: str, config: TrainConfig, wait: bool) -> Pace | None:
        """The pace that was tried for such a lesson; None = not yet, or it could not be."""
        alike = ("steps", "seed", "augment_copies", "prior_pictures", "learning_rate", "token_learning_rate")
        key = (timeline_id, config.memory, *(item for item in decisive(config).items() if item[0] not in alike))
        with self._lock:
            tried = self._tried.get(key)
            if tried is None or (tried.done() and (tried.cancelled() or tried.exception())):
                if not wait or self._board.learning():
                    return None
                tried = self._tried[key] = self._board.when_idle(self._trial(timeline_id, config))
        try:
            return tried.result(TRY_SECONDS if wait else 0)
        except Exception:  # noqa: BLE001  a job came in between, or what was chosen does not fit: Start says so
            return None

    def _trial(self, timeline_id: str, config: TrainConfig) -> Callable[[Loaded, Callable[[], bool]], Pace]:
        def trial(model: Loaded, give_way: Callable[[], bool]) -> Pace:
            from clora_core.jobs.pace import try_pace

            return try_pace(model, self._store.load(timeline_id, self._base().id), config, give_way)

        return trial


def _kind(config: TrainConfig) -> tuple[object, ...]:
    """What decides how long a step takes."""
    return config.method.name, *_size(config), config.prior_pictures > 0, config.options


def _size(config: TrainConfig) -> tuple[object, ...]:
    """What decides it whatever the method."""
    return config.resolution, config.batch_size, config.precision, config.memory
