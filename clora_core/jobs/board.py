"""The job board: one worker thread that owns the model, and a queue of jobs whose truth is on disk.

Learning and drawing never overlap, because only the worker touches the model. Learning work may call
``serve_waiting`` at its pauses, so that pictures asked for meanwhile need not wait for its end.

Lessons stand in one line for the whole home, in the order of ``Job.turn``: the first begins when no other is being
learned, in any programme. A paused lesson holds the line, for what comes after it would be learned on another past.
What one programme does to the line it does under the home's lock.

A board shows that it lives by holding the lock of its file ``owner-<pid>-<id>.alive``, which the system takes back
however the programme ends. A job whose owner is gone is "interrupted", whoever looks at it first. Process numbers would
say less: they are used again, and in a container they are others.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from clora_core.answers import JobView
from clora_core.disk import REFUSED, HomeLock, check_id, refused, write_text
from clora_core.errors import BusyError, Cancelled, DiskError, StoreError, StudioError, TrainingError
from clora_core.jobs.folder import Asked, Interrupted, Job, job_number
from clora_core.jobs.requests import LearnRequest
from clora_core.settings.methods import BUILT_IN, Methods

FRESH_SECONDS = 60.0  # an owner's file so young may be about to be locked
JOBS_KEPT = {"learn": 100, "draw": 40, "export": 10, "bring": 10}
MOST_WAITING = {
    "learn": 50,
    "draw": 30,
    "export": 5,
    "bring": 5,
}  # beside the lessons of a comparison, which are as many as it needs
LOOK_SECONDS = 1.0  # how often a line that another programme holds is looked at
FAILED_SECONDS = 86_400.0  # so long the pictures of a lesson that failed are kept, to try it again

Work = Callable[[Any, Job], dict[str, Any]]
"""(model, job) -> the last changes to the job's record, e.g. {"message": ..., "pictures": [...]}."""

Errand = Callable[[Any, Callable[[], bool]], Any]
"""(model, whether a job waits) -> what was asked for."""


