"""The disk fills at the n-th write of a lesson: nothing older is lost, it is said plainly, and one can go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch
from tiny.full_disk import FullDisk

from clora_core.concepts import Concept, LearnedConcept
from clora_core.errors import DiskError
from clora_core.jobs import learn as learning
from clora_core.jobs.requests import LearnRequest
from clora_core.settings.learning import TrainConfig
from clora_core.studio.studio import Studio

SECONDS = 60.0
EVERY = 4  # a lesson writes the same few files again and again


@pytest.fixture
def studio(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    """A lesson is checkpointed and shown as often as can be."""
    monkeypatch.setattr(learning, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(learning, "CHECKPOINT_SHARE", 1e9)
    monkeypatch.setattr(learning, "FIRST_PREVIEW_SECONDS", 0.0)
    monkeypatch.setattr(learning, "PREVIEW_SHARE", 1e9)
    studio = Studio.open(tmp_path / "home", str(tiny_folder), "cpu", assets=tmp_path / "assets")
    yield studio
    studio.close()


def bits(concept: LearnedConcept) -> dict[str, bytes]:
    return {name: tensor.contiguous().numpy().tobytes() for name, tensor in concept.tensors().items()}


def tried(
    studio: Studio,
    pictures: tuple[Path, ...],
    config: TrainConfig,
    disk: FullDisk,
    places: Callable[[int], Sequence[int]],
) -> list[bool]:
    """The disk fills while a second concept is learned; whether it mattered, for each place. places: at which write,
    given how many a whole lesson makes (a few more or less, for it says from time to time how far it is)."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    config = config.updated({"preview_every_seconds": 1e-6, "steps": 3})

    def ask(timeline_id: str, name: str) -> str:
        return studio.learn(LearnRequest(timeline_id, Concept(name, f"<{name.lower()}>", pictures), config))

    mine, mattered = studio.new_timeline("Mine"), []
    assert studio.wait(ask(mine, "Ann"), SECONDS).state == "done"
    whole = studio.branch(mine, 1, "Whole")
    disk.fill(0)
    assert studio.wait(ask(whole, "Rex"), SECONDS).state == "done"
    ann, rex = map(bits, studio.learned(whole))
    for place in places(disk.writes):
        timeline_id = studio.branch(mine, 1, f"Full at {place}")
        disk.fill(place)
        try:
            job = studio.wait(ask(timeline_id, "Rex"), SECONDS)
        except DiskError as error:
            assert "disk is full. Free some space" in str(error)
            job = None
        mattered.append(disk.writes >= place)
        disk.free()
        assert bits(studio.learned(timeline_id)[0]) == ann
        if job is None:
            job = studio.wait(ask(timeline_id, "Rex"), SECONDS)
        elif job.state != "done":
            assert job.state == "interrupted" and job.resumable, (place, job.message)
            assert "disk is full. Free some space" in job.message and "unexpected" not in job.message
            if place % 2:
                studio.stop(job.id)
                assert studio.job(job.id).state == "stopped"  # type: ignore[union-attr]
                job = studio.wait(ask(timeline_id, "Rex"), SECONDS)
            else:
                job = studio.wait(studio.resume(job.id), SECONDS)
        assert job.state == "done", (place, job.message)
        assert list(map(bits, studio.learned(timeline_id))) == [ann, rex], place
    torch.set_num_threads(threads)
    return mattered


@pytest.mark.slow
def test_a_disk_that_fills_anywhere_in_a_lesson(
    studio: Studio, pictures: tuple[Path, ...], config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(tmp_path / "home", monkeypatch)
    mattered = tried(studio, pictures, config, disk, lambda writes: range(1, writes + 1, EVERY))
    assert len(mattered) > 20 and sum(mattered) > 0.8 * len(mattered)
