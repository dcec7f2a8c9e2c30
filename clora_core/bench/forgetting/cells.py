"""``bench forgetting``: what every method forgets, over orders and seeds, from the full result matrix.

A *cell* is one arm (a method, or an ablation of C-LoRA), one order of the people and one seed. It works in a folder of
its own and goes on where it was interrupted; when it is done it is one line of ``results.jsonl``, and is skipped from
then on. Cells are independent, so with several GPUs each takes one.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from clora_core.answers import Sample
from clora_core.bench.arm import (
    OpenStudio,
    every_time,
    first_samples,
    learn_people,
    lendable,
    reference_pictures,
    run_arm,
)
from clora_core.bench.forgetting.figures import (
    attributes_found,
    change_norms,
    clip_figures,
    costs,
    likeness_figures,
    peak_memory_mb,
    reset_peak_memory,
)
from clora_core.bench.forgetting.plan import Cell, Plan
from clora_core.bench.workers import on_every_device
from clora_core.concepts import LearnedConcept, TrainConfig, slug
from clora_core.disk import append_line, read_json, read_lines, write_json
from clora_core.errors import SettingsError, StudioError
from clora_core.methods import method_named
from clora_core.settings.learning import decisive
from clora_core.studio.progress import Say, minutes_left, prefixed
from clora_core.studio.studio import Studio

PEAK_FILE = "peak-memory.json"
Work = Callable[[OpenStudio, Say, Path, "Cell", "Plan"], dict[str, Any]]


def run_cells(
    openers: Sequence[OpenStudio], say: Say, out: Path, cells: Sequence[Cell], plan: Plan
) -> list[dict[str, Any]]:
    """Run what is missing, one cell at a time on each opener (one a device); returns all lines of these cells.

    Raises SettingsError when ``out`` holds results of another plan, or a network that judges cannot be had; StudioError
    when cells failed, after all the others are done and kept.
    """
    out.mkdir(parents=True, exist_ok=True)
    done = {line["cell"]: line for line in read_lines(out / "results.jsonl")}
    other = [
        line["cell"]
        for line in done.values()
        if line["plan"] != plan.to_json(Cell(line["arm"], line["order"], line["seed"]))
    ]
    if other:
        raise SettingsError(f"{out} holds results of another plan or model ({other[0]}). Choose another --out folder.")
    missing = [cell for cell in cells if cell.id not in done]
    if missing:
        plan.judges("cpu")  # what cannot be had is said before hours of learning
    failed = []
    # what goes wrong here is met again by the cells
    list(_each(learn_alone, openers, say, out, _learned_alone(missing, plan), plan))
    for line in _each(run_cell, openers, say, out, missing, plan):
        if isinstance(line, str):
            failed.append(line)
            continue
        append_line(out / "results.jsonl", line)
        done[line["cell"]] = line
    if failed:
        raise StudioError("; ".join(failed))
    return [done[cell.id] for cell in cells]


def _learned_alone(cells: Sequence[Cell], plan: Plan) -> list[Cell]:
    """One cell for each folder in which concepts are learned on the base model alone."""
    alone = [cell for cell in cells if method_named(cell.method).alone]
    return list({_alone(Path(), plan.config(cell)): cell for cell in alone}.values())


def _each(
    work: Work, openers: Sequence[OpenStudio], say: Say, out: Path, cells: Sequence[Cell], plan: Plan
) -> Iterator[dict[str, Any] | str]:
    """What each cell's work gives as it gets done, or what went wrong with it."""
    began = time.monotonic()
    if len(openers) == 1 or len(cells) < 2:
        for number, cell in enumerate(cells):
            left = minutes_left(began, number, len(cells))
            here = prefixed(say, f"({number + 1} of {len(cells)}{left}) ")
            yield _done_or_error(work, openers[0], here, cell, out, plan)
        return
    task = partial(_done_or_error, work, out=out, plan=plan)
    yield from on_every_device(task, openers, cells, say)


