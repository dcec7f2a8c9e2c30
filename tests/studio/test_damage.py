"""What happens to a lesson whose files are damaged, or whose programme is ended, at a bad moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from clora_core.concepts import Concept
from clora_core.jobs.requests import LearnRequest
from clora_core.studio.studio import Studio

SECONDS = 60.0
ROOT = Path(__file__).parents[2]
GONE = {"state": "running", "owner": "4000000-0123456789ab"}  # as after a power cut
STEPS = {"steps": 30, "preview_every_seconds": 0.0, "augment_copies": 1}
OpenStudio = Callable[..., Studio]


def ask(studio: Studio, **settings: object) -> str:
    concept = Concept("Rex", "<rex>", studio.samples()[0].pictures)
    config = studio.base.train.updated({**STEPS, **settings})
    return studio.learn(LearnRequest(studio.default_timeline(), concept, config))


def left_after_steps(studio: Studio) -> str:
    """Id of a lesson that was begun, and left when its programme ended."""
    job_id = ask(studio)
    while (view := studio.wait(job_id, 0.01)).step < 3:
        assert not view.finished, view.message
    studio.close()
    return job_id


def flip(file: Path) -> None:
    """One bit of a file, in its middle."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def state_of(checkpoint: Path) -> Path:
    (state,) = checkpoint.glob("state-*.safetensors")
    return state


@pytest.mark.parametrize(
    "damage",
    [
        lambda checkpoint: flip(state_of(checkpoint)),
        pytest.param(lambda checkpoint: state_of(checkpoint).unlink(), marks=pytest.mark.slow),
        pytest.param(
            lambda checkpoint: (checkpoint / "checkpoint.json").write_text('{"step": 3, "cur'), marks=pytest.mark.slow
        ),
        pytest.param(
            lambda checkpoint: (checkpoint / "checkpoint.json").write_text('{"step": 3, "curve": 5, "weights": 7}'),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["a bit", "gone", "cut off", "nonsense"],
)
def test_a_checkpoint_that_cannot_be_read_begins_at_the_start(
    open_studio: OpenStudio, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    job_id = left_after_steps(open_studio())
    damage(tmp_path / "home/jobs" / job_id / "checkpoint")
    studio = open_studio()
    studio.resume(job_id)
    done = studio.wait(job_id, SECONDS)
    assert done.state == "done" and "So it was learned from the start." in done.message
    assert [step.step for step in done.curve] == list(range(1, 31))


@pytest.mark.slow
def test_pictures_that_changed_are_not_gone_on_with(open_studio: OpenStudio, tmp_path: Path) -> None:
    job_id = left_after_steps(open_studio())
    studio = open_studio()
    picture = next((tmp_path / "home/uploads" / job_id).glob("02.*"))
    whole = picture.read_bytes()
    picture.write_bytes(b"")
    studio.resume(job_id)
    view = studio.wait(job_id, SECONDS)
    assert view.state == "interrupted" and f"{picture.name}: The file is empty." in view.message
    with Image.open(studio.samples()[1].pictures[0]) as another:
        another.save(picture)
    studio.resume(job_id)
    assert "are not those that were given" in studio.wait(job_id, SECONDS).message
    picture.write_bytes(whole)
    studio.resume(job_id)
    done = studio.wait(job_id, SECONDS)
    assert done.state == "done" and "from the start" not in done.message


def test_a_lesson_that_stands_in_the_timeline_is_done_whatever_its_file_says(
    open_studio: OpenStudio, tmp_path: Path
) -> None:
    studio = open_studio()
    job_id = ask(studio, steps=2)
    assert studio.wait(job_id, SECONDS).state == "done"
    studio.close()
    record = tmp_path / "home/jobs" / job_id / "job.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), **GONE, "concept_id": ""}))
    again = open_studio()
    view = again.job()
    assert view and (view.state, view.concept_id, view.resumable) == ("done", "001-rex", False)
    assert again.lessons.all() == []


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without asking it")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP])
def test_a_programme_that_is_told_to_end_leaves_a_checkpoint(
    tiny_folder: Path, pictures: tuple[Path, ...], tmp_path: Path, how: signal.Signals
) -> None:
    learn = ["learn", "--pictures", pictures[0].parent, "--name", "Rex", "--steps", "100000", "--model", tiny_folder]
    command = [sys.executable, "-m", "clora_core", *learn, "--home", tmp_path / "home", "--device", "cpu"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    record = tmp_path / "home/jobs/0001-learn/job.json"
    while not record.exists() or json.loads(record.read_text())["step"] < 3:
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(how)
    said = process.communicate(timeout=SECONDS)[1]
    assert process.returncode == 130 and "--resume 0001-learn" in said
    assert json.loads(record.read_text())["state"] == "interrupted"
    step = json.loads((tmp_path / "home/jobs/0001-learn/checkpoint/checkpoint.json").read_text())["step"]
    assert step == json.loads(record.read_text())["step"]
