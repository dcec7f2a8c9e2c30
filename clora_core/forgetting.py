"""``bench forgetting``: what every method forgets, over orders and seeds, from the full result matrix.

A *cell* is one arm (a method, or an ablation of C-LoRA), one order of the people and one seed. It works in a folder of
its own and goes on where it was interrupted; when it is done it is one line of ``results.jsonl``, and is skipped from
then on. Cells are independent, so with several GPUs each takes one.
"""

from __future__ import annotations

import itertools
import multiprocessing
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from clora_core.benchmark_arm import (
    Say,
    every_time,
    first_samples,
    reference_pictures,
    run_arm,
)
from clora_core.disk import append_line, read_lines
from clora_core.errors import SettingsError
from clora_core.forgetting_measures import costs, likeness_figures, text_alignment
from clora_core.settings import METHOD_NAMES
from clora_core.studio import Studio
from clora_core.views import Sample

ABLATIONS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "clora-word-token": {"token_start": "person"},
        "clora-object-word": {"object_word": "person"},
        "clora-no-penalty": {"penalty_weight": 0.0},
    }
)
ARMS = (*METHOD_NAMES, *ABLATIONS)
OpenStudio = Callable[[Path], Studio]


@dataclass(frozen=True)
class Cell:
    """One arm, one order, one seed."""

    arm: str
    order: int
    seed: int

    @property
    def id(self) -> str:
        """Its folder's name and its key in results.jsonl."""
        return f"{self.arm.replace('_', '-')}-order{self.order}-seed{self.seed}"

    @property
    def settings(self) -> dict[str, Any]:
        """What the cell changes in the method's preset."""
        method = "clora" if self.arm in ABLATIONS else self.arm
        return {
            "method": method,
            "seed": self.seed,
            "preview_every_seconds": 0.0,
            **ABLATIONS.get(self.arm, {}),
        }

    def ordered(self, samples: Sequence[Sample]) -> list[Sample]:
        """The people in this order; order 0 is the one they come in."""
        rng, people = random.Random(f"order/{self.order}"), list(samples)
        if self.order:
            rng.shuffle(people)
        return people


@dataclass(frozen=True)
class Plan:
    """What every cell of a run has in common; results of another plan are not mixed in.

    Raises SettingsError for fewer than two pictures a person: the unbiased MMD has no value for one.
    """

    people: int = 10
    draws: int = 8
    concepts: Path | None = None
    references: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.draws < 2:
            raise SettingsError(f"{self.draws} picture a person is too few to compare: draw at least 2.")

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        folders = {name: str(getattr(self, name) or "") for name in ("concepts", "references")}
        return {"people": self.people, "draws": self.draws, **folders, "settings": dict(self.settings)}


def cells_of(arms: Sequence[str], orders: int, seeds: int) -> list[Cell]:
    """All cells, those of every arm's first order and seed first, so that a first comparison is early there.

    Raises SettingsError for an unknown arm.
    """
    unknown = [arm for arm in arms if arm not in ARMS]
    if unknown:
        raise SettingsError(f"Unknown method {', '.join(unknown)}. Known: {', '.join(ARMS)}.")
    rounds = itertools.product(range(orders), range(seeds), dict.fromkeys(arms))
    return [Cell(arm, order, seed) for order, seed, arm in rounds]


def run_cells(
    openers: Sequence[OpenStudio], say: Say, out: Path, cells: Sequence[Cell], plan: Plan
) -> list[dict[str, Any]]:
    """Run what is missing, one cell at a time on each opener (one a device); returns all lines of these cells.

    Raises SettingsError when ``out`` holds results of another plan.
    """
    out.mkdir(parents=True, exist_ok=True)
    done = {line["cell"]: line for line in read_lines(out / "results.jsonl")}
    other = [line["cell"] for line in done.values() if line["plan"] != plan.to_json()]
    if other:
        raise SettingsError(f"{out} holds results of another plan ({other[0]}). Choose another --out folder.")
    missing = [cell for cell in cells if cell.id not in done]
    for number, line in enumerate(_results(openers, say, out, missing, plan), 1):
        append_line(out / "results.jsonl", line)
        done[line["cell"]] = line
        say(f"{line['cell']} is done ({number} of {len(missing)})")
    return [done[cell.id] for cell in cells]


def _results(
    openers: Sequence[OpenStudio], say: Say, out: Path, cells: Sequence[Cell], plan: Plan
) -> Iterator[dict[str, Any]]:
    if len(openers) == 1 or len(cells) < 2:
        for number, cell in enumerate(cells, 1):
            prefix = f"{cell.id} ({number} of {len(cells)}): "
            yield run_cell(openers[0], lambda line, prefix=prefix: say(prefix + line), out, cell, plan)  # type: ignore[misc]
        return
    context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    free = context.Manager().Queue()
    for opener in openers:
        free.put(opener)
    with ProcessPoolExecutor(len(openers), context) as pool:
        for future in as_completed(
            [pool.submit(_run_on_a_free_one, free, out, cell, plan) for cell in cells]
        ):
            yield future.result()


def _run_on_a_free_one(free: Any, out: Path, cell: Cell, plan: Plan) -> dict[str, Any]:
    opener = free.get()
    try:
        return run_cell(opener, lambda line: None, out, cell, plan)
    finally:
        free.put(opener)


def run_cell(open_studio: OpenStudio, say: Say, out: Path, cell: Cell, plan: Plan) -> dict[str, Any]:
    """Learn, draw and measure one cell; returns its line."""
    home = out / "cells" / cell.id
    studio = open_studio(home)
    try:
        samples = first_samples(studio, plan.people, plan.concepts)
        references = reference_pictures(samples, plan.references)
        config = studio.base.train_with({**plan.settings, **cell.settings})
        people = cell.ordered(samples)
        arm = run_arm(studio, say, home, "arm", people, config, plan.draws, every_time)
        asked = text_alignment(studio, say, home, arm)
        learned, base = studio.learned("arm"), studio.base
    finally:
        studio.close()
    say("measuring")
    return {
        "cell": cell.id,
        **asdict(cell),
        "plan": plan.to_json(),
        "model": base.name,
        "base_id": base.id,
        "people": [sample.name for sample in people],
        "tokens": [sample.token for sample in people],
        "train": config.to_json(),
        "versions": dict(learned[-1].versions),
        **likeness_figures(people, arm, references),
        "text_alignment": asked,
        **costs(learned, base.path, config.method),
    }
