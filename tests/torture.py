"""Kills and failing writes at random moments: ``python tests/torture.py --kills 200 --failures 200``.

A programme works on a home on the tiny model: it teaches, draws, undoes, branches, renames, deletes, exports and takes
in, in random order, and says before each thing how its timelines stand. It is killed (SIGKILL) at a random moment, or a
write of it fails (ENOSPC, EIO, EACCES at the n-th one). Another one then opens the home. It must find every timeline
readable, and no concept gone that was there. It goes on with every lesson that was left: the weights must be, byte for
byte, those of every other lesson on the same past, disturbed or not.
"""

from __future__ import annotations

import argparse
import builtins
import errno
import hashlib
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import multiprocessing  # noqa: E402

from tiny.model import build_tiny_model  # noqa: E402
from tiny.served import make_people, open_studio  # noqa: E402

from clora_core.concepts import Concept  # noqa: E402
from clora_core.errors import StudioError  # noqa: E402
from clora_core.jobs import learn as learning  # noqa: E402
from clora_core.jobs.requests import DrawRequest, LearnRequest  # noqa: E402
from clora_core.studio.studio import Studio  # noqa: E402

OPERATIONS = [*["learn"] * 6, "draw", "undo", "redo", "branch", "rename", "delete", "restore", "export", "take_in"]
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
STEPS = {"steps": 12, "preview_every_seconds": 0.5, "augment_copies": 1}
MOST = 4  # concepts in a timeline, and timelines
SECONDS = 300.0
State = dict[str, list[list[str]]]
"""By timeline: the ids of its concepts, and of those that are undone."""
fork = multiprocessing.get_context("fork")  # each programme would need seconds to import torch


def state_of(studio: Studio) -> State:
    """How the timelines stand."""
    views = [studio.timeline(summary.id) for summary in studio.timelines()]
    return {view.id: [[card.id for card in view.cards], [card.id for card in view.undone]] for view in views}


def work(place: Path, seed: int, fail_at: int, said: Connection) -> None:
    """One programme: things in random order until it is killed, or a write has failed. fail_at: which; 0 = none."""
    learning.CHECKPOINT_SECONDS, learning.CHECKPOINT_SHARE = 0.05, 1e9  # as often as can be
    rng, disk = random.Random(seed), _Disk(place / "home", seed)
    studio = open_studio(place / "home", place / "model", place / "assets")
    said.send(("ready", "", state_of(studio)))
    disk.fail(fail_at)
    for number in range(1000):
        operation, target = rng.choice(OPERATIONS), rng.choice(sorted(state_of(studio)) or [studio.default_timeline()])
        said.send(("begins", operation + " " + target, state_of(studio)))
        with suppress(StudioError):
            do(studio, place, operation, target, f"{seed}-{number}", rng)
        if disk.failed:
            disk.fail(0)
            said.send(("failed", operation + " " + target, {}))
            os._exit(0)  # as if it was killed, with what the failed write has left
    os._exit(0)


def do(studio: Studio, place: Path, operation: str, target: str, name: str, rng: random.Random) -> None:
    """One thing. Raises StudioError when it is refused."""
    if operation == "learn":
        if len(studio.timeline(target).cards) < MOST:
            sample = rng.choice(studio.samples())
            concept = Concept(sample.name, sample.token, sample.pictures)
            studio.wait(studio.learn(LearnRequest(target, concept, studio.base.train.updated(STEPS))), SECONDS)
    elif operation == "draw":
        studio.draw_now(DrawRequest(target, "a photo", studio.base.sampling))
    elif operation in ("undo", "redo"):
        getattr(studio, operation)(target)
    elif operation == "branch":
        if len(studio.timelines()) < MOST:
            studio.branch(target, rng.randint(0, len(studio.timeline(target).cards)), f"Branch {name}")
    elif operation == "rename":
        studio.rename_timeline(target, f"Name {name}")
    elif operation == "delete":
        if len(studio.timelines()) > 1:
            studio.trash.delete_timeline(target)
    elif operation == "restore":
        for item in studio.trash.items()[:1]:
            studio.trash.restore(item.id)
    elif operation == "export":
        studio.archive(target, place / "out.zip")
    elif (place / "out.zip").exists() and len(studio.timelines()) < MOST:
        studio.take_in(place / "out.zip")


