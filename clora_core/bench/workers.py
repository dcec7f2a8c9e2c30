"""Where the cells of a benchmark run: in this process, in a process for each GPU, or on a Dask cluster.

Each is an ``Executor`` of ``concurrent.futures``; one thread of control hands cells out and takes their results.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import queue
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from logging.handlers import QueueHandler
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from clora_core.errors import SettingsError, StudioError
from clora_core.studio.progress import Say, minutes_left, prefixed

if TYPE_CHECKING:
    from clora_core.bench.cells import Cell

LOGGER = logging.getLogger(__name__)  # what is said in another process: told here, and on a cluster in the worker's log

Result = TypeVar("Result")


@dataclass(frozen=True)
class Workers:
    """Who runs the cells.

    at_once: how many are handed out at a time.  elsewhere: in other processes.  heard: what was said there since.
    """

    executor: Executor
    at_once: float = 1
    elsewhere: bool = False
    heard: Callable[[], Sequence[str]] = list


class Here(Executor):
    """Runs each call where it is submitted: one device needs no other process."""

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """The finished future. Ctrl+C goes through."""
        future: Future[Result] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@contextmanager
def one_process_a_device(devices: Sequence[str]) -> Iterator[Workers]:
    """A process for each device, which takes the next cell when it is done with one. No process outlives this one.

    devices: their names in CUDA_VISIBLE_DEVICES; a process sees no other.
    """
    context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    free, words = context.Queue(), context.Queue()
    for device in devices:
        free.put(device)

    def heard() -> list[str]:
        found = []
        while True:
            try:
                found.append(words.get_nowait().getMessage())
            except queue.Empty:
                return found

    before = multiprocessing.active_children()
    pool = ProcessPoolExecutor(len(devices), context, initializer=_begin, initargs=(free, words))
    try:
        yield Workers(pool, len(devices), elsewhere=True, heard=heard)
    finally:
        for child in multiprocessing.active_children():
            if child not in before:
                child.terminate()
        pool.shutdown(cancel_futures=True)


def _begin(free: Any, words: Any) -> None:
    """In a new process: take a device, tell what is said, and leave Ctrl+C and its end to the one that began it."""
    os.environ["CUDA_VISIBLE_DEVICES"] = free.get()
    LOGGER.addHandler(QueueHandler(words))
    LOGGER.setLevel(logging.INFO)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)  # it was killed: nobody would take the rest, and the device is wanted


@contextmanager
def dask_cluster(address: str) -> Iterator[Workers]:
    """The workers of a Dask cluster, which hands them the cells as they get free. address: dask://host:port.

    Raises SettingsError when Dask is not installed or there is no cluster.
    """
    try:
        from distributed import Client
    except ImportError:
        raise SettingsError(
            "--on needs Dask, which is not installed. Install it with: python -m pip install distributed"
        ) from None
    try:
        client = Client(address.replace("dask://", "tcp://", 1))  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise SettingsError(f"There is no Dask cluster at {address}: {error}") from error
    with client:
        executor = client.get_executor(pure=False)  # type: ignore[no-untyped-call]
        try:
            yield Workers(executor, at_once=math.inf, elsewhere=True)
        finally:
            executor.shutdown(wait=False)  # cancels what waits; a cell that runs comes to its end there


@contextmanager
def workers_on(on: str | None, device: str | None) -> Iterator[Workers]:
    """The cluster ``on`` (dask://host:port), or else a process for each GPU, or this process where there is one device,
    or ``device`` was asked for."""
    import torch

    gpus = [] if device else [str(number) for number in range(torch.cuda.device_count())]
    names = os.environ.get("CUDA_VISIBLE_DEVICES")
    if on:
        with dask_cluster(on) as workers:
            yield workers
    elif len(gpus) > 1:
        with one_process_a_device(names.split(",")[: len(gpus)] if names else gpus) as workers:
            yield workers
    else:
        yield Workers(Here())


def run_all(
    work: Callable[[Cell, Say], Result], cells: Sequence[Cell], workers: Workers, say: Say
) -> Iterator[tuple[Cell, Result | Exception]]:
    """Each cell with what ``work`` gives for it, or with the error that it raised, as it gets done.

    Raises StudioError when a process ends that should not, for want of memory perhaps.
    """
    began, done = time.monotonic(), 0

    def show(words: str) -> None:
        far = f"{done} of {len(cells)} done{minutes_left(began, done, len(cells))}; " if len(cells) > 1 else ""
        say(far + words)

    waiting = deque(cells)
    running: dict[Future[Result], Cell] = {}
    while waiting or running:
        while waiting and len(running) < workers.at_once:
            cell = waiting.popleft()
            tell = LOGGER.info if workers.elsewhere else show
            running[workers.executor.submit(_work_on, cell, work, tell)] = cell
        over, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
        for words in workers.heard():
            show(words)
        for future in over:
            error = future.exception()
            if isinstance(error, BrokenExecutor):
                raise StudioError(
                    "A worker process ended, for want of memory perhaps. What is done is kept; run the command again "
                    "to go on."
                )
            done += 1
            yield running.pop(future), error if isinstance(error, Exception) else future.result()


def _work_on(cell: Cell, work: Callable[[Cell, Say], Result], tell: Say) -> Result:
    return work(cell, prefixed(tell, f"{cell.id}: "))
