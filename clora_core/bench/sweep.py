"""``bench sweep``: several values of settings, or several decades of them for every method, on a few people.

Works in a folder of its own and goes on where it was interrupted: a timeline there is one arm, its concepts and its
drawn pictures are not made again.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clora_core.bench.arm import (
    OpenStudio,
    Person,
    first_samples,
    lendable,
    measured_arm,
    reference_pictures,
    run_arm,
)
from clora_core.bench.tables import table
from clora_core.concepts import LearnedConcept, TrainConfig, slug
from clora_core.disk import append_line, read_lines, write_text
from clora_core.methods import method_named
from clora_core.models.description import BaseModel
from clora_core.settings.learning import decisive
from clora_core.settings.methods import reads
from clora_core.studio.progress import Say, prefixed
from clora_core.studio.studio import Studio

FACTORS = (0.1, 1.0, 10.0)

Arms = Sequence[Mapping[str, Any]]  # TrainConfig values by name, one mapping an arm


def grid_arms(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination of the values of the grid."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def decade_arms(base: BaseModel, methods: Iterable[str], names: Sequence[str]) -> list[dict[str, Any]]:
    """For every method a tenth, once and ten times its own preset of each of the named settings, in all combinations.

    The penalty weight is left out for methods that have no penalty; Textual Inversion's learning rate is its token's.
    """
    arms = []
    for method in methods:
        preset = base.train_with({"method": method}).to_json()
        swept = [name for name in names if reads(method, name)]
        if method == "textual_inversion":
            swept = list(dict.fromkeys("token_learning_rate" if n == "learning_rate" else n for n in swept))
        grid = {name: [float(f"{preset[name] * factor:.6g}") for factor in FACTORS] for name in swept}
        arms += [{"method": method, **values} for values in grid_arms(grid)]
    return arms


def sweep(
    open_studio: OpenStudio,
    say: Say,
    out: Path,
    references: Path | None = None,
    people: int = 3,
    draws: int = 4,
    concepts: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    arms: Arms = (),
    dino: str = "",
) -> dict[str, Any]:
    """Every arm's settings over ``settings``; one line in sweep.jsonl each.

    dino: folder or Hub id of the DINO that likeness is measured by; "" = EfficientNet-lite0.

    Returns the arms, best first: by the mean cosine to the real pictures at the end.
    """
    from clora_core.measures.features import likeness_network

    network = likeness_network(dino)  # what cannot be had is said before anything is learned
    studio = open_studio(out)
    try:
        lines = read_lines(out / "sweep.jsonl")
        people_of = {"concepts": str(concepts or ""), "references": str(references or "")}
        people_of |= {"dino": dino} if dino else {}
        done = {
            line["arm"]: line for line in lines if line["base_id"] == studio.base.id and line.get("plan") == people_of
        }
        samples = first_samples(studio, people, concepts)
        real = reference_pictures(samples, references)
        for number, values in enumerate(arms, 1):
            chosen = {**(settings or {}), **values}
            config = studio.base.train_with({"preview_every_seconds": 0.0, **chosen})
            words = " ".join(f"{key[:7]} {value}" for key, value in chosen.items())
            arm = slug(f"{people}x{draws} {words}")
            if arm in done and decisive(config.updated(done[arm]["train"])) == decisive(config):
                continue
            prefix = f"arm {number} of {len(arms)}: "
            lent = _lent(studio, config)
            drawn = run_arm(studio, prefixed(say, prefix), out, arm, samples, config, draws, lent=lent)
            rows = measured_arm(arm, out, samples, drawn, real, network)
            done[arm] = {
                "arm": arm,
                "base_id": studio.base.id,
                "plan": people_of,
                "settings": chosen,
                "train": config.to_json(),
                **_figures(rows),
            }
            append_line(out / "sweep.jsonl", done[arm])
    finally:
        studio.close()
    ranked = sorted(done.values(), key=lambda arm: float(arm["cosine_end"]), reverse=True)
    text = f"{_table(ranked)}\n\nLikeness: mean cosine of {network.name} features."
    write_text(out / "sweep.md", text + "\n")
    return {"arms": ranked, "text": text}


def _lent(studio: Studio, config: TrainConfig) -> dict[str, LearnedConcept]:
    """By token, what other arms learned on the base model alone in just this way; {} for methods that build on the
    past."""
    way = method_named(config.method).alone
    alike = [timeline for timeline in studio.timelines() if way and method_named(timeline.method).alone == way]
    return lendable((concept for timeline in alike for concept in studio.learned(timeline.id)), config)


def _figures(rows: Sequence[Person]) -> dict[str, Any]:
    return {
        "recognised": sum(row.recognised for row in rows),
        "people": len(rows),
        "cosine_learned": round(statistics.fmean(row.cosine_learned for row in rows), 4),
        "cosine_end": round(statistics.fmean(row.cosine_end for row in rows), 4),
        "pictures_nearest": round(statistics.fmean(row.pictures_nearest for row in rows), 4),
        "seconds": round(statistics.fmean(row.seconds for row in rows), 1),
    }


def _table(arms: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for arm in arms for name in arm["settings"]))
    head = [*names, "when learned", "at the end", "lost", "recognised", "pictures", "seconds a person"]
    return table(
        head,
        [
            [
                *(_short(arm["settings"].get(name, "")) for name in names),
                f"{arm['cosine_learned']:.3f}",
                f"{arm['cosine_end']:.3f}",
                f"{arm['cosine_learned'] - arm['cosine_end']:.3f}",
                f"{arm['recognised']} of {arm['people']}",
                f"{arm['pictures_nearest']:.0%}",
                f"{arm['seconds']:.0f}",
            ]
            for arm in arms
        ],
    )


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