def check(place: Path, before: State, begun: str, known: dict[str, str], said: Connection) -> None:
    """The next programme: says what is wrong with the home, goes on with what was left, and says the digests of all
    that was learned by what it was learned on."""
    faults: list[str] = []
    studio = open_studio(place / "home", place / "model", place / "assets")
    operation, _, target = begun.partition(" ")
    try:
        unreadable = [summary.id for summary in studio.timelines() if not summary.usable]
        faults += [f"{timeline_id} cannot be read" for timeline_id in unreadable]
        for lesson in studio.lessons.all():
            with suppress(StudioError):  # the timeline has changed since
                studio.resume(lesson.id)
            if not lesson.resumable:
                faults.append(f"{lesson.id} is {lesson.state}, and nobody does it")
        left = [studio.wait(lesson.id, SECONDS) for lesson in studio.lessons.all()]
        faults += [f"{job.id}: {job.message}" for job in left if job.state not in ("done", "interrupted", "paused")]
        now = {} if unreadable else state_of(studio)
        trash = {item.name for item in studio.trash.items()} | {item.id.split(".")[-1] for item in studio.trash.items()}
        for timeline_id, lists in before.items():
            here = now.get(timeline_id)
            if here is None and not (operation == "delete" and timeline_id == target and timeline_id in trash):
                faults.append(f"{timeline_id} is gone")
            elif here and set(lists[0] if operation == "learn" else sum(lists, [])) - set(sum(here, [])):
                faults.append(f"{timeline_id} had {lists} and has {here}")  # learning empties the redo shelf
        for timeline_id in now:
            past = ""
            for concept in studio.learned(timeline_id):  # which looks at every checksum
                past += concept.token
                digest = hashlib.sha256()
                for name, tensor in sorted(concept.tensors().items()):
                    digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
                if known.setdefault(past, digest.hexdigest()) != digest.hexdigest():
                    faults.append(f"{past} in {timeline_id} is not what an undisturbed lesson gives")
        for job in left:
            studio.stop(job.id)
    except Exception as error:  # noqa: BLE001  that is what is looked for
        faults.append(f"{type(error).__name__}: {error}")
    studio.close()
    said.send((faults, known))


class _Disk:
    """Fails one write below a folder: the n-th file opened for writing, folder made, name changed or flush."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._code, self._left, self.failed = str(folder), ERRORS[seed % len(ERRORS)], 0, False
        opened = io.open

        def open_(file: Any, mode: str = "r", *args: Any, **more: Any) -> Any:
            if set(mode) & set("wax+") and isinstance(file, str | os.PathLike):
                self._count(os.fspath(file))
            return opened(file, mode, *args, **more)

        builtins.open = io.open = open_
        for name in ("mkdir", "rename", "replace", "fsync"):
            setattr(os, name, self._counted(getattr(os, name)))

    def fail(self, at: int) -> None:
        """The ``at``-th write from now on; 0 = none."""
        self._left = at

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(what: Any, *args: Any, **more: Any) -> Any:
            self._count(self._folder if isinstance(what, int) else os.fspath(what))
            return call(what, *args, **more)

        return counted

    def _count(self, path: str) -> None:
        if self._left and path.startswith(self._folder):
            self._left -= 1
            if not self._left:
                self.failed = True
                raise OSError(self._code, os.strerror(self._code))


def programme(target: Callable[..., None], *given: Any) -> tuple[Any, Connection]:
    """A process and what it says."""
    ours, theirs = fork.Pipe(duplex=False)
    process = fork.Process(target=target, args=(*given, theirs))
    process.start()
    theirs.close()
    return process, ours


def last_said(process: Any, said: Connection, seconds: float | None) -> tuple[str, State]:
    """What the programme was doing when it ended, and how its timelines stood. seconds: when it is killed."""
    begun, state = "", State()
    while not said.poll(1.0):
        assert process.is_alive(), "it ended before it was ready"
    said.recv()
    deadline = time.monotonic() + (seconds if seconds is not None else SECONDS)
    with suppress(EOFError):
        while (left := deadline - time.monotonic()) > 0:
            if said.poll(left):
                kind, what, found = said.recv()
                if kind == "begins":
                    begun, state = what, found
        os.kill(process.pid, signal.SIGKILL)
        while True:  # what it said before that
            kind, what, found = said.recv()
            if kind == "begins":
                begun, state = what, found
    process.join(60)
    return begun, state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--failures", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=8.0, help="within which a programme is killed")
    chosen = parser.parse_args()
    rng, faults, known = random.Random(chosen.seed), 0, dict[str, str]()
    done: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        build_tiny_model(place / "model")
        make_people(place / "assets")
        for number in range(chosen.kills + chosen.failures):
            kill = number < chosen.kills
            if number % 40 == 0:  # not all that was drawn and learned is needed
                shutil.rmtree(place / "home", ignore_errors=True)
            fail_at = 0 if kill else rng.randint(1, 60)
            process, said = programme(work, place, chosen.seed * 100_000 + number, fail_at)
            begun, before = last_said(process, said, rng.uniform(0, chosen.seconds) if kill else None)
            how = f"{number}: {'killed' if kill else f'write {fail_at} failed'} in {begun or 'nothing'}"
            process, said = programme(check, place, before, begun, known)
            found, known = said.recv()
            process.join(60)
            done[begun.partition(" ")[0]] = done.get(begun.partition(" ")[0], 0) + 1
            faults += len(found)
            for fault in found:
                print(f"{how}: {fault}", flush=True)
            if number % 10 == 9:
                print(f"after {number + 1}: {json.dumps(done)}, {len(known)} pasts, {faults} faults", flush=True)
    print(f"{chosen.kills} kills, {chosen.failures} failed writes, {len(known)} pasts learned on: {faults} faults")
    sys.exit(bool(faults or not known))


if __name__ == "__main__":
    main()
