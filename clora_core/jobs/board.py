"""The job board: one worker thread that owns the model, and a queue of jobs whose truth is on disk.

Learning and drawing never overlap, because only the worker touches the model. Learning work may call
``serve_waiting`` at its pauses, so that pictures asked for meanwhile need not wait for its end.

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
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from clora_core.answers import JobView
from clora_core.disk import check_id, write_text
from clora_core.errors import BusyError, Cancelled, StoreError, StudioError, TrainingError
from clora_core.jobs.folder import Interrupted, Job, job_number
from clora_core.jobs.requests import DrawRequest, LearnRequest
from clora_core.settings.methods import BUILT_IN, Methods

FRESH_SECONDS = 60.0  # an owner's file so young may be about to be locked
JOBS_KEPT = {"learn": 100, "draw": 40}
MOST_WAITING = {
    "learn": 1000,
    "draw": 30,
}  # a comparison queues many lessons; anybody asks for drawings

Work = Callable[[Any, Job], dict[str, Any]]
"""(model, job) -> the last changes to the job's record, e.g. {"message": ..., "pictures": [...]}."""


class JobBoard:
    """Jobs below one folder. ``load_model`` runs in the worker thread, once, when it is first needed."""

    def __init__(
        self,
        folder: Path,
        load_model: Callable[[], Any],
        works: Mapping[str, Work],
        methods: Methods = BUILT_IN,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._load_model = load_model
        self._works, self._methods = works, methods
        self._owner = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self._alive_lock = FileLock(self._alive_file(self._owner), thread_local=False)
        self._changed = threading.Condition(threading.RLock())
        self._mine: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._current: list[Job] = []  # innermost last: a draw job may run inside a learn job's pause
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
        """Have the worker load the model."""
        with self._changed:
            self._model_wanted, self.model_problem = True, ""
            self._start()
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

    def create(self, request: LearnRequest | DrawRequest) -> Job:
        """A new job that is not in the queue yet, so that files can be put into its folder first. Raises BusyError when
        too many are waiting."""
        with self._changed:
            if sum(job.kind == request.kind for job in self._waiting) >= MOST_WAITING[request.kind]:
                raise BusyError(f"{MOST_WAITING[request.kind]} others are waiting already. Try again in a few minutes.")
            self._start()
            job = Job.create(self._folder, self._owner, request, self._changed, self._methods)
            self._mine[job.id] = job
            return job

    def submit(self, job: Job) -> None:
        """Put a job at the end of the queue."""
        with self._changed:
            if self._closing:
                raise BusyError("The programme is ending. Start it again first.")
            self._start()
            job.stop_wish, self.model_problem = "", ""  # a model that failed to load is tried again
            self._mine[job.id] = job
            job.update(state="queued", owner=self._owner, message="")
            self._waiting.append(job)
            self._prune(job.kind)
            self._changed.notify_all()

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
            interrupted = job.record["state"] == "interrupted"
            if keep and job.kind == "learn" and (interrupted or job in self._waiting):
                raise StoreError(f"Job {job_id} is not running. Go on with it, or discard it.")
            if interrupted:
                job.drop_inputs()
                job.update(state="stopped", phase="stopped", message="Given up.")
            elif job.finished:
                return
            elif job.id not in self._mine:
                raise BusyError(f"Job {job_id} belongs to another running programme. Stop it there.")
            elif job in self._waiting:
                self._waiting.remove(job)
                self._end(job, state="stopped", message="Stopped before it began.")
            else:
                job.stop_wish = "keep" if keep and job.kind == "learn" else "discard"
                job.update(phase="stopping")
            self._changed.notify_all()

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
                if not (self._folder / job_id / "job.json").exists():
                    raise StoreError(f"There is no job {job_id!r}.")
                job = Job(self._folder / job_id, self._changed, self._methods)
            if not job.finished and job.id not in self._mine and not self._alive(job.record["owner"]):
                self._leave(job, job.cut_off())
            return job

    def jobs(self, kind: str) -> Iterator[Job]:
        """All jobs of a kind that can be read, newest first."""
        for folder in sorted(self._folder.glob(f"[0-9]*-{kind}"), key=job_number, reverse=True):
            # one made a moment ago, or broken by a power cut, is no reason to stop all others
            with suppress(StoreError):
                yield self.find(folder.name)

    def active(self, kind: str) -> Job | None:
        """The job of a kind that is running or queued anywhere, or None."""
        return self._own(kind) or next((job for job in self.jobs(kind) if not job.finished), None)

    def latest(self, kind: str) -> Job | None:
        """The job of a kind that this programme is working on, else the newest one, or None."""
        return self._own(kind) or next(self.jobs(kind), None)

    def _own(self, kind: str) -> Job | None:
        with self._changed:  # a job that has just ended may stand in _current for a moment longer
            own = [job for job in [*self._current, *self._waiting] if job.kind == kind and not job.finished]
            return own[0] if own else None

    def view(self, job: Job) -> JobView:
        """The job's view, with what a queued job waits for said in its phase."""
        with self._changed:
            seen = job.view()
            return replace(seen, phase=self._waits_for(job)) if job in self._waiting else seen

    def _waits_for(self, job: Job) -> str:
        if self._model is None:
            return "waiting for the model to load"
        if job.kind == "draw" and self._current and self._current[0].kind == "learn":
            return f"waiting: {self._current[0].name} is being learned, this is drawn at the next pause"
        return "waiting for its turn"

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
            for job in self._waiting:
                self._leave(job, job.cut_off())
            self._waiting.clear()
            self._changed.notify_all()
        if self._thread:
            self._thread.join(timeout)
        self._model = None  # the next one that is loaded need not wait for the collector to find room
        self._alive_lock.release()
        self._alive_file(self._owner).unlink(missing_ok=True)

    def _start(self) -> None:
        if self._thread or self._closing:
            return
        self._alive_lock.acquire()
        for file in self._folder.glob("owner-*.alive"):
            with suppress(FileNotFoundError):
                if time.time() - file.stat().st_mtime > FRESH_SECONDS:
                    self._alive(file.stem.removeprefix("owner-"))  # else it is deleted
        self._thread = threading.Thread(target=self._run, name="clora-run", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._waiting or self._needs_model())
                if self._closing:
                    return
                job = self._waiting.popleft() if self._waiting and not self._needs_model() else None
            if job is None:
                self._load()
            else:
                self._do(job)

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
                self._fail(self._waiting.popleft(), problem)
            self._changed.notify_all()

    def _do(self, job: Job) -> None:
        with self._changed:
            self._current.append(job)
        try:
            job.update(state="running", phase="starting")
            self._end(job, **{"state": "done", **self._works[job.kind](self._model, job)})
        except Interrupted:
            self._leave(job, job.cut_off())
        except Cancelled:
            self._end(job, state="stopped", message="Stopped. Nothing was kept.")
        except TrainingError as error:  # it would come again from the checkpoint
            job.log(traceback.format_exc())
            self._end(job, state="failed", message=str(error))
        except StudioError as error:
            job.log(traceback.format_exc())
            self._fail(job, str(error))
        except Exception as error:  # noqa: BLE001  a bug, or the machine: the job fails, the worker lives on
            job.log(traceback.format_exc())
            self._fail(job, _unexpected(error, job))
        finally:
            with self._changed:
                self._current.remove(job)
                self._changed.notify_all()

    def _end(self, job: Job, **changes: Any) -> None:
        job.drop_inputs()
        self._settle(job, {"phase": str(changes["state"]), **changes})

    def _fail(self, job: Job, problem: str) -> None:
        """The job has failed; what was learned until the last checkpoint is kept for when that is mended, and what
        waits of the same comparison waits for that, too."""
        if not job.has_checkpoint:
            self._end(job, state="failed", message=problem)
            return
        kept = f"{problem} What was learned of {job.name} is kept: resume it, or discard it."
        with self._changed:
            self._leave(job, kept)
            for other in list(self._waiting):
                if job.comparison and other.comparison == job.comparison:
                    self._waiting.remove(other)
                    self._leave(other, kept)

    def _leave(self, job: Job, message: str) -> None:
        self._settle(job, {"state": "interrupted", "phase": "interrupted", "message": message})

    def _settle(self, job: Job, changes: dict[str, Any]) -> None:
        """The job's last changes for now. From here on its folder is the truth, for another programme may go on with
        it; on a full disk it has come to rest in memory only, so that nobody waits for it."""
        with self._changed, suppress(OSError):
            job.update(**{"seconds_left": None, **changes})
            self._mine.pop(job.id, None)

    def _prune(self, kind: str) -> None:
        """Delete old jobs that have ended."""
        for old in self.spent(kind, JOBS_KEPT[kind]):
            self._mine.pop(old.id, None)
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


def _unexpected(error: Exception, job: Job) -> str:
    if type(error).__name__ == "OutOfMemoryError":
        return "The graphics card ran out of memory. Choose a smaller batch size or resolution, or the CPU."
    first = (str(error).splitlines() or [""])[0][:200]
    return f"Something unexpected happened ({type(error).__name__}: {first}). Details: jobs/{job.id}/log.txt"
