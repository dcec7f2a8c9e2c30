"""``bench sweep``: several values of settings, or several decades of them for every method, on a few concepts.

Each combination is a cell.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clora_core.bench.cells import Cell
from clora_core.bench.lines import Lines
from clora_core.bench.tables import table
from clora_core.models.description import BaseModel

FACTORS = (0.1, 1.0, 10.0)

Arm = Mapping[str, Any]  # TrainConfig values by name


def grid_arms(method: str, grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination of the values of the grid, under one method."""
    return [{"method": method, **dict(zip(grid, values, strict=True))} for values in itertools.product(*grid.values())]


def decade_arms(base: BaseModel, methods: Iterable[str], names: Sequence[str]) -> list[dict[str, Any]]:
    """For every method a tenth, once and ten times its own preset of each of the named settings, in all combinations.

    Settings that a method does not read are left out; where tokens are all that is learned, the rate is theirs.
    """
    arms = []
    for method in methods:
        config = base.train_with({"method": method})
        preset, rate = config.to_json(), {"learning_rate": "token_learning_rate"} if config.method.weightless else {}
        swept = dict.fromkeys(rate.get(name, name) for name in names if name in preset)
        grid = {name: [float(f"{preset[name] * factor:.6g}") for factor in FACTORS] for name in swept}
        arms += grid_arms(method, grid)
    return arms


def sweep_cells(arms: Sequence[Arm], seed: int) -> list[Cell]:
    """One cell an arm, named by its values. seed: of the arms that have none of their own."""
    words = [" ".join(f"{name} {value}" for name, value in arm.items() if name != "seed") for arm in arms]
    return [Cell(word, arm, seed=arm.get("seed", seed)) for word, arm in zip(words, arms, strict=True)]


def sweep_report(lines: Lines) -> dict[str, Any]:
    """The lines, best first: by the mean cosine to the real pictures at the end."""
    ranked = sorted(lines, key=lambda line: float(line["alignment_end"]), reverse=True)
    names = list(dict.fromkeys(name for line in ranked for name in line["settings"]))
    head = [*names, "when learned", "at the end", "lost", "recognised", "pictures", "seconds a concept"]
    rows = [
        [
            *(_short(line["settings"].get(name, "")) for name in names),
            f"{line['alignment_learned']:.3f}",
            f"{line['alignment_end']:.3f}",
            f"{line['alignment_learned'] - line['alignment_end']:.3f}",
            f"{line['nearest'] * len(line['concepts']):.0f} of {len(line['concepts'])}",
            f"{line['pictures_nearest']:.0%}",
            f"{statistics.fmean(line['seconds']):.0f}",
        ]
        for line in ranked
    ]
    return {
        "text": f"{table(head, rows)}\n\nLikeness: mean cosine of {ranked[0]['features']} features.",
        "cells": ranked,
    }


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
