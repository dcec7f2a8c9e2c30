"""``bench sequence``: concepts learned in a row, then which are still recognised. One cell."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clora_core.bench.cells import Cell, Plan
from clora_core.bench.figures import by_concept
from clora_core.bench.lines import Line
from clora_core.bench.run import REAL, read_features
from clora_core.bench.tables import table
from clora_core.settings.fields import labelled
from clora_core.settings.learning import TrainConfig


def sequence_cell(plan: Plan) -> Cell:
    """The concepts in the order they come in, under the plan's method and with its seed."""
    config = plan.base.train_with(plan.settings)
    return Cell(config.method.name, {"method": config.method.name}, seed=config.seed)


def sequence_report(out: Path, line: Line) -> dict[str, Any]:
    """The likeness of each concept, and how many are recognised."""
    names = dict(zip(line["tokens"], line["concepts"], strict=True))
    rows = by_concept(line["tokens"], read_features(out, line["cell"]), read_features(out, REAL))
    head = ["concept", "real to real", "when learned", "at the end", "nearest at the end", "pictures", "seconds"]
    cells = [
        [
            names[row.token],
            f"{row.real:.3f}",
            f"{row.learned:.3f}",
            f"{row.end:.3f}",
            names[row.nearest] + ("" if row.nearest == row.token else " (wrong)"),
            f"{row.pictures_nearest:.0%}",
            f"{seconds:.0f}",
        ]
        for row, seconds in zip(rows, line["seconds"], strict=True)
    ]
    recognised = sum(row.nearest == row.token for row in rows)
    note = f"mean cosine of {line['features']} features; {_words(line['train'])}"
    text = f"{table(head, cells)}\n\n{recognised} of {len(rows)} recognised at the end ({note})"
    return {"text": text, "recognised": recognised, "by_concept": rows, **line}


def _words(train: Mapping[str, Any]) -> str:
    own = (f"{name} {value}" for name, value in train.items() if name not in labelled(TrainConfig))
    return f"{', '.join(own)}, learning_rate {train['learning_rate']:g}, {train['steps']} steps"
