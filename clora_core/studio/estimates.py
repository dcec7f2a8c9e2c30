"""What a lesson will take, before it is started."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from clora_core.answers import Estimate
from clora_core.jobs.board import JobBoard
from clora_core.jobs.folder import Job
from clora_core.jobs.requests import LearnRequest
from clora_core.settings.learning import TrainConfig, decisive
from clora_core.store.store import ConceptStore

if TYPE_CHECKING:
    from clora_core.jobs.check import Loaded
    from clora_core.jobs.pace import Pace

TRY_SECONDS = 60.0  # that somebody waits for a trial
FEW_STEPS = 5  # a lesson that did no more says little


class Estimates:
    """Made by ``Studio``. Paces that were tried are remembered while the programme runs.

    base_id: gives the fingerprint of the open base model.
    """

    def __init__(self, store: ConceptStore, board: JobBoard, base_id: Callable[[], str]) -> None:
        self._store, self._board, self._base_id = store, board, base_id
        self._tried: dict[tuple[object, ...], Future[Pace]] = {}
        self._lock = threading.Lock()

    def of(self, timeline_id: str, config: TrainConfig, pictures: int, wait: bool = False) -> Estimate | None:
        """What learning from so many pictures at the end of a timeline takes; None = not known.

        From the last lesson here that was alike; else from a few steps that are tried while nothing else is done.
        wait: for that trial, a minute at most. Without, one that has ended counts, and none is begun.
        """
        older = len(self._store.view(timeline_id).cards)
        learned = _from_lessons(self._board.jobs("learn"), config, older)
        if learned:
            return learned
        pace = self._pace(timeline_id, config, wait)
        if pace is None:
            return None
        from clora_core.jobs.pace import estimate  # the trial has loaded it

        return estimate(pace, config, pictures, older)

    def _pace(self, timeline_id: str, config: TrainConfig, wait: bool) -> Pace | None:
        """The pace that was tried for such a lesson; None = not yet, or it could not be."""
        alike = ("steps", "seed", "augment_copies", "prior_pictures", "learning_rate", "token_learning_rate")
        key = (timeline_id, *(item for item in decisive(config).items() if item[0] not in alike))
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

            return try_pace(model, self._store.load(timeline_id, self._base_id()), config, give_way)

        return trial


def _from_lessons(jobs: Iterable[Job], config: TrainConfig, older: int) -> Estimate | None:
    """From the newest lesson that ended here and was alike; None where there is none. older: how many concepts come
    before."""
    for job in jobs:
        record, request = job.record, job.request
        rate, done, whole = record["steps_per_second"], record["step"], record.get("whole_seconds")
        if not (isinstance(request, LearnRequest) and record["concept_id"] and rate and whole and done > FEW_STEPS):
            continue
        if _kind(request.config) != _kind(config):
            continue
        rest = max(0.0, whole - done / rate)  # getting ready, and checking every concept
        before = int(str(record["concept_id"]).split("-")[0]) - 1
        return Estimate(config.steps / rate + rest * (older + 2) / (before + 2), record.get("memory_mb"))
    return None


def _kind(config: TrainConfig) -> tuple[object, ...]:
    """What decides how long a step takes."""
    along = config.prior_pictures > 0
    return config.method.name, config.resolution, config.batch_size, config.precision, along, config.options
