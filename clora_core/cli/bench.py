"""``python -m clora_core bench``."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from clora_core.bench.sequence import sequence
from clora_core.bench.speed import speed
from clora_core.bench.sweep import decade_arms, grid_arms, sweep
from clora_core.cli.arguments import DECADES, chosen_settings
from clora_core.data.picture_sets import read_samples
from clora_core.disk import ASSETS
from clora_core.errors import SettingsError
from clora_core.models.description import BaseModel, read_base
from clora_core.models.loading import load_backbone
from clora_core.studio.progress import ProgressLine, Say
from clora_core.studio.studio import Studio


def bench(chosen: argparse.Namespace) -> dict[str, Any]:
    """The benchmarks work in a folder of their own, never in the user's home folder."""

    def open_studio(folder: Path) -> Studio:
        return Studio.open(folder, chosen.model, chosen.device, chosen.precision, examples=False)

    say = ProgressLine()
    if chosen.bench == "speed":
        return speed(open_studio, say)
    if chosen.bench == "forgetting":
        return _forgetting(chosen, say)
    common = (open_studio, say, chosen.out, chosen.references, chosen.people, chosen.draws, chosen.concepts)
    settings, base = chosen_settings(chosen), read_base(chosen.model or ASSETS / "base")
    dino = chosen.dino or _judges(base)[1]
    if chosen.bench == "sequence":
        return sequence(*common, settings, dino)
    grid = {name: values for name, values in settings.items() if isinstance(values, list)}
    fixed = {name: value for name, value in settings.items() if name not in grid}
    if grid and not chosen.methods and not chosen.decades:
        return sweep(*common, fixed, grid_arms(grid), dino)
    several = [name for name, values in grid.items() if len(values) > 1]
    if several:
        raise SettingsError(f"Give several values ({', '.join(several)}) or --methods and --decades, not both.")
    fixed |= {name: value for name, (value,) in grid.items()}
    decades = chosen.decades or DECADES
    twice = [name for name in fixed if name in decades or (name == "method" and chosen.methods)]
    if twice:
        raise SettingsError(f"Swept already by --methods and --decades: {', '.join(twice)}. Leave one out.")
    methods = chosen.methods or [fixed.pop("method", base.train.method)]
    return sweep(*common, fixed, decade_arms(base, methods, decades), dino)


def _judges(base: BaseModel) -> tuple[str, str]:
    """The CLIP and the DINO that look at a model's pictures unless others are asked for; "" and "" where it has
    attribute classifiers of its own: there EfficientNet-lite0 tells its drawn people apart, too."""
    from clora_core.measures.attributes import ATTRIBUTES_FILE
    from clora_core.measures.features import CLIP_MODEL, DINO_MODEL

    return ("", "") if (Path(base.path) / ATTRIBUTES_FILE).is_file() else (CLIP_MODEL, DINO_MODEL)


def _forgetting(chosen: argparse.Namespace, say: Say) -> dict[str, Any]:
    """One worker for each GPU, or one for the device that was asked for."""
    import torch

    from clora_core.bench.arm import reference_pictures
    from clora_core.bench.forgetting.cells import run_cells
    from clora_core.bench.forgetting.plan import Plan, cells_of
    from clora_core.bench.forgetting.report import write_report

    gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    devices = [chosen.device] if chosen.device or len(gpus) < 2 else gpus
    openers = [
        partial(Studio.open, model=chosen.model, device=device, precision=chosen.precision, examples=False)
        for device in devices
    ]
    model, settings = chosen.model or ASSETS / "base", chosen_settings(chosen)
    base = read_base(model)
    if not base.id:  # not fetched from the Hub yet, and its fingerprint says which results belong together
        load_backbone(model, "cpu")
        base = read_base(model)
    clip, dino = _judges(base)
    plan = Plan(
        base=base,
        people=chosen.people,
        draws=chosen.draws,
        concepts=chosen.concepts,
        references=chosen.references,
        clip=chosen.clip or clip,
        dino=chosen.dino or dino,
        settings=settings,
    )
    cells = cells_of(chosen.methods, chosen.orders, chosen.seeds)
    lines = run_cells(openers, say, chosen.out, cells, plan)
    people = read_samples(chosen.concepts or ASSETS / "base" / "people")[: chosen.people]
    real = {name: found[0] for name, found in reference_pictures(people, chosen.references).items()}
    return {"text": write_report(chosen.out, lines, real), "cells": lines}
