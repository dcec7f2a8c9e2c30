"""Several devices at once: a process for each, which takes the next item when it is done with one."""

from __future__ import annotations

import multiprocessing
import os
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from threading import Thread
from typing import Any

from clora_core.bench.arm import OpenStudio
from clora_core.errors import StudioError
from clora_core.studio.progress import Say, minutes_left

Task = Callable[[OpenStudio, Say, Any], Any]  # everything it holds can be pickled


def on_every_device(task: Task, openers: Sequence[OpenStudio], items: Sequence[Any], say: Say) -> Iterator[Any]:
    """What ``task`` gives for each item, as it gets done, each on one of the openers (one a device).

    Raises StudioError when a process ends that should not, for want of memory perhaps. No process outlives this one.
    """
    context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    todo, told = context.Queue(), context.Queue()
    for item in (*items, *[None] * len(openers)):
        todo.put(item)
    workers = [context.Process(target=_work, args=(task, each, todo, told), daemon=True) for each in openers]
    began, done = time.monotonic(), 0
    try:
        for worker in workers:
            worker.start()
        while done < len(items):
            try:
                words, result = told.get(timeout=1.0)
            except queue.Empty:
                if any(worker.exitcode for worker in workers):
                    raise StudioError(
                        "A worker process ended, for want of memory perhaps. What is done is kept; run the command "
                        "again to "
                        "go on."
                    ) from None
                continue
            if words:
                say(f"{done} of {len(items)} done{minutes_left(began, done, len(items))}; {words}")
            else:
                done += 1
                yield result
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _work(task: Task, opener: OpenStudio, todo: Any, told: Any) -> None:
    Thread(target=_end_with_the_parent, daemon=True).start()
    while (item := todo.get()) is not None:
        told.put(("", task(opener, lambda words: told.put((words, None)), item)))


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)  # it was killed: nobody would take the rest, and the device is wanted
