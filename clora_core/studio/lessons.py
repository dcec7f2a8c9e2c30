"""The line of lessons, and those that wait for a decision: looked at, put into another order, paused, taken up again.

``Studio.learn`` adds a lesson at the end of the line, ``Studio.stop`` ends one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from clora_core.answers import JobView
from clora_core.concepts import check_token
from clora_core.errors import StoreError, StudioError
from clora_core.jobs.board import JobBoard
from clora_core.jobs.folder import Job
from clora_core.jobs.queue import left_with, waiting_requests
from clora_core.jobs.requests import LearnRequest
from clora_core.store.store import ConceptStore


class Lessons:
    """``Studio.lessons`` is one. Errors are as ``Studio`` has them."""

    def __init__(self, store: ConceptStore, board: JobBoard, base_id: Callable[[], str]) -> None:
        self._store, self._board, self._base_id = store, board, base_id

    def all(self) -> list[JobView]:
        """The line, next first: what is learned, paused or waits for its turn, in any programme on this home. Then what
        waits for a decision: what was interrupted, or failed and can be tried again.

        Without their curves and previews, which ``Studio.job`` has.
        """
        line = self._board.line()
        ids = {job.id for job in line}
        undecided = [job for job in self._board.jobs("learn") if job.resumable and job.id not in ids]
        return self._board.views([*line, *sorted(undecided, key=lambda job: job.turn)])

    def views(self, job_ids: Sequence[str]) -> list[JobView]:
        """Other lessons in the same brevity; those that are gone are left out."""
        wanted = set(job_ids)
        return self._board.views([job for job in self._board.jobs("learn") if job.id in wanted])

    def pictures(self, job_id: str) -> tuple[Path, ...]:
        """The pictures that a lesson learns from, as they were given; () once it has ended."""
        request = self._board.find(job_id).request
        if not isinstance(request, LearnRequest):
            return ()
        uploads = self._board.find(job_id).uploads
        return tuple(path for name in request.concept.pictures if (path := uploads / name).exists())

    def move(self, job_id: str, earlier: bool) -> None:
        """Have a waiting lesson and the one before or after it change places.

        Raises StoreError (it does not wait any more; a comparison keeps its order), BusyError (another programme's).
        """
        self._board.move(job_id, earlier)

    def pause(self) -> None:
        """Pause the lesson that is being learned, and with it the line: within a step it leaves a checkpoint, and the
        memory it took. Drawing goes on.

        Raises StoreError (nothing is being learned), BusyError (another programme learns).
        """
        self._board.pause()

    def resume(self, job_id: str, afresh: bool = False) -> None:
        """See ``Studio.resume``."""
        with self._store.lock:  # two programmes may want the same
            job = self._board.find(job_id)
            if not job.resumable:
                state = job.record["state"]
                raise StoreError(f"Job {job_id} is {state}: only a lesson that was left or has failed can be resumed.")
            jobs = left_with(self._board, job) if job.left else [job]
            for each in jobs:
                self._check(each, [other.id for other in jobs], afresh)
            for each in jobs:
                if afresh:
                    each.drop_learned()
                self._board.submit(each)

    def _check(self, job: Job, together: Sequence[str], afresh: bool) -> None:
        """Raise what keeps a lesson from being taken up again."""
        request = job.request
        assert isinstance(request, LearnRequest)
        self._store.check(request.timeline_id, self._base_id())
        cards = self._store.view(request.timeline_id, self._base_id()).cards
        others = waiting_requests(self._board, request.timeline_id, together)
        check_token(request.concept.token, [*(card.token for card in cards), *(r.concept.token for r in others)])
        if not afresh:
            job.check_past([card.id for card in cards])

    def resume_all(self) -> list[str]:
        """Take up every lesson that was paused or interrupted, in their order; returns the ids of those that go on.

        Raises the first error when none of them can; where some can, the others stay as they are.
        """
        taken: list[str] = []
        problems: list[StudioError] = []
        for job in sorted((job for job in self._board.jobs("learn") if job.left), key=lambda job: job.turn):
            try:
                if self._board.find(job.id).left:  # else it went with another of its comparison
                    self.resume(job.id)
                taken.append(job.id)
            except StudioError as error:
                problems.append(error)
        if problems and not taken:
            raise problems[0]
        return taken

    def discard_all(self) -> list[str]:
        """Give up every lesson that was paused or interrupted or has failed, for good; returns their ids."""
        with self._store.lock:
            jobs = [view.id for view in self.all() if view.resumable]
            for job_id in jobs:
                self._board.stop(job_id, keep=False)
            return jobs
