"""Asking the job board for a concept to be learned: their pictures copied first, one learning at a time."""

from __future__ import annotations

from dataclasses import replace

from clora_core.errors import BusyError, StoreError
from clora_core.jobs.board import JobBoard
from clora_core.jobs.folder import Job
from clora_core.jobs.requests import LearnRequest


def queue_learning(board: JobBoard, request: LearnRequest) -> str:
    """Queue a learn job and return its id. The pictures, checked by now, are copied: an upload does not last.

    Raises StoreError when they cannot be copied.
    """
    concept = request.concept
    job = board.create(replace(request, concept=replace(concept, name=concept.name.strip(), pictures=())))
    try:
        job.take_pictures(concept.pictures)
    except OSError as error:
        board.abandon(job)
        raise StoreError(f"The pictures could not be copied: {error}. Free some space.") from error
    board.submit(job)
    return job.id


def comparison_jobs(board: JobBoard, comparison: str) -> list[Job]:
    """All learn jobs of one comparison, first asked for first; [] for ""."""
    jobs = [job for job in board.jobs("learn") if comparison and job.comparison == comparison]
    return jobs[::-1]


def interrupted_with(board: JobBoard, job: Job) -> list[Job]:
    """The job, and all that were interrupted of the comparison it belongs to, first asked for first."""
    parts = comparison_jobs(board, job.comparison) or [job]
    return [each for each in parts if each.record["state"] == "interrupted"]


def refuse_while_learning(board: JobBoard, timeline_id: str | None = None) -> None:
    """Raise BusyError while a concept is being learned or waits for it; with a timeline, only in that one."""
    busy = board.active("learn")
    if timeline_id is not None:
        unfinished = (job for job in board.jobs("learn") if not job.finished)
        busy = next((job for job in unfinished if job.request.timeline_id == timeline_id), None)
    if busy:
        raise BusyError(f"{busy.name} is being learned. Wait until it is done, or stop it.")
