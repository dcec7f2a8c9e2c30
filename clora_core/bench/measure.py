"""One cell of ``bench sequence``, ``sweep`` and ``forgetting``: concepts learned, drawn, looked at and measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from clora_core.answers import Sample
from clora_core.bench.cells import Cell, Plan
from clora_core.bench.costs import change_norms, costs
from clora_core.bench.figures import Arrays, figures, key
from clora_core.bench.learning import (
    TIMELINE,
    OpenStudio,
    alone_cells,
    alone_home,
    draw_as_asked,
    draw_concepts,
    learn_alone,
    learn_concepts,
    learned_alone,
    noted_peak,
)
from clora_core.bench.lines import Line
from clora_core.bench.run import REAL, Result, missing_cells, run_cells, save_features
from clora_core.bench.workers import Workers, run_all
from clora_core.measures.attributes import ATTRIBUTES_FILE, AttributeNetwork
from clora_core.measures.features import Array, Clip, seen
from clora_core.models.asked import Asked
from clora_core.models.description import BaseModel
from clora_core.settings.learning import TrainConfig
from clora_core.studio.progress import Say
from clora_core.studio.studio import Studio

PLACES = ("on the beach", "in the snow", "in front of a city skyline", "with a blue background")
"""What is asked for together with each concept, for CLIP to look for."""


def measured(
    open_studio: OpenStudio,
    out: Path,
    cells: Sequence[Cell],
    plan: Plan,
    workers: Workers,
    say: Say,
    device: str | None = None,
) -> list[Line]:
    """Learn, draw and measure what is missing; returns the lines of all cells.

    device: where the real pictures are looked at; None = the best there is here.

    Raises what ``run_cells`` does, and SettingsError when a network that judges cannot be had, before anything is
    learned.
    """
    real: Arrays = {}
    if missing := missing_cells(out, cells, plan):
        real = real_features(plan, device)
        save_features(out, REAL, real)
        # what goes wrong here is met again by the cells
        list(run_all(partial(learn_alone, open_studio, out, plan), alone_cells(missing, plan), workers, say))
    return run_cells(partial(measure_cell, open_studio, out, plan, real), out, cells, plan, workers, say)


def real_features(plan: Plan, device: str | None) -> Arrays:
    """Features of the real pictures, named as in ``figures``."""
    network, clip = plan.judges(device)
    pictures = plan.reference_pictures()
    found = {key("likeness", token): seen(network, paths) for token, paths in pictures.items()}
    return {**found, **({key("clip", token): seen(clip, paths) for token, paths in pictures.items()} if clip else {})}


def measure_cell(open_studio: OpenStudio, out: Path, plan: Plan, real: Arrays, cell: Cell, say: Say) -> Result:
    """Learn, draw and measure one cell; returns its line and the features of what was drawn."""
    config, samples, home = plan.config(cell), cell.ordered(plan.samples()), out / "cells" / cell.id
    alone = learned_alone(open_studio, out, config)
    studio = open_studio(home)
    try:
        learn_concepts(studio, say, home, samples, config, alone)
        network, clip = plan.judges(studio.device)
        drawn = draw_concepts(studio, say, home, plan.draws, config.method.steady, plan.whole)
        judges = {"likeness": network, **({"clip": clip} if clip else {})}
        features = {
            key(judge, token, after): seen(judges[judge], paths)
            for judge in judges
            for (token, after), paths in drawn.items()
        }
        if plan.whole:
            features |= asked_features(studio, say, home, clip, config.prior_prompt)
        learned, base = studio.learned(TIMELINE), studio.base
    finally:
        studio.close()
    say("measuring")
    line = {
        **facts(cell, plan, base, samples, config),
        "train": {**config.to_json(), "precision": learned[-1].config.precision},  # what "auto" came to
        "versions": dict(learned[-1].versions),
        "features": network.name,
        **figures([sample.token for sample in samples], features, real),
        "change_norms": change_norms(learned),
        **costs(learned, base.path),
        "seconds": [round(concept.seconds, 2) for concept in learned],
        "peak_memory_mb": noted_peak(alone_home(out, config) if alone else home),  # of learning
    }
    return line, features


def facts(cell: Cell, plan: Plan, base: BaseModel, samples: Sequence[Sample], config: TrainConfig) -> dict[str, Any]:
    """What every line of results begins with: what was run."""
    return {
        "cell": cell.id,
        "arm": cell.arm,
        "order": cell.order,
        "seed": cell.seed,
        "settings": {**plan.settings, **cell.changes},
        "plan": plan.to_json(cell),
        "model": base.name,
        "base_id": base.id,
        "concepts": [sample.name for sample in samples],
        "tokens": [sample.token for sample in samples],
        "train": config.to_json(),
    }


def asked_features(studio: Studio, say: Say, home: Path, clip: Clip | None, kind: str) -> Mapping[str, Array]:
    """Draw every concept at the end as is asked for beside it, and look: CLIP, or the model's own classifiers where it
    has them.

    kind: what stands for the concept in the words that CLIP compares pictures with, such as "a photo of a person".
    """
    asked = studio.base.asked
    if clip:
        drawn = draw_as_asked(studio, say, home, PLACES)
        words = clip.words([f"{kind} {place}" for place in PLACES])
        return {"clip/words": words, **{key("clip", token, "asked"): seen(clip, drawn[token]) for token in drawn}}
    if not asked:
        return {}
    classifiers = AttributeNetwork.load(Path(studio.base.path) / ATTRIBUTES_FILE)
    drawn = draw_as_asked(studio, say, home, [prompt.ending for prompt in asked.prompts])
    return {key("found", token, "asked"): _found(classifiers, asked, paths) for token, paths in drawn.items()}


def _found(classifiers: AttributeNetwork, asked: Asked, paths: Sequence[Path]) -> Array:
    """(endings, attributes) bool: which of the attributes that each ending asks for are seen in its picture."""
    seen_there = classifiers.classify([Image.open(path) for path in paths])
    return np.array(
        [
            [found[attribute] == name for attribute, name in prompt.attributes.items()]
            for found, prompt in zip(seen_there, asked.prompts, strict=True)
        ]
    )
