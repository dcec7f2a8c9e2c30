"""A few rounds of ``torture.py``; ``docs/reliability.md`` says how many were tried."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("torture.py")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="it forks")
def test_kills_and_failing_writes_at_random_moments_lose_nothing() -> None:
    command = [sys.executable, str(SCRIPT), "--kills", "4", "--failures", "4", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
