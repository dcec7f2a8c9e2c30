"""``python app.py`` in a process of its own, as a user starts it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def app_process(home: Path, log: Path, *more: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Its address, and the process, which is asked to end with the block. log: what it says is added.  more: of its
    arguments."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "app.py", "--home", str(home), "--port", str(port), *more]
    with log.open("a") as file:
        app = subprocess.Popen(
            command, cwd=ROOT, stdout=file, stderr=file, env={**os.environ, "CLORA_HOME": "", "PYTHONUNBUFFERED": "1"}
        )
    url = f"http://127.0.0.1:{port}/"
    try:
        _wait_until_served(url, app, log)
        yield url, app
    finally:
        app.terminate()
        app.wait(60)


def _wait_until_served(url: str, app: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert app.poll() is None, log.read_text()
        try:
            with urlopen(url, timeout=5):
                return
        except OSError:
            continue
    raise AssertionError(f"{url} did not answer within 2 minutes:\n{log.read_text()}")
