"""``python -m clora_core bench``: the cells of a benchmark, run, and what is said of their lines."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from clora_core.bench.cells import Cell, Plan
from clora_core.bench.forgetting.arms import cells_of
from clora_core.bench.forgetting.report import forgetting_report
from clora_core.bench.measure import measured
from clora_core.bench.run import run_cells
from clora_core.bench.sequence import sequence_cell, sequence_report
from clora_core.bench.speed import measure_speed, speed_cell, speed_report
from clora_core.bench.sweep import decade_arms, grid_arms, sweep_cells, sweep_report
from clora_core.bench.train import measure_train, train_report
from clora_core.bench.workers import workers_on
from clora_core.cli.arguments import DECADES, chosen_settings
from clora_core.disk import ASSETS, append_line, write_text
from clora_core.errors import SettingsError
from clora_core.measures.features import CLIP_MODEL, DINO_MODEL
from clora_core.models.description import BaseModel, read_base
from clora_core.models.loading import load_backbone
from clora_core.models.random_weights import FAMILIES, random_backbone
from clora_core.models.single_file import CONFIGS
from clora_core.settings.learning import TrainConfig
from clora_core.settings.methods import MethodRow, Methods
from clora_core.studio.progress import ProgressLine
from clora_core.studio.studio import Studio


def bench(chosen: argparse.Namespace, methods: Methods) -> dict[str, Any]:
    """Run one benchmark. It works in a folder of its own, never in the user's home folder."""
    if chosen.bench == "train":
        return _train(chosen, methods)
    if chosen.out:
        return _run(chosen, methods, chosen.out)
    with tempfile.TemporaryDirectory(prefix="clora-bench-") as folder:
        return _run(chosen, methods, Path(folder))


def _run(chosen: argparse.Namespace, methods: Methods, out: Path) -> dict[str, Any]:
    base, say = _base(chosen.model or str(ASSETS / "base"), methods), ProgressLine()
    plan, cells = _planned(chosen, base)
    open_studio = partial(
        Studio.open,
        model=chosen.model,
        device=chosen.device,
        precision=chosen.precision,
        examples=False,
        methods=methods,
    )
    with workers_on(chosen.on, chosen.device) as workers:
        if chosen.bench == "speed":
            lines = run_cells(partial(measure_speed, open_studio, out, plan), out, cells, plan, workers, say)
        else:
            lines = measured(open_studio, out, cells, plan, workers, say, chosen.device)
    say("")
    reports = {
        "speed": lambda: speed_report(lines[0]),
        "sequence": lambda: sequence_report(out, lines[0]),
        "sweep": lambda: sweep_report(lines),
        "forgetting": lambda: forgetting_report(out, lines, plan.reference_pictures()),
    }
    found: dict[str, Any] = reports[chosen.bench]()
    write_text(out / "report.md", found["text"] + "\n")
    return found


def _train(chosen: argparse.Namespace, methods: Methods) -> dict[str, Any]:
    """A row is written when its pair is done: what is measured stays when the rest is stopped."""
    if min(chosen.pairs, chosen.repeats) < 1:
        raise SettingsError("--pairs and --repeats must be at least 1.")
    settings, family, say = chosen_settings(chosen), chosen.random_weights, ProgressLine()
    if family:
        if family not in FAMILIES:
            raise SettingsError(f"There are random weights of {', '.join(FAMILIES)}, not of {family!r}.")
        model = str(CONFIGS / family)
        config, name = read_base(model, methods).train_with(settings), f"{family}, random weights"
        backbone = random_backbone(family, chosen.device, chosen.precision)
    else:
        model = chosen.model or str(ASSETS / "base")
        base = _base(model, methods)
        config, name = base.train_with(settings), base.name
        backbone = load_backbone(model, chosen.device, chosen.precision)
    rows = []
    for row in measure_train(backbone, config, chosen.pairs, chosen.repeats, say):
        rows.append({"model": name, **row})
        if chosen.out:
            append_line(chosen.out, rows[-1])
    say("")
    return train_report(rows)


def _base(model: str, methods: Methods) -> BaseModel:
    base = read_base(model, methods)
    if not base.id:  # not fetched from the Hub yet, and its fingerprint says which results belong together
        load_backbone(model, "cpu")
        base = read_base(model, methods)
    return base


def _planned(chosen: argparse.Namespace, base: BaseModel) -> tuple[Plan, list[Cell]]:
    """What all cells share, and the cells."""
    if chosen.bench == "speed":
        plan = Plan(base, count=1, whole=False)
        return plan, [speed_cell(plan)]
    clip, dino = ("", "") if base.asked else (CLIP_MODEL, DINO_MODEL)  # such a model has classifiers of its own
    settings, whole = chosen_settings(chosen), chosen.bench == "forgetting"
    plan_with = partial(
        Plan,
        base,
        chosen.people,
        chosen.draws,
        chosen.concepts,
        chosen.references,
        clip=(chosen.clip or clip) if whole else "",
        dino=chosen.dino or dino,
        whole=whole,
    )
    if whole:
        if fixed := sorted({"method", "seed"} & set(settings)):
            raise SettingsError(f"The {' and the '.join(fixed)} are given by --methods and --seeds here.")
        cells, plan = cells_of(chosen.methods, chosen.orders, chosen.seeds, base), plan_with(settings=settings)
        _demand_read(settings, [plan.config(cell).method for cell in cells])
        return plan, cells
    if chosen.bench == "sequence":
        plan = plan_with(settings=settings)
        _demand_read(settings, [base.train_with(settings).method])
        return plan, [sequence_cell(plan)]
    common, arms = _swept(chosen, base, settings)
    seed = common.pop("seed", base.train.seed)
    return plan_with(settings=common), sweep_cells(arms, seed)


def _swept(
    chosen: argparse.Namespace, base: BaseModel, settings: Mapping[str, Any]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The settings of all arms, and what makes each arm."""
    methods = chosen.methods or [settings.get("method", base.train.method.name)]
    _demand_read(settings, [base.methods.named(name) for name in methods])
    if chosen.methods and "method" in settings:
        raise SettingsError("Swept already by --methods: method. Leave one out.")
    grid = {name: values for name, values in settings.items() if isinstance(values, list)}
    fixed = {name: value for name, value in settings.items() if name not in grid and name != "method"}
    if grid and not chosen.methods and not chosen.decades:
        return fixed, grid_arms(methods[0], grid)
    several = [name for name, values in grid.items() if len(values) > 1]
    if several:
        raise SettingsError(f"Give several values ({', '.join(several)}) or --methods and --decades, not both.")
    fixed |= {name: value for name, (value,) in grid.items()}
    decades = chosen.decades or DECADES
    if twice := [name for name in fixed if name in decades]:
        raise SettingsError(f"Swept already by --methods and --decades: {', '.join(twice)}. Leave one out.")
    return fixed, decade_arms(base, methods, decades)


def _demand_read(settings: Mapping[str, Any], rows: Sequence[MethodRow]) -> None:
    """Raise SettingsError for a setting that none of the methods reads."""
    read = {"method"}.union(*(TrainConfig(row).specs() for row in rows))
    if unread := sorted(set(settings) - read):
        raise SettingsError(f"None of {', '.join(row.name for row in rows)} reads {', '.join(unread)}. Leave it out.")
