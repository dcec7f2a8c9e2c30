"""The public names of ``clora_core``: which they are, that they load late, and that README's example runs."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import clora_core

ROOT = Path(__file__).parents[1]
NAMES = {
    "ASSETS",
    "Backbone",
    "BringRequest",
    "CompareRequest",
    "Concept",
    "ConceptStore",
    "DrawRequest",
    "LearnRequest",
    "LearnedConcept",
    "LowRankMethod",
    "Method",
    "MethodRow",
    "SamplingConfig",
    "Studio",
    "StudioError",
    "Timeline",
    "TrainConfig",
    "TrainStep",
    "generate",
    "known_methods",
    "load_backbone",
    "read_base",
    "train_concept",
}  # taking one away is a new version, see CONTRIBUTING


def test_the_public_names_stay_and_mypy_sees_the_same() -> None:
    assert set(clora_core.__all__) == NAMES
    assert all(getattr(clora_core, name) is not None for name in NAMES)
    tree = ast.parse(Path(clora_core.__file__).read_text())
    seen = {
        alias.asname: node.module
        for branch in tree.body
        if isinstance(branch, ast.If)
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == {name: f"clora_core.{module}" for name, module in clora_core._PUBLIC.items()}
    with pytest.raises(AttributeError, match="generate_all"):
        clora_core.generate_all  # noqa: B018


def test_the_package_and_the_door_open_without_torch() -> None:
    code = "import sys; from clora_core import Studio, Concept, TrainConfig; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.slow
def test_the_readmes_python_teaches_and_draws(tmp_path: Path) -> None:
    example = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[0]
    run(tmp_path, sys.executable, "-c", example, packages=ROOT)
    assert list(tmp_path.glob("*.png"))


@pytest.mark.slow
def test_an_installed_copy_draws_from_an_empty_folder(tmp_path: Path) -> None:
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    run(empty, sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(installed), str(ROOT))
    run(empty, str(installed / "bin" / "clora-studio"), "--help", packages=installed)
    ask = ("draw", "--prompt", "a photo of a man", "--steps", "2", "--home", "home", "--out", "man.png")
    run(empty, str(installed / "bin" / "clora"), *ask, packages=installed)
    assert (empty / "man.png").exists()


def run(folder: Path, *command: str, packages: Path | None = None) -> None:
    """Run a command in ``folder`` with nothing but ``packages`` on Python's path; it must succeed."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if packages:
        variables["PYTHONPATH"] = str(packages)
    subprocess.run(command, cwd=folder, env=variables, check=True)
