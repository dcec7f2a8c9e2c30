"""``bench sequence``: people learned in a row, then who is still recognised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clora_core.bench.arm import OpenStudio, Person, first_samples, measured_arm, reference_pictures, run_arm
from clora_core.bench.tables import table
from clora_core.disk import write_text
from clora_core.settings.learning import TrainConfig
from clora_core.studio.progress import Say


def sequence(
    open_studio: OpenStudio,
    say: Say,
    out: Path,
    references: Path | None = None,
    people: int = 10,
    draws: int = 8,
    concepts: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    dino: str = "",
) -> dict[str, Any]:
    """Learn ``people`` sample people in order, draw ``draws`` pictures of each, and see who is recognised.

    Args:
        open_studio: opens the Studio on ``out``.
        references: folder with one folder of real pictures a person, named like the sample's folder.
        concepts: folder of the people to learn; None = those that ship with the app.
        settings: TrainConfig values that differ from the model's preset.
        dino: folder or Hub id of the DINO that likeness is measured by; "" = EfficientNet-lite0.
    """
    from clora_core.measures.features import likeness_network

    network = likeness_network(dino)  # what cannot be had is said before anything is learned
    studio = open_studio(out)
    try:
        config = studio.base.train_with({"preview_every_seconds": 0.0, **(settings or {})})
        samples = first_samples(studio, people, concepts)
        real = reference_pictures(samples, references)
        done = run_arm(studio, say, out, "sequence", samples, config, draws)
        rows, base = measured_arm("sequence", out, samples, done, real, network), studio.base
    finally:
        studio.close()
    recognised = sum(row.recognised for row in rows)
    text = f"{_people_table(rows)}\n\n{recognised} of {len(rows)} recognised at the end ({_note(config, network.name)})"
    result = {"model": base.name, "recognised": recognised, "people": rows, "train": config.to_json()}
    write_text(out / "sequence.md", text + "\n")
    return {**result, "features": network.name, "text": text}


def _people_table(rows: Sequence[Person]) -> str:
    head = [
        "person",
        "real to real",
        "when learned",
        "at the end",
        "nearest at the end",
        "pictures",
        "seconds",
    ]
    return table(
        head,
        [
            [
                row.name,
                f"{row.cosine_real:.3f}",
                f"{row.cosine_learned:.3f}",
                f"{row.cosine_end:.3f}",
                row.nearest + ("" if row.recognised else " (wrong)"),
                f"{row.pictures_nearest:.0%}",
                f"{row.seconds:.0f}",
            ]
            for row in rows
        ],
    )


def _note(config: TrainConfig, features: str) -> str:
    return (
        f"mean cosine of {features} features; lambda {config.penalty_weight:g}, learning rate "
        f"{config.learning_rate:g}, {config.steps} steps, rank {config.rank}"
    )
