"""A learn job's checkpoint on disk, ``<job>/checkpoint/``: what ``Studio.resume`` goes on from."""

from __future__ import annotations

from collections.abc import Sequence

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from clora_core.disk import read_json, sync_file, write_json
from clora_core.errors import TrainingError
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
    if job.has_checkpoint and read_json(job.checkpoint)["weights"] == weights.name:
        return
    try:
        save_file({name: tensor.contiguous() for name, tensor in state.tensors.items()}, weights)
        sync_file(weights)
    except (OSError, SafetensorError) as error:  # a full disk is a SafetensorError while it writes
        weights.unlink(missing_ok=True)
        raise OSError(str(error)) from error
    try:
        write_json(job.checkpoint, {**state.to_json(), "weights": weights.name, "after": list(after)})
    except OSError:
        weights.unlink(missing_ok=True)  # the room is needed
        raise
    for old in folder.glob("state-*.safetensors"):
        if old != weights:
            old.unlink()


def read_checkpoint(job: Job) -> TrainState | None:
    """The last checkpoint of a job; None when there is none. Raises TrainingError when it is damaged."""
    if not job.has_checkpoint:
        return None
    values = read_json(job.checkpoint)
    try:
        return TrainState.from_json(values, load_file(job.checkpoint.parent / values.pop("weights")))
    except (SafetensorError, FileNotFoundError) as error:
        raise TrainingError(f"The checkpoint is damaged ({error}). Learn from the start.") from error