def _done_or_error(work: Work, opener: OpenStudio, say: Say, cell: Cell, out: Path, plan: Plan) -> dict[str, Any] | str:
    try:
        return work(opener, prefixed(say, f"{cell.id}: "), out, cell, plan)
    except StudioError as error:
        return f"{cell.id}: {error}"
    except Exception as error:  # out of memory, a full disk: the other cells are worth going on for
        return f"{cell.id}: {type(error).__name__}: {error}"


def learn_alone(open_studio: OpenStudio, say: Say, out: Path, cell: Cell, plan: Plan) -> dict[str, Any]:
    """Learn every person of the plan once, on the base model alone, for all orders and all methods that do so."""
    config = plan.config(cell)
    home = _alone(out, config)
    studio = open_studio(home)
    try:
        samples = first_samples(studio, plan.people, plan.concepts)
        _learn_measured(studio, say, home, samples, config)
    finally:
        studio.close()
    return {}


def _learn_measured(studio: Studio, say: Say, home: Path, samples: Sequence[Sample], config: TrainConfig) -> None:
    """Learn what is missing of an arm, and note the peak memory of it: a cell that goes on later would measure less."""
    reset_peak_memory(studio.device)
    learn_people(studio, say, home, "arm", samples, config)
    peaks = [peak_memory_mb(studio.device), _peak_noted(home)]
    write_json(home / PEAK_FILE, {"mb": max((peak for peak in peaks if peak), default=None)})


def _peak_noted(home: Path) -> int | None:
    note = home / PEAK_FILE
    return read_json(note)["mb"] if note.exists() else None


def _alone(out: Path, config: TrainConfig) -> Path:
    """The folder of what is learned in this way and under these settings, of whichever method."""
    settings = sorted((name, value) for name, value in decisive(config).items() if name != "method")
    digest = hashlib.sha256(repr(settings).encode()).hexdigest()[:8]
    return out / "alone" / f"{slug(method_named(config.method).alone)}-seed{config.seed}-{digest}"


def _lent(open_studio: OpenStudio, out: Path, config: TrainConfig) -> dict[str, LearnedConcept]:
    """By token, what ``learn_alone`` learned under this very config; {} for methods that build on the past."""
    home = _alone(out, config)
    if not method_named(config.method).alone or not home.is_dir():
        return {}
    studio = open_studio(home)
    try:
        learned = studio.learned("arm")
    finally:
        studio.close()
    return lendable(learned, config)


def run_cell(open_studio: OpenStudio, say: Say, out: Path, cell: Cell, plan: Plan) -> dict[str, Any]:
    """Learn, draw and measure one cell; returns its line."""
    home = out / "cells" / cell.id
    studio = open_studio(home)
    try:
        samples = first_samples(studio, plan.people, plan.concepts)
        references = reference_pictures(samples, plan.references)
        config = plan.config(cell)
        people = cell.ordered(samples)
        lent = _lent(open_studio, out, config)
        if not lent:
            _learn_measured(studio, say, home, people, config)
        arm = run_arm(studio, say, home, "arm", people, config, plan.draws, every_time, lent)
        network, clip = plan.judges(studio.device)
        asked: Mapping[str, float | None]
        if clip:
            asked = clip_figures(studio, say, home, arm, clip, references, config.prior_prompt)
        else:
            asked = attributes_found(studio, say, home, arm)
        learned, base = studio.learned("arm"), studio.base
    finally:
        studio.close()
    say("measuring")
    return {
        "cell": cell.id,
        **asdict(cell),
        "plan": plan.to_json(cell),
        "model": base.name,
        "base_id": base.id,
        "people": [sample.name for sample in people],
        "tokens": [sample.token for sample in people],
        "train": {**config.to_json(), "precision": learned[-1].config.precision},  # what "auto" came to
        "versions": dict(learned[-1].versions),
        **likeness_figures(people, arm, references, network),
        **asked,
        "change_norms": change_norms(learned),
        **costs(learned, base.path, config.method),
        "peak_memory_mb": _peak_noted(_alone(out, config) if lent else home),  # of learning
    }
