"""One run of a benchmark: what is done already, the cells that are missing on every worker, and the run's folder.

    results.jsonl         a line for each cell that is done: its figures, and what they were made with
    features/<cell>.npz   features of every picture drawn for the cell; features/real.npz those of the real pictures
    cells/<cell>/         where a cell works, and goes on after a kill: its timeline and its pictures
    alone/                concepts that several cells learn on the base model alone

Cells are independent. Only this process writes results and features; the workers need a folder in common with it for
nothing but to go on after a kill.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clora_core.bench.cells import Cell, Plan
from clora_core.bench.lines import Line, read_results
from clora_core.bench.workers import Workers, run_all
from clora_core.disk import append_line, replacing
from clora_core.errors import SettingsError, StudioError
from clora_core.measures.features import Array
from clora_core.studio.progress import Say

Result = tuple[dict[str, Any], Mapping[str, Array]]
Work = Callable[[Cell, Say], Result]
"""Does one cell: its line, and the features of its pictures by name. Everything it holds can be pickled."""

RESULTS, REAL = "results.jsonl", "real"


def missing_cells(out: Path, cells: Sequence[Cell], plan: Plan) -> list[Cell]:
    """Those without a line in ``out``. Raises SettingsError when it holds results of another plan."""
    asked, done = {cell.id: cell for cell in cells}, read_results(out / RESULTS)
    other = [name for name, line in done.items() if not plan.made(line, asked.get(name))]
    if other:
        raise SettingsError(f"{out} holds results of another plan or model ({other[0]}). Choose another --out folder.")
    return [cell for cell in cells if cell.id not in done]


def run_cells(work: Work, out: Path, cells: Sequence[Cell], plan: Plan, workers: Workers, say: Say) -> list[Line]:
    """Run what is missing; returns the lines of all these cells.

    Raises SettingsError when ``out`` holds results of another plan; StudioError when cells failed, after all the others
    are done and kept.
    """
    out.mkdir(parents=True, exist_ok=True)
    failed = []
    for cell, result in run_all(work, missing_cells(out, cells, plan), workers, say):
        if isinstance(result, StudioError):
            failed.append(f"{cell.id}: {result}")
        elif isinstance(result, Exception):  # out of memory, a full disk: the other cells are worth going on for
            failed.append(f"{cell.id}: {type(result).__name__}: {result}")
        else:
            line, features = result
            if features:
                save_features(out, cell.id, features)
            append_line(out / RESULTS, line)
    if failed:
        raise StudioError("; ".join(failed))
    done = read_results(out / RESULTS)
    return [done[cell.id] for cell in cells]


def save_features(out: Path, name: str, features: Mapping[str, Array]) -> None:
    """Write features/<name>.npz."""
    (out / "features").mkdir(parents=True, exist_ok=True)
    with replacing(out / "features" / f"{name}.npz") as partial, partial.open("wb") as file:
        np.savez(file, **features)  # type: ignore[arg-type]  # numpy's stub: names may be allow_pickle


def read_features(out: Path, name: str) -> dict[str, Array]:
    """What ``save_features`` wrote. Raises FileNotFoundError: lines that were brought along may have none."""
    with np.load(out / "features" / f"{name}.npz") as file:
        return dict(file)
