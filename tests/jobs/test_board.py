"""The job board with plain work instead of a model: queue, stop, failure, death, and the truth on disk."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from clora_core.answers import Preview
from clora_core.concepts import Concept, TrainStep
from clora_core.errors import BusyError, DiskError, ModelError, SettingsError, StoreError, TrainingError
from clora_core.jobs.board import JOBS_KEPT, MOST_WAITING, JobBoard
from clora_core.jobs.folder import Job, thin
from clora_core.jobs.requests import DrawRequest, LearnRequest
from clora_core.settings.drawing import SamplingConfig
from clora_core.settings.learning import TrainConfig

LEARN = LearnRequest("t", Concept("Rex", "<rex>", ()), TrainConfig())
DRAW = DrawRequest("t", "a photo", SamplingConfig())
SECONDS = 20.0

Board = Callable[..., JobBoard]


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    boards = []

    def make(learn: Any = None, draw: Any = None, load: Any = lambda: "model") -> JobBoard:
        def idle(model: Any, job: Job) -> dict[str, Any]:
            return {}

        boards.append(JobBoard(tmp_path / "jobs", load, {"learn": learn or idle, "draw": draw or idle}))
        return boards[-1]

    yield make
    for made in boards:
        made.close()


def start(board: JobBoard, kind: str = "learn") -> Job:
    job = board.create(LEARN if kind == "learn" else DRAW)
    board.submit(job)
    return job


def on_disk(job: Job) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((job.folder / "job.json").read_text())
    return found


def test_a_job_runs_with_the_model_and_leaves_its_result_on_disk(board: Board) -> None:
    made = board(lambda model, job: {"message": f"learned with {model}", "pictures": ["a.png"]})
    job = made.wait(start(made).id, SECONDS)
    assert on_disk(job)["state"] == "done"
    view = made.view(job)
    assert (view.state, view.message, view.pictures) == ("done", "learned with model", [Path("a.png")])
    assert (view.name, view.token, view.timeline_id) == ("Rex", "<rex>", "t")


def test_one_job_at_a_time_in_order(board: Board) -> None:
    running, order = threading.Semaphore(1), []

    def work(model: Any, job: Job) -> dict[str, Any]:
        assert running.acquire(blocking=False)
        order.append(job.id)
        running.release()
        return {}

    made = board(work, work)
    jobs = [start(made, kind) for kind in ("learn", "draw", "draw", "learn")]
    for job in jobs:
        assert made.wait(job.id, SECONDS).record["state"] == "done"
    assert order == [job.id for job in jobs]


def test_an_errand_is_done_when_nothing_else_is_and_gives_way(board: Board) -> None:
    order: list[str] = []
    begun = threading.Event()

    def errand(model: Any, somebody_waits: Callable[[], bool]) -> str:
        begun.set()
        while not somebody_waits():
            begun.wait(0.01)
        order.append("errand")
        return f"done with {model}"

    made = board(draw=lambda model, job: order.append("draw") or {})
    asked = made.when_idle(errand)
    assert not begun.wait(0.05)  # no model yet, and an errand is no reason to load one
    made.warm_up()
    assert begun.wait(SECONDS)
    job = start(made, "draw")
    assert asked.result(SECONDS) == "done with model"
    made.wait(job.id, SECONDS)
    assert order == ["errand", "draw"]

    def broken(model: Any, somebody_waits: Callable[[], bool]) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        made.when_idle(broken).result(SECONDS)
    assert made.wait(start(made).id, SECONDS).record["state"] == "done"


def test_a_home_that_may_only_be_read_can_be_looked_at(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    old = board()
    done = old.wait(start(old, "draw").id, SECONDS)
    old.close()
    made = board()
    monkeypatch.setattr(FileLock, "acquire", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    made.warm_up()
    assert "Nothing can be learned or drawn in" in made.model_problem and "Read-only" in made.model_problem
    with pytest.raises(DiskError, match="make the home folder writable"):
        start(made, "draw")
    assert [job.id for job in made.jobs("draw")] == [done.id]
    made.close()


def test_the_model_is_loaded_once_and_by_the_worker(board: Board) -> None:
    loads: list[str] = []

    def load() -> str:
        loads.append(threading.current_thread().name)
        return "model"

    made = board(load=load)
    assert made.model is None
    made.warm_up()
    for _ in range(2):
        made.wait(start(made).id, SECONDS)
    assert loads == ["clora-run"]
    assert made.model == "model"


def test_a_model_that_cannot_be_loaded_fails_the_jobs_and_can_be_tried_again(board: Board) -> None:
    found = threading.Event()

    def load() -> str:
        if not found.is_set():
            raise ModelError("The model folder x has no unet.")
        return "model"

    made = board(load=load)
    job = made.wait(start(made).id, SECONDS)
    assert (job.record["state"], job.record["message"]) == ("failed", "The model folder x has no unet.")
    assert made.model_problem == "The model folder x has no unet."
    found.set()
    assert made.wait(start(made).id, SECONDS).record["state"] == "done"
    assert made.model_problem == ""


def test_our_errors_are_shown_as_they_are_and_others_keep_their_traceback(board: Board) -> None:
    def work(model: Any, job: Job) -> dict[str, Any]:
        if job.id.startswith("0001"):
            raise SettingsError("The rank must be at least 1, got 0.")
        return {"message": {}["missing"]}

    made = board(work)
    known, bug = (made.wait(start(made).id, SECONDS) for _ in range(2))
    assert on_disk(known)["message"] == "The rank must be at least 1, got 0."
    assert on_disk(bug)["state"] == "failed"
    assert "KeyError" in on_disk(bug)["message"]
    assert "Traceback" in (bug.folder / "log.txt").read_text()
    assert made.wait(start(made, "draw").id, SECONDS).record["state"] == "done"


def test_a_job_that_cannot_be_read_does_not_hide_the_others(board: Board) -> None:
    made = board()
    whole, broken = (made.wait(start(made).id, SECONDS) for _ in range(2))
    (broken.folder / "job.json").write_text("")  # what a power cut may leave
    again = board()
    assert [job.id for job in again.jobs("learn")] == [whole.id]
    assert again.wait(start(again).id, SECONDS).record["state"] == "done"


def test_nonsense_among_the_jobs_hides_none_of_the_others(board: Board) -> None:
    studio = board()
    good = studio.wait(start(studio, "draw").id, 5)
    jobs = good.folder.parent
    whole = json.loads((good.folder / "job.json").read_text())
    for number, damage in enumerate([{"step": "far"}, {"pictures": 5}, {"state": "gone"}, {"verdict": []}, {}], 100):
        folder = jobs / f"0{number}-draw"
        folder.mkdir()
        (folder / "job.json").write_text(json.dumps({**whole, "id": folder.name if damage else "0001-learn", **damage}))
    (jobs / "0001 backup-draw").mkdir()
    (jobs / "0200-draw").mkdir()
    (jobs / "0200-draw/job.json").symlink_to("job.json")  # to itself
    (good.folder / "steps.jsonl").write_bytes(b'\xff\xfe{"step": []}\n5\n')
    assert [job.id for job in studio.jobs("draw")] == [good.id]
    assert studio.view(good).curve == []


def test_a_failure_leaves_what_has_a_checkpoint_to_be_resumed(board: Board) -> None:
    trouble = [StoreError("Mug could not be stored: no space left. Free some space."), MemoryError("full")]

    def work(model: Any, job: Job) -> dict[str, Any]:
        (job.folder / "checkpoint").mkdir(exist_ok=True)
        (job.folder / "checkpoint" / "checkpoint.json").write_text("{}")
        if trouble:
            raise trouble.pop(0)
        return {}

    made = board(work)
    job = start(made)
    for words in ("Free some space. What was learned of Rex is kept", "MemoryError"):
        left = made.wait(job.id, SECONDS)
        assert left.record["state"] == "interrupted" and words in left.record["message"]
        assert made.view(left).resumable and left.has_checkpoint
        made.submit(job)
    assert made.wait(job.id, SECONDS).record["state"] == "done"


def test_numbers_that_are_not_finite_are_not_resumed(board: Board) -> None:
    def work(model: Any, job: Job) -> dict[str, Any]:
        (job.folder / "checkpoint").mkdir()
        (job.folder / "checkpoint" / "checkpoint.json").write_text("{}")
        raise TrainingError("The loss became nan.")

    made = board(work)
    job = made.wait(start(made).id, SECONDS)
    assert job.record["state"] == "failed" and not job.has_checkpoint


def test_a_full_disk_interrupts_the_job_and_not_the_worker(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*args: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    def work(model: Any, job: Job) -> dict[str, Any]:
        monkeypatch.setattr("clora_core.jobs.folder.write_json", no_room)
        job.update(state="running")
        return {}

    made = board(work)
    failed = made.wait(start(made).id, SECONDS)
    assert failed.record["state"] == "interrupted" and "disk is full" in failed.record["message"]
    monkeypatch.undo()
    assert made.wait(start(made, "draw").id, SECONDS).record["state"] == "done"


def test_the_tenthousandth_job_is_the_newest(board: Board) -> None:
    made = board()
    first = made.create(LEARN)
    first.folder.rename(first.folder.with_name("9999-learn"))
    made.submit(second := made.create(LEARN))
    assert second.id == "10000-learn" and made.wait(second.id, SECONDS).record["state"] == "done"
    assert [job.id for job in made.jobs("learn")][0] == second.id


def test_stop_reaches_running_work_and_queued_work(board: Board) -> None:
    begun = threading.Event()

    def until_stopped(model: Any, job: Job) -> dict[str, Any]:
        begun.set()
        while True:
            job.check()

    made = board(until_stopped)
    running, queued = start(made), start(made, "draw")
    assert begun.wait(SECONDS)
    assert made.learning() is running
    before = (queued.folder / "job.json").stat().st_mtime_ns
    assert "Rex is being learned" in made.view(queued).phase
    assert (queued.folder / "job.json").stat().st_mtime_ns == before  # looking writes nothing
    made.stop(queued.id, keep=False)
    assert made.wait(queued.id, SECONDS).record["state"] == "stopped"
    made.stop(running.id, keep=False)
    assert made.wait(running.id, SECONDS).record["state"] == "stopped"
    assert made.learning() is None
    made.stop(running.id, keep=False)  # a finished job: nothing to do


def fails_after_a_checkpoint(model: Any, job: Job) -> dict[str, Any]:
    """Work that fails after its first checkpoint."""
    job.uploads.mkdir(parents=True, exist_ok=True)
    job.checkpoint.parent.mkdir(exist_ok=True)
    job.checkpoint.write_text("{}")
    raise StoreError("Rex could not be stored. Free some space.")


def test_stop_and_keep_takes_nothing_from_a_lesson_that_does_not_run(board: Board) -> None:
    begun, going_on = threading.Event(), threading.Event()

    def work(model: Any, job: Job) -> dict[str, Any]:
        begun.set()
        assert going_on.wait(SECONDS)
        return fails_after_a_checkpoint(model, job)

    made = board(work)
    job, queued = start(made), start(made)
    assert begun.wait(SECONDS)
    with pytest.raises(StoreError, match="is not being learned now"):
        made.stop(queued.id, keep=True)
    assert not made.find(queued.id).finished
    going_on.set()
    assert made.wait(job.id, SECONDS).record["state"] == "interrupted"
    with pytest.raises(StoreError, match="is not being learned now"):
        made.stop(job.id, keep=True)
    assert made.find(job.id).resumable and job.has_checkpoint and job.uploads.exists()
    made.stop(job.id, keep=False)
    assert made.find(job.id).record["state"] == "stopped" and not job.has_checkpoint


def test_a_failure_that_can_be_mended_leaves_the_rest_of_its_comparison(board: Board) -> None:
    made = board(fails_after_a_checkpoint)

    def ask(comparison: str) -> Job:
        job = made.create(replace(LEARN, comparison=comparison))
        job.uploads.mkdir(parents=True)
        return job

    first, second, other = ask("c"), ask("c"), ask("")
    for job in (first, second, other):
        made._waiting.append(job)  # all at once: none is begun before the others wait
    made.warm_up()
    for job in (first, second, other):
        made.wait(job.id, SECONDS)
    assert on_disk(second)["state"] == on_disk(first)["state"] == "interrupted"
    assert on_disk(second)["message"] == on_disk(first)["message"]
    assert second.uploads.exists() and not second.has_checkpoint
    assert other.has_checkpoint  # it had its turn


def test_another_programme_may_go_on_with_a_lesson_that_was_left(board: Board) -> None:
    made, other = board(fails_after_a_checkpoint), board()
    job = made.wait(start(made).id, SECONDS)
    assert job.resumable
    other.submit(other.find(job.id))
    other.wait(job.id, SECONDS)
    assert made.find(job.id).record["state"] == "done"


def test_uploaded_pictures_are_deleted_at_the_end(board: Board) -> None:
    made = board()
    job = made.create(LEARN)
    job.uploads.mkdir(parents=True)
    (job.uploads / "01.png").write_bytes(b"x")
    made.submit(job)
    made.wait(job.id, SECONDS)
    assert not job.uploads.exists()


def test_work_may_serve_waiting_drawings_at_its_pauses(board: Board) -> None:
    asked = threading.Event()
    order: list[str] = []

    def learn(model: Any, job: Job) -> dict[str, Any]:
        assert asked.wait(SECONDS)
        order.extend(f"served {made.serve_waiting('draw')}" for _ in range(3))
        return {}

    def draw(model: Any, job: Job) -> dict[str, Any]:
        order.append(job.kind)
        return {}

    made = board(learn, draw)
    learning = start(made)
    drawings = [start(made, "draw") for _ in range(2)]
    asked.set()
    assert made.wait(learning.id, SECONDS).record["state"] == "done"
    assert all(made.wait(job.id, SECONDS).record["state"] == "done" for job in drawings)
    assert order == ["draw", "served True", "draw", "served True", "served False"]


def test_no_more_drawings_wait_than_somebody_would_wait_for(board: Board) -> None:
    go = threading.Event()

    def busy(model: Any, job: Job) -> dict[str, Any]:
        assert go.wait(SECONDS)
        return {}

    made = board(busy, lambda model, job: {})
    start(made)
    drawings = [start(made, "draw") for _ in range(MOST_WAITING["draw"])]
    with pytest.raises(BusyError, match="30 others are waiting already"):
        start(made, "draw")
    go.set()
    assert all(made.wait(job.id, SECONDS).record["state"] == "done" for job in drawings)
    start(made, "draw")


def test_closing_interrupts_what_runs_and_waits_and_keeps_the_pictures(board: Board) -> None:
    begun = threading.Event()

    def work(model: Any, job: Job) -> dict[str, Any]:
        job.uploads.mkdir(parents=True)
        job.update(step=3, total=9)
        begun.set()
        while True:
            job.check()

    made = board(work)
    running, queued = start(made), start(made, "draw")
    assert begun.wait(SECONDS)
    made.close()
    assert on_disk(running)["state"] == on_disk(queued)["state"] == "interrupted"
    assert on_disk(running)["message"].startswith("The programme ended while Rex was being learned (step 3 of 9)")
    assert running.uploads.exists()
    with pytest.raises(BusyError):
        made.submit(running)
    later = board()
    assert later.view(later.find(running.id)).resumable
    later.stop(running.id, keep=False)
    assert on_disk(running)["state"] == "stopped"
    assert not running.uploads.exists()


@pytest.mark.parametrize("file", [False, True], ids=["no file", "nobody holds it"])
def test_the_job_of_a_dead_owner_is_interrupted(board: Board, tmp_path: Path, file: bool) -> None:
    made, owner = board(), f"{os.getpid()}-other"
    job = Job.create(tmp_path / "jobs", owner, LEARN, threading.Condition())
    alive = tmp_path / "jobs" / f"owner-{owner}.alive"
    if file:
        alive.touch()
    assert made.find(job.id).record["state"] == on_disk(job)["state"] == "interrupted"
    assert made.learning() is None and not alive.exists()


def test_an_owner_lives_as_long_as_it_holds_its_file(board: Board, tmp_path: Path) -> None:
    made, owner = board(), f"{os.getpid()}-other"
    job = Job.create(tmp_path / "jobs", owner, LEARN, threading.Condition())
    alive = tmp_path / "jobs" / f"owner-{owner}.alive"
    with FileLock(alive):
        os.utime(alive, (0, 0))
        start(made)  # which looks for files that nobody holds
        assert not made.find(job.id).finished and alive.exists()
        with pytest.raises(BusyError, match="another running programme"):
            made.stop(job.id, keep=False)
    assert made.find(job.id).record["state"] == "interrupted"


def test_files_of_dead_owners_are_deleted_at_the_start_and_the_own_at_the_end(board: Board, tmp_path: Path) -> None:
    made, old, fresh = board(), tmp_path / "jobs/owner-1-old.alive", tmp_path / "jobs/owner-1-fresh.alive"
    for file in (old, fresh):
        file.touch()
    os.utime(old, (0, 0))
    start(made)
    assert len(list((tmp_path / "jobs").glob("owner-*.alive"))) == 2 and fresh.exists()
    made.close()
    assert list((tmp_path / "jobs").glob("owner-*.alive")) == [fresh]


def test_old_jobs_are_pruned_each_kind_by_itself(board: Board) -> None:
    made = board()
    learning = start(made)
    drawings = []
    for _ in range(JOBS_KEPT["draw"] + 5):
        drawings.append(start(made, "draw"))
        made.wait(drawings[-1].id, SECONDS)
    for job in [learning, *drawings[5:]]:
        made.wait(job.id, SECONDS)
    made.wait(start(made, "draw").id, SECONDS)
    assert len(list(made.jobs("draw"))) == JOBS_KEPT["draw"]
    assert made.find(learning.id).record["state"] == "done"
    with pytest.raises(StoreError, match="There is no job"):
        made.find(drawings[0].id)
    assert made.latest().id == learning.id


def test_what_can_be_gone_on_with_is_not_pruned(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old lesson that was left, and all of an old comparison of which a part was."""

    def work(model: Any, job: Job) -> dict[str, Any]:
        return fails_after_a_checkpoint(model, job) if job.request.keep_pictures else {}

    made, ids = board(work), []
    for asked in (  # those whose pictures are to be kept fail
        {},
        {"keep_pictures": True},
        {"comparison": "c"},
        {"comparison": "c", "keep_pictures": True},
        {"comparison": "d"},
        {},
    ):
        job = made.create(replace(LEARN, **asked))
        made.submit(job)
        ids.append(made.wait(job.id, SECONDS).id)
    monkeypatch.setitem(JOBS_KEPT, "learn", 1)
    last = start(made)
    assert {job.id for job in made.jobs("learn")} == {*ids[1:4], last.id}


