"""Progress of a command on stderr: for people on a terminal, for later readers in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from clora_core.answers import JobView

LOG_SECONDS = 60.0

Say = Callable[[str], None]


class ProgressLine:
    """Called with a line: one changing line on a terminal, and elsewhere a line a minute, so that logs stay
    readable."""

    def __init__(self, log_seconds: float = LOG_SECONDS) -> None:
        self._log_seconds, self._logged = log_seconds, time.monotonic()

    def __call__(self, line: str) -> None:
        """Show the line, or nothing any more ("")."""
        if sys.stderr.isatty():
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
        elif line and time.monotonic() - self._logged >= self._log_seconds:
            self._logged = time.monotonic()
            print(line, file=sys.stderr, flush=True)


def prefixed(say: Say, prefix: str) -> Say:
    """Says every line with ``prefix`` before it."""
    return lambda line: say(prefix + line)


def telling(say: Say, label: str = "") -> Callable[[JobView], None]:
    """A follower of a job that says how far it is, and on a line that stays whether it fits into memory."""
    head, said = f"{label}: " if label else "", ""

    def tell(view: JobView) -> None:
        nonlocal said
        if view.memory != said:
            said = view.memory
            say("")
            print(f"{head}{said}", file=sys.stderr, flush=True)
        left = f", {view.seconds_left:.0f} s left" if view.seconds_left is not None else ""
        steps = f" {view.step}/{view.total}" if view.total else ""
        say(f"{head}{view.phase}{steps}{left}")

    return tell


def minutes_left(began: float, done: int, total: int) -> str:
    """How long the rest takes, from what was done since ``began`` (time.monotonic): ", about 3 min for the rest"; ""
    while nothing was."""
    if not 0 < done < total:
        return ""
    return f", about {(time.monotonic() - began) / 60 / done * (total - done):.0f} min for the rest"
