"""Asking the job board for a concept to be learned, with its pictures copied first; and who is in the way of what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clora_core.disk import refused
from clora_core.errors import BusyError
from clora_core.jobs.board import JobBoard
from clora_core.jobs.folder import Job
from clora_core.jobs.requests import LearnRequest


def queue_learning(board: JobBoard, request: LearnRequest, sha256: str = "") -> str:
    """Queue a learn job and return its id. The pictures, checked by now, are copied: an upload does not last.

    sha256: see ``Job.take_pictures``.

    Raises StoreError when they cannot be copied, BusyError when too many wait.
    """
    concept = request.concept
    job = board.create(replace(request, concept=replace(concept, name=concept.name.strip(), pictures=())))
    try:
        job.take_pictures(concept.pictures, sha256)
    except OSError as error:
        board.abandon(job)
        raise refused("The pictures could not be copied", error) from error
    board.submit(job)
    return job.id


def waiting_requests(board: JobBoard, timeline_id: str, but: Sequence[str] = ()) -> list[LearnRequest]:
    """What the line asks for in a timeline, next first, but the jobs with the ids ``but``."""
    asked = [job.request for job in board.line() if job.id not in but]
    return [request for request in asked if isinstance(request, LearnRequest) and request.timeline_id == timeline_id]


def comparison_jobs(board: JobBoard, comparison: str) -> list[Job]:
    """All learn jobs of one comparison, first asked for first; [] for ""."""
    jobs = [job for job in board.jobs("learn") if comparison and job.comparison == comparison]
    return jobs[::-1]


def left_with(board: JobBoard, job: Job) -> list[Job]:
    """The job, and all that were left of the comparison it belongs to, first asked for first."""
    parts = [part for part in comparison_jobs(board, job.comparison) if part.left]
    return parts or [job]


def refuse_while_learning(board: JobBoard, timeline_id: str | None = None) -> None:
    """Raise BusyError while a concept is being learned or is about to be; with a timeline, only in that one."""
    busy = board.learning()
    if busy and timeline_id in (None, busy.request.timeline_id):
        raise BusyError(f"{busy.name} is being learned. Wait until it is done, or pause or stop it.")
