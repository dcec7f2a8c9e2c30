"""Asking the job board for a concept to be learned: pictures checked and copied first, one learning at a time."""

from __future__ import annotations

from clora_core.concepts import Concept
from clora_core.errors import BusyError, StoreError
from clora_core.jobs import JobBoard
from clora_core.pictures import accepted, minimum_side, open_pictures
from clora_core.settings import TrainConfig


def queue_learning(
    board: JobBoard,
    timeline_id: str,
    concept: Concept,
    config: TrainConfig,
    keep: bool = False,
    place: int | None = None,
) -> str:
    """Queue a learn job and return its id.

    keep: the pictures are to be stored with the concept.  place: how many concepts the timeline must have when the
    job's turn comes, for a learning that is queued before its past is learned; None = whatever stands there now.

    Raises PictureError when too few pictures can be used, StoreError when they cannot be copied.
    """
    checked = open_pictures(concept.pictures, minimum_side(config.resolution))
    accepted(checked)
    job = board.create(
        "learn",
        {
            "timeline_id": timeline_id,
            "config": config.to_json(),
            "keep_pictures": keep,
            "place": place,
            "concept": {
                "name": concept.name.strip(),
                "token": concept.token,
                "template": concept.template,
                "pictures": [],
            },
        },
    )
    try:
        job.take_pictures([picture.path for picture in checked if picture.image is not None])
    except OSError as error:
        board.abandon(job)
        raise StoreError(f"The pictures could not be copied: {error}. Free some space.") from error
    board.submit(job)
    return job.id


def refuse_while_learning(board: JobBoard, timeline_id: str | None = None) -> None:
    """Raise BusyError while a concept is being learned; with a timeline, only while it is learned there."""
    running = board.active("learn")
    if running and timeline_id in (None, running.request["timeline_id"]):
        name = running.request["concept"]["name"]
        raise BusyError(f"{name} is being learned. Wait until it is done, or stop it.")
