"""Several devices at once: every item is done, progress is told, and no process is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from clora_core.bench.workers import Here, Workers, dask_cluster, one_process_a_device, run_all, workers_on
from clora_core.errors import SettingsError, StudioError

Say = Callable[[str], None]


@dataclass(frozen=True)
class Item:
    """What is asked of a cell here."""

    id: str


ITEMS = [Item(name) for name in "abcdef"]


def double(item: Item, say: Say) -> tuple[str, str]:
    """Twice the item, and on what it was done."""
    say("doubling")
    if item.id == "c":
        raise ValueError("c has no double")
    time.sleep(0.2)  # so that one device does not do all
    return 2 * item.id, os.environ.get("CUDA_VISIBLE_DEVICES", "")


def die(item: Item, say: Say) -> None:
    """What the system does to a process that wants too much memory."""
    os._exit(9)


def hold_a_lock(folder: Path, item: Item, say: Say) -> None:
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


def test_here_every_item_is_done_in_turn_and_an_error_is_a_result() -> None:
    told: list[str] = []
    found = {item.id: result for item, result in run_all(double, ITEMS, Workers(Here()), told.append)}
    assert [*found] == [*"abcdef"] and found["d"][0] == "dd"
    assert isinstance(found["c"], ValueError)
    assert told[0] == "0 of 6 done; a: doubling" and "; f: doubling" in told[-1]


def test_a_dask_cluster_takes_the_items() -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, processes=False, dashboard_address=None, protocol="tcp") as cluster,
        dask_cluster(cluster.scheduler_address.replace("tcp://", "dask://")) as workers,
    ):
        found = {item.id: result for item, result in run_all(double, ITEMS, workers, print)}
    assert {name: result[0] for name, result in found.items() if name != "c"} == {n: 2 * n for n in "abdef"}
    assert isinstance(found["c"], ValueError)


def test_dask_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SettingsError, match="pip install distributed"), workers_on("dask://localhost:1", None):
        pass


def test_every_item_is_done_and_progress_is_told() -> None:
    told: list[str] = []
    with one_process_a_device(["7", "9"]) as workers:
        found = {item.id: result for item, result in run_all(double, ITEMS, workers, told.append)}
    assert isinstance(found.pop("c"), ValueError)
    assert {name: result[0] for name, result in found.items()} == {name: 2 * name for name in "abdef"}
    assert {result[1] for result in found.values()} <= {"7", "9"}
    assert {"f: doubling"} <= {words.split("; ")[1] for words in told}
    assert told[0].startswith("0 of 6 done")


def test_a_worker_that_dies_is_told() -> None:
    with pytest.raises(StudioError, match="run the command again"), one_process_a_device(["0", "1"]) as workers:
        list(run_all(die, ITEMS[:2], workers, print))


@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
def test_workers_end_with_the_programme(tmp_path: Path, name: str) -> None:
    fcntl = pytest.importorskip("fcntl", reason="no file locks here")
    paths = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parents[2])])
    command = [sys.executable, __file__, str(tmp_path)]
    program = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}, stderr=subprocess.PIPE, text=True)
    wait_until((tmp_path / "at-work").exists)

    def free() -> bool:
        with (tmp_path / "lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    assert not free()
    program.send_signal(signal.Signals[name])
    _, errors = program.communicate(timeout=60)
    wait_until(free)
    assert errors.count("Traceback") <= (name == "SIGINT")  # its own, and no worker's


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is begun with it ignored
    with one_process_a_device(["0", "1"]) as workers:
        list(run_all(partial(hold_a_lock, Path(sys.argv[1])), ITEMS[:1], workers, print))
