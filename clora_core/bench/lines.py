"""The lines of ``results.jsonl``: one for each finished cell of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from clora_core.disk import read_lines

Line = Mapping[str, Any]
Lines = Sequence[Line]

MOVED: Mapping[str, str] = MappingProxyType(
    {
        "assets/fresh": "assets/benchmarks/fresh/taught",
        "assets/tuning": "assets/benchmarks/tuning/taught",
        "tests/held_out": "assets/benchmarks/sample/held_out",
        "tests/held_out_fresh": "assets/benchmarks/fresh/held_out",
        "tests/held_out_tuning": "assets/benchmarks/tuning/held_out",
    }
)
"""Folders of pictures that older lines name, and where they are now."""


def read_results(path: Path) -> dict[str, Line]:
    """The lines of a results.jsonl by cell; of two of one cell the last. {} when there is no such file."""
    return {line["cell"]: _in_todays_words(line) for line in read_lines(path)}


def _in_todays_words(line: dict[str, Any]) -> Line:
    """Concepts were once called people, and their pictures were elsewhere."""
    if "people" not in line:
        return line
    plan = {name: MOVED.get(value, value) if isinstance(value, str) else value for name, value in line["plan"].items()}
    return {**line, "concepts": line["people"], "plan": {"count": plan.pop("people"), **plan}}
