"""Several devices at once: every item is done, progress is told, and no process is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from clora_core.bench.workers import on_every_device
from clora_core.errors import StudioError

Say = Callable[[str], None]


def double(opener: int, say: Say, item: int) -> tuple[int, int]:
    """Twice the item, and on what it was done."""
    say(f"doubling {item}")
    time.sleep(0.2)  # so that one device does not do all
    return 2 * item, opener


def die(opener: int, say: Say, item: int) -> None:
    """What the system does to a process that wants too much memory."""
    os._exit(9)


def hold_a_lock(opener: int, say: Say, item: int, folder: Path) -> None:
    """Work that goes on for ever, with a lock that the system takes from the dead."""
    fcntl = pytest.importorskip("fcntl")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / "at-work").touch()
        while True:
            time.sleep(1.0)


def wait_until(reached: Callable[[], object]) -> None:
    """Returns when it is so; fails after a minute."""
    end = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < end, "a minute has passed"
        time.sleep(0.05)


@pytest.mark.slow
def test_every_item_is_done_and_progress_is_told() -> None:
    told: list[str] = []
    found = list(on_every_device(double, [1, 2], range(6), told.append))  # type: ignore[list-item]
    assert sorted(result for result, _ in found) == [0, 2, 4, 6, 8, 10]
    assert {"doubling 5"} <= {words.split("; ")[1] for words in told}
    assert told[0].startswith("0 of 6 done")


@pytest.mark.slow
def test_a_worker_that_dies_is_told() -> None:
    with pytest.raises(StudioError, match="run the command again"):
        list(on_every_device(die, [1, 2], [0, 1], print))  # type: ignore[list-item]


@pytest.mark.slow
def test_workers_end_when_the_programme_is_killed(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl", reason="no file locks here")
    paths = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parents[2])])
    command = [sys.executable, __file__, str(tmp_path)]
    program = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths})
    wait_until((tmp_path / "at-work").exists)

    def free() -> bool:
        with (tmp_path / "lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    assert not free()
    program.kill()
    program.wait()
    wait_until(free)


if __name__ == "__main__":
    list(on_every_device(partial(hold_a_lock, folder=Path(sys.argv[1])), [1, 2], [0, 1], print))  # type: ignore[list-item]