def test_the_curve_is_thinned_and_a_torn_line_left_out(board: Board) -> None:
    made = board()
    job = made.create(LEARN)
    steps = [TrainStep(i, 1200, 1.0 / i, 0.0, 1.0, float(i)) for i in range(1, 1201)]
    for step in steps:
        job.add_step(step)
    with (job.folder / "steps.jsonl").open("a") as file:
        file.write('{"step": 1201, "tot')
    assert job.steps() == Job(job.folder, threading.Condition()).steps() == steps
    curve = made.view(job).curve
    assert len(curve) == 500
    assert (curve[0], curve[-1]) == (steps[0], steps[-1])
    assert thin(steps[:500]) == steps[:500]


def test_going_back_to_a_checkpoint_drops_the_later_steps_and_previews(board: Board) -> None:
    made = board()
    job = made.create(LEARN)
    for i in range(1, 6):
        job.add_step(TrainStep(i, 9, 1.0, 0.0, 1.0, 0.1))
        job.add_preview(Preview(i, "<rex>", "Rex", job.preview_path(i, True), True))
    job.go_on_from(job.steps()[:3])
    assert [step.step for step in job.steps()] == [1, 2, 3]
    assert [preview.step for preview in job.previews()] == [1, 2, 3]


@pytest.mark.parametrize("bad", ["../timelines", "", "/etc", "0001-learn/.."])
def test_job_ids_cannot_leave_the_folder(board: Board, bad: str) -> None:
    with pytest.raises(StoreError):
        board().find(bad)
