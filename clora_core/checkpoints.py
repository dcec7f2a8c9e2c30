"""A learn job's checkpoint on disk, ``<job>/checkpoint/``: what ``Studio.resume`` goes on from."""

from __future__ import annotations

import os

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from clora_core.disk import read_json, write_json
from clora_core.errors import TrainingError
from clora_core.job_folder import Job
from clora_core.trainer import TrainState


def save_checkpoint(job: Job, state: TrainState) -> None:
    """Save what ``read_checkpoint`` goes on from; checkpoint.json replaced last is the commit. A checkpoint of this
    step that is there already is left as it is."""
    folder = job.folder / "checkpoint"
    folder.mkdir(exist_ok=True)
    weights, commit = folder / f"state-{state.step:06d}.safetensors", folder / "checkpoint.json"
    if commit.exists() and read_json(commit)["weights"] == weights.name:
        return
    save_file({name: tensor.contiguous() for name, tensor in state.tensors.items()}, weights)
    with weights.open("rb+") as file:
        os.fsync(file.fileno())
    write_json(commit, {**state.to_json(), "weights": weights.name})
    for old in folder.glob("state-*.safetensors"):
        if old != weights:
            old.unlink()


def read_checkpoint(job: Job) -> TrainState | None:
    """The last checkpoint of a job; None when there is none. Raises TrainingError when it is damaged."""
    folder = job.folder / "checkpoint"
    if not (folder / "checkpoint.json").exists():
        return None
    values = read_json(folder / "checkpoint.json")
    try:
        return TrainState.from_json(values, load_file(folder / values.pop("weights")))
    except (SafetensorError, FileNotFoundError) as error:
        raise TrainingError(f"The checkpoint is damaged ({error}). Learn from the start.") from error
