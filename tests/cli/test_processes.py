"""``accelerate launch`` with two processes on the CPU, against one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
LAUNCH = "-m accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no "
LAUNCH += "--dynamo_backend no --main_process_port 0"
SETTINGS = "--rank 2 --steps 6 --batch-size 3 --learning-rate 0.01 --penalty-weight 100 --device cpu"


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tiny_folder: Path, pictures: tuple[Path, ...], tmp_path: Path) -> None:
    """Two concepts, so that there is a penalty; a batch that two cannot share evenly."""
    for home, launched in (("one", []), ("two", LAUNCH.split())):
        for name in ("Rex", "Mug"):
            learn = ["-m", "clora_core", "learn", "--pictures", pictures[0].parent, "--name", name, *SETTINGS.split()]
            command = [sys.executable, *launched, *learn, "--model", tiny_folder, "--home", tmp_path / home]
            done = subprocess.run(
                command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
            assert len(done.stdout.splitlines()) == 1, done.stdout  # the second process says nothing
    one, two = (sorted((tmp_path / home / "timelines").rglob("weights.safetensors")) for home in ("one", "two"))
    assert len(one) == len(two) == 2
    for left, right in zip(one, two, strict=True):
        found, wanted = load_file(right), load_file(left)
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            torch.testing.assert_close(found[key], value, rtol=1e-2, atol=1e-4)
