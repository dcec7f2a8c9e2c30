"""A learn job's checkpoint on disk, ``<job>/checkpoint/``: what ``Studio.resume`` goes on from."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from clora_core.disk import file_sha256, read_json, sync_file, write_json
from clora_core.errors import StoreError
from clora_core.jobs.folder import Job
from clora_core.learning.trainer import TrainState


def save_checkpoint(job: Job, state: TrainState, after: Sequence[str]) -> None:
    """Save what ``read_checkpoint`` goes on from; checkpoint.json replaced last is the commit. A checkpoint of this
    step that is there already is left as it is.

    after: ids of the concepts it was learned on, see ``Job.check_past``.

    Raises OSError when the disk refuses; an earlier checkpoint stays.
    """
    folder = job.checkpoint.parent
    folder.mkdir(exist_ok=True)
    weights = folder / f"state-{state.step:06d}.safetensors"
    with suppress(StoreError):  # of one that cannot be read nothing is kept
        if job.has_checkpoint and read_json(job.checkpoint, "weights")["weights"] == weights.name:
            return
    try:
        save_file({name: tensor.contiguous() for name, tensor in state.tensors.items()}, weights)
        sync_file(weights)
    except (OSError, SafetensorError) as error:  # a full disk is a SafetensorError while it writes
        weights.unlink(missing_ok=True)
        raise OSError(str(error)) from error
    noted = {"weights": weights.name, "weights_sha256": file_sha256(weights), "after": list(after)}
    try:
        write_json(job.checkpoint, {**state.to_json(), **noted})
    except OSError:
        weights.unlink(missing_ok=True)  # the room is needed
        raise
    for old in folder.glob("state-*.safetensors"):
        if old != weights:
            old.unlink()


def read_checkpoint(job: Job) -> TrainState | None:
    """The last checkpoint of a job; None when there is none. Raises StoreError when it is damaged, TrainingError when
    it is of another version."""
    if not job.has_checkpoint:
        return None
    values = read_json(job.checkpoint, "weights", "step", "curve")
    try:
        weights = job.checkpoint.parent / Path(values["weights"]).name
        found = file_sha256(weights)
        if values.get("weights_sha256", found) != found:  # earlier versions noted none
            raise ValueError("its checksum is another")
        return TrainState.from_json(values, load_file(weights))
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise StoreError(f"The checkpoint of {job.name} is damaged ({error}).") from error