class JobBoard:
    """Jobs below one folder. ``load_model`` runs in the worker thread, once, when it is first needed."""

    def __init__(
        self,
        folder: Path,
        load_model: Callable[[], Any],
        works: Mapping[str, Work],
        methods: Methods = BUILT_IN,
        lock: HomeLock | None = None,
        tidy: Callable[[], None] | None = None,
        stored: Callable[[Job], str] = lambda job: "",
    ) -> None:
        """lock: that of the home, where the caller has one already; it is entered by this board, too.  tidy: called in
        the worker after every lesson.  stored: id of the concept that a lesson has stored; "" = none yet."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._load_model = load_model
        self._works, self._methods, self._tidy, self._stored = works, methods, tidy, stored
        self._owner = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self._alive_lock = FileLock(self._alive_file(self._owner), thread_local=False)
        self._changed = threading.Condition(threading.RLock())
        self._lock = lock or HomeLock(folder.parent)
        self._mine: dict[str, Job] = {}
        self._read: dict[str, tuple[Any, Job]] = {}  # those that are not mine, and which file each was read from
        self._waiting: list[Job] = []  # lessons among them in the order of their turns
        self._current: list[Job] = []  # innermost last: a draw job may run inside a learn job's pause
        self._errands: list[tuple[Errand, Future[Any]]] = []
        self._model: Any = None
        self._model_wanted = False
        self._closing = False
        self._thread: threading.Thread | None = None
        self.model_problem = ""

    # -- asking for work -------------------------------------------------------------------------

    @property
    def model(self) -> Any:
        """What ``load_model`` returned; None until it has."""
        return self._model

    def warm_up(self) -> None:
        """Have the worker load the model. Where the home may only be read, ``model_problem`` says so."""
        with self._changed:
            self._model_wanted, self.model_problem = True, ""
            try:
                self._start()
            except DiskError as error:
                self._model_wanted, self.model_problem = False, str(error)
            self._changed.notify_all()

    def change_model(self, load_model: Callable[[], Any]) -> None:
        """Let the model go and have the worker load another by ``load_model``. Raises BusyError while a job of this
        programme runs or waits, or a model is being loaded; nothing has changed then."""
        with self._changed:
            if self._current or self._waiting:
                busy = (self._current or list(self._waiting))[0]
                what = f"{busy.name} is being learned" if busy.kind == "learn" else "A picture is being drawn"
                raise BusyError(f"{what}. Wait until it is done, or stop it, and open the other model then.")
            if self._model_wanted:
                raise BusyError("A model is being loaded. Wait until it is there.")
            self._load_model, self._model = load_model, None
            self.warm_up()

    def create(self, request: Asked) -> Job:
        """A new job that is not in the queue yet, so that files can be put into its folder first. Raises BusyError when
        too many are waiting."""
        with self._changed:
            alike = sum(job.kind == request.kind and not job.comparison for job in self._waiting)
            counts = not (isinstance(request, LearnRequest) and request.comparison)
            if counts and alike >= MOST_WAITING[request.kind]:
                raise BusyError(f"{MOST_WAITING[request.kind]} others are waiting already. Try again in a few minutes.")
            self._start()
            try:
                job = Job.create(self._folder, self._owner, request, self._changed, self._methods)
            except OSError as error:
                raise refused("This could not be noted down", error) from error
            self._mine[job.id] = job
            return job

    def submit(self, job: Job) -> None:
        """Put a job into the queue: a lesson at its turn, which for a new one is the end. Raises DiskError when that
        cannot be noted down; a new job is deleted then."""
        with self._changed:
            if self._closing:
                raise BusyError("The programme is ending. Start it again first.")
            self._start()
            job.stop_wish, self.model_problem = "", ""  # a model that failed to load is tried again
            before = dict(job.record)
            try:
                job.update(state="queued", owner=self._owner, message="", phase="waiting", ended=0.0)
            except OSError as error:
                job.record.update(before)
                if before["state"] == "queued":
                    self.abandon(job)
                raise refused("This could not be noted down", error) from error
            self._mine[job.id] = job
            later = (i for i, other in enumerate(self._waiting) if other.kind == job.kind and other.turn > job.turn)
            self._waiting.insert(next(later, len(self._waiting)) if job.kind == "learn" else len(self._waiting), job)
            self._prune(job.kind)
            self._changed.notify_all()

    def when_idle(self, errand: Errand) -> Future[Any]:
        """Have the worker do something small with the model, as soon as no job runs or waits. What it returns or raises
        is the future's. It should end when it is told that a job waits."""
        asked: Future[Any] = Future()
        with self._changed:
            self._errands.append((errand, asked))
            self._changed.notify_all()
        return asked

    def abandon(self, job: Job) -> None:
        """Delete a created job that was never submitted."""
        with self._changed:
            self._mine.pop(job.id, None)
        job.drop_inputs()
        shutil.rmtree(job.folder, ignore_errors=True)

    def stop(self, job_id: str, keep: bool) -> None:
        """Stop a job within one step; see ``Studio.stop``. Raises BusyError when another programme runs it."""
        with self._changed:
            job = self.find(job_id)
            if keep and job.kind == "learn" and (job.left or job in self._waiting):
                raise StoreError(f"{job.name} is not being learned now. Go on with it, or discard it.")
            if job.resumable:
                job.drop_inputs()
                self._settle(job, {"state": "stopped", "phase": "stopped", "message": "Discarded."})
            elif job.finished:
                return
            elif job.id not in self._mine:
                raise _elsewhere(job)
            elif job in self._waiting:
                self._waiting.remove(job)
                self._end(job, state="stopped", message="Taken out before it began.")
            else:
                job.stop_wish = "keep" if keep and job.kind == "learn" else "discard"
                job.update(phase="stopping")
            self._changed.notify_all()

    def pause(self) -> None:
        """Have the lesson that is being learned leave a checkpoint and its memory, and hold the line; where none is
        being learned, the first that waits.

        Raises StoreError when there is none, BusyError when it belongs to another programme.
        """
        with self._lock, self._changed:
            first = next(iter(self.line()), None)
            if first is None or first.left:
                raise StoreError("Nothing is being learned.")
            if first.id not in self._mine:
                raise _elsewhere(first)
            if first in self._waiting:
                self._waiting.remove(first)
                self._leave(first, paused=True)
            elif not first.stop_wish:
                first.stop_wish = "pause"
                first.update(phase="pausing")
            self._changed.notify_all()

    def move(self, job_id: str, earlier: bool) -> None:
        """Have a waiting lesson and the one before or after it change places; at the end of the line nothing happens.

        Raises StoreError when it does not wait any more, or both are of one comparison, which needs its order;
        BusyError when it belongs to another programme.
        """
        with self._lock, self._changed:
            job = self.find(job_id)
            if job.id not in self._mine and not job.finished:
                raise _elsewhere(job)
            places = [i for i, other in enumerate(self._waiting) if other.kind == "learn"]
            mine = next((n for n, i in enumerate(places) if self._waiting[i] is job), None)
            if mine is None:
                raise StoreError(f"{job.name or job_id} does not wait in the line any more.")
            beside = mine - 1 if earlier else mine + 1
            if not 0 <= beside < len(places):
                return
            one, two = places[mine], places[beside]
            other = self._waiting[two]
            if job.comparison and job.comparison == other.comparison:
                raise StoreError("The lessons of a comparison keep their order.")
            turn = job.turn
            job.update(state="queued", turn=other.turn)
            other.update(state="queued", turn=turn)
            self._waiting[one], self._waiting[two] = other, job

    def wait(self, job_id: str, timeout: float | None = None) -> Job:
        """Block until the job has ended or ``timeout`` seconds have passed."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while True:
                job = self.find(job_id)
                left = 1.0 if deadline is None else min(1.0, deadline - time.monotonic())
                if job.finished or left <= 0:
                    return job
                self._changed.wait(left)

    # -- looking ---------------------------------------------------------------------------------

    def find(self, job_id: str) -> Job:
        """A job by id. Raises StoreError when there is none. Notices that its owner has died."""
        with self._changed:
            job = self._mine.get(check_id(job_id, "job"))
            if job is None:
                job = self._of_others(job_id)
                if not job.finished and not self._alive(job.record["owner"]):
                    self._leave(job)
            return job

    def _of_others(self, job_id: str) -> Job:
        """A job that is not mine, read again only when its record was written since."""
        try:
            found = (self._folder / job_id / "job.json").stat()
        except FileNotFoundError:
            self._read.pop(job_id, None)
            raise StoreError(f"There is no job {job_id!r}.") from None
        except OSError as error:
            raise StoreError(f"The job {job_id} cannot be read ({error.strerror}). Delete its folder.") from error
        known, age = self._read.get(job_id), (found.st_mtime_ns, found.st_ino, found.st_size)
        if known is None or known[0] != age:
            known = self._read[job_id] = age, Job(self._folder / job_id, self._changed, self._methods)
        return known[1]

    def jobs(self, kind: str) -> Iterator[Job]:
        """All jobs of a kind that can be read, newest first."""
        ours = (path for path in self._folder.glob(f"[0-9]*-{kind}") if path.name.split("-")[0].isdecimal())
        for folder in sorted(ours, key=job_number, reverse=True):
            # one made a moment ago, or broken by a power cut, is no reason to stop all others
            with suppress(StoreError):
                yield self.find(folder.name)

    def line(self) -> list[Job]:
        """The lessons that are learned, or wait for it, or are paused, in any programme, next first."""
        with self._changed:
            found = [job for job in self.jobs("learn") if self._in_line(job)]
        return sorted(found, key=lambda job: (job.record["state"] == "queued", job.turn))

    def _in_line(self, job: Job) -> bool:
        waits = job.record["owner"] != self._owner or job in self._waiting  # and is not only being made
        return job.record["state"] in ("running", "paused") or (job.record["state"] == "queued" and waits)

    def learning(self) -> Job | None:
        """The lesson that is being learned in any programme, or is about to be; None where the line is empty or
        paused."""
        first = next(iter(self.line()), None)
        return first if first and not first.finished else None

    def latest(self) -> Job | None:
        """The first lesson of the line, else the one that ended last, or None."""
        ended = max(self.jobs("learn"), key=lambda job: (job.ended, job_number(job.folder)), default=None)
        return next(iter(self.line()), ended)

    def landed(self) -> Job | None:
        """The lesson whose concept was stored last, or None."""
        stored = (job for job in self.jobs("learn") if job.record["concept_id"])
        return max(stored, key=lambda job: (job.ended, job_number(job.folder)), default=None)

    def view(self, job: Job) -> JobView:
        """The job's view, with what a queued job waits for said in its phase."""
        return self.views([job], whole=True)[0]

    def views(self, jobs: Sequence[Job], whole: bool = False) -> list[JobView]:
        """The same of several. whole: see ``Job.view``."""
        with self._changed:
            lesson_waits = any(job.kind == "learn" and job in self._waiting for job in jobs)
            first = next(iter(self.line()), None) if lesson_waits else None
            views = [replace(job.view(whole), here=job.id in self._mine) for job in jobs]
            return [
                replace(view, phase=self._waits_for(job, first)) if job in self._waiting else view
                for view, job in zip(views, jobs, strict=True)
            ]

    def _waits_for(self, job: Job, first: Job | None) -> str:
        if self._model is None:
            return "waiting for the model to load"
        if job.kind == "draw" and self._current and self._current[0].kind == "learn":
            return f"waiting: {self._current[0].name} is being learned, this is drawn at the next pause"
        if first and first.left:
            return f"waiting: {first.name} is paused"
        if first and first.id not in self._mine:
            return f"waiting: another programme learns {first.name}"
        return "waiting for its turn"

    def _comes_first(self, lesson: Job) -> bool:
        """Whether it stands first in the line."""
        first = next(iter(self.line()), None)
        return first is None or first.id == lesson.id

    # -- the worker ------------------------------------------------------------------------------

    def serve_waiting(self, kind: str) -> bool:
        """Called by running work at a pause: do the first queued job of another kind. Says whether there was one."""
        with self._changed:
            job = next((job for job in self._waiting if job.kind == kind), None)
            if job is None or self._closing:
                return False
            self._waiting.remove(job)
        self._do(job)
        return True

    def close(self, timeout: float = 60.0) -> None:
        """Interrupt what runs or waits and end the threads."""
        with self._changed:
            self._closing = True
            for job in self._current:
                job.stop_wish = job.stop_wish or "close"
            for _, asked in self._errands:
                asked.cancel()
            self._changed.notify_all()
        if self._thread:
            self._thread.join(timeout)
        with self._changed:
            for job in self._waiting:  # after what ran, which may still have come to its end: these are what is left
                self._leave(job)
            self._waiting.clear()
            self._changed.notify_all()
        self._model = None  # the next one that is loaded need not wait for the collector to find room
        self._alive_lock.release()
        with suppress(OSError):  # in a home that may only be read there is none to delete
            self._alive_file(self._owner).unlink(missing_ok=True)

    def _start(self) -> None:
        if self._thread or self._closing:
            return
        try:
            self._alive_lock.acquire()
        except OSError as error:
            raise refused(f"Nothing can be learned or drawn in {self._folder.parent}", error) from error
        for file in self._folder.glob("owner-*.alive"):
            with suppress(FileNotFoundError):
                if time.time() - file.stat().st_mtime > FRESH_SECONDS:
                    self._alive(file.stem.removeprefix("owner-"))  # else it is deleted
        self._thread = threading.Thread(target=self._run, name="clora-run", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._closing or self._waiting or self._needs_model() or (self._errands and self._idle())
                )
                if self._closing:
                    return
                load, errand = self._needs_model(), self._errand()
            if load:
                self._load()
            elif errand:
                self._run_errand(*errand)
            elif job := self._take():
                self._do(job)

    def _idle(self) -> bool:
        """The model stands, and nobody waits for it or for another."""
        return self._model is not None and not (self._closing or self._waiting or self._needs_model())

    def _errand(self) -> tuple[Errand, Future[Any]] | None:
        return self._errands.pop(0) if self._errands and self._idle() else None

    def _run_errand(self, errand: Errand, asked: Future[Any]) -> None:
        if not asked.set_running_or_notify_cancel():
            return
        try:
            asked.set_result(errand(self._model, lambda: not self._idle()))
        except Exception as error:  # noqa: BLE001  whoever asked is told; the worker lives on
            asked.set_exception(error)

    def _take(self) -> Job | None:
        """Take the next job out of the queue: no drawing waits for a lesson that may not begin. None when there is
        nothing else; then some time has passed, or something has changed."""
        with self._changed:
            if self._closing:
                return None
            first = next(iter(self._waiting), None)
            if not (first and first.kind == "learn" and self._comes_first(first)):
                drawing = next((job for job in self._waiting if job.kind != "learn"), None)
                if drawing:
                    self._waiting.remove(drawing)
                else:
                    self._changed.wait(LOOK_SECONDS)
                return drawing
        try:
            with self._lock, self._changed:  # of two programmes one begins
                lesson = next((job for job in self._waiting if job.kind == "learn"), None)
                if self._closing or lesson is None or not self._comes_first(lesson):
                    return None
                self._waiting.remove(lesson)
                with suppress(OSError):  # a full disk: the lesson fails, and says so, when it begins
                    lesson.update(state="running", phase="starting")
                return lesson
        except StoreError:  # another programme writes, and has for long
            return None

    def _needs_model(self) -> bool:
        return self._model is None and (self._model_wanted or (bool(self._waiting) and not self.model_problem))

    def _load(self) -> None:
        problem, model = "", None
        try:
            model = self._load_model()
        except StudioError as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001  a broken model folder must reach the user, not kill the worker
            problem = f"The model could not be loaded ({type(error).__name__}: {error})."
            with suppress(OSError):
                write_text(self._folder / "model-error.txt", traceback.format_exc(), durable=False)
        with self._changed:
            self._model, self.model_problem, self._model_wanted = model, problem, False
            while problem and self._waiting:
                self._fail(self._waiting.pop(0), problem)
            self._changed.notify_all()

    def _do(self, job: Job) -> None:
        with self._changed:
            self._current.append(job)
        try:
            job.update(state="running", phase="starting")
            self._end(job, **{"state": "done", **self._works[job.kind](self._model, job)})
        except Interrupted:
            self._leave(job, paused=job.stop_wish == "pause")
        except Cancelled:
            nothing = "Stopped. Nothing was kept." if job.kind == "learn" else "Cancelled."
            self._end(job, state="stopped", message=nothing)
        except TrainingError as error:  # it would come again from the checkpoint
            job.log(traceback.format_exc())
            self._give_out(job, str(error))
        except StudioError as error:
            job.log(traceback.format_exc())
            self._fail(job, str(error), isinstance(error, DiskError))
        except Exception as error:  # noqa: BLE001  a bug, or the machine: the job fails, the worker lives on
            job.log(traceback.format_exc())
            if isinstance(error, OSError) and error.errno in REFUSED:
                self._fail(job, str(refused("What was learned could not be written", error)), full=True)
            else:
                self._fail(job, _unexpected(error, job))
        finally:
            with self._changed:
                self._current.remove(job)
                self._changed.notify_all()
            if self._tidy and job.kind == "learn":
                self._tidy()

    def _end(self, job: Job, **changes: Any) -> None:
        job.drop_inputs()
        self._settle(job, {"phase": str(changes["state"]), **changes})

    def _fail(self, job: Job, problem: str, full: bool = False) -> None:
        """The job has failed; what was learned until the last checkpoint is kept for when that is mended, and what
        waits of the same comparison waits for that, too. full: the disk refused, so that a lesson without a checkpoint
        is left like one with it, to be learned from the start."""
        if not job.has_checkpoint and not (full and job.kind == "learn"):
            self._give_out(job, problem)
            return
        what = f"What was learned of {job.name} is" if job.has_checkpoint else f"The pictures of {job.name} are"
        kept = f"{problem} {what} kept: go on, or discard it."
        with self._changed:
            self._leave(job, kept)
            for other in list(self._waiting):
                if job.comparison and other.comparison == job.comparison:
                    self._waiting.remove(other)
                    self._leave(other, kept)

    def _give_out(self, job: Job, problem: str) -> None:
        """The job has failed with nothing to go on from; its pictures stay for a day, to try it again."""
        job.drop_learned()
        self._settle(job, {"state": "failed", "phase": "failed", "message": problem})

    def _leave(self, job: Job, message: str = "", paused: bool = False) -> None:
        """To be gone on with later, unless what it learned stands in the timeline. message: why, where it is not that
        the programme ended or somebody wished it."""
        if job.kind == "learn" and (concept := self._stored(job)):
            self._end(job, state="done", message=f"{job.name} is stored.", concept_id=concept)
            return
        state, why = ("paused", job.paused_at()) if paused else ("interrupted", message or job.cut_off())
        self._settle(job, {"state": state, "phase": state, "message": why})

    def _settle(self, job: Job, changes: dict[str, Any]) -> None:
        """The job's last changes for now. From here on its folder is the truth, for another programme may go on with
        it; on a full disk it has come to rest in memory only, so that nobody waits for it."""
        with self._changed, suppress(OSError):
            job.update(**{"seconds_left": None, "ended": time.time(), **changes})
            self._mine.pop(job.id, None)

    def _prune(self, kind: str) -> None:
        """Delete old jobs that have ended, and the pictures of those that failed long ago."""
        for job in self.jobs(kind):
            if job.record["state"] == "failed" and time.time() - job.ended > FAILED_SECONDS:
                job.drop_inputs()
        for old in self.spent(kind, JOBS_KEPT[kind]):
            self._mine.pop(old.id, None)
            self._read.pop(old.id, None)
            shutil.rmtree(old.folder, ignore_errors=True)

    def spent(self, kind: str, kept: int) -> list[Job]:
        """Jobs that have ended, but for the newest ``kept``; a comparison is needed as a whole while a part of it has
        not ended."""
        jobs = list(self.jobs(kind))
        open_ones = [job for job in jobs if not job.finished or job.resumable]
        comparisons = {job.comparison or job.id for job in open_ones}
        return [job for job in jobs[kept:] if (job.comparison or job.id) not in comparisons]

    # -- who is alive ----------------------------------------------------------------------------

    def _alive_file(self, owner: str) -> Path:
        return self._folder / f"owner-{owner}.alive"

    def _alive(self, owner: str) -> bool:
        """Whether somebody holds the lock of the owner's file; else the file is deleted."""
        file = self._alive_file(owner)
        if owner == self._owner or not file.exists():
            return owner == self._owner
        try:
            with FileLock(file, timeout=0):
                file.unlink(missing_ok=True)
        except (Timeout, OSError):  # OSError: a file of another user's
            return True
        return False


def _elsewhere(job: Job) -> BusyError:
    return BusyError(f"{job.name or job.id} belongs to another running programme. Do it there.")


def _unexpected(error: Exception, job: Job) -> str:
    if type(error).__name__ == "OutOfMemoryError":
        return "The graphics card ran out of memory. Choose a smaller batch size or resolution, or the CPU."
    first = (str(error).splitlines() or [""])[0][:200]
    return f"Something unexpected happened ({type(error).__name__}: {first}). Details: jobs/{job.id}/log.txt"
