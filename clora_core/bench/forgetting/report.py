"""What ``bench forgetting`` says of its results: a report and three plots.

alignment.png    likeness of each concept over time: one panel a method, one line a concept
tradeoff.png     forgetting against plasticity: one point a method, with 95 % intervals from three runs on
pictures.png     rows = concepts as they were learned; a real picture, then for each method as learned and at the end
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clora_core.answers import count
from clora_core.bench.forgetting.arms import arm_title
from clora_core.bench.forgetting.gap import gap_report
from clora_core.bench.forgetting.lines import by_arm, independent, interval, values_of
from clora_core.bench.forgetting.plots import plot_alignment, plot_pictures, plot_tradeoff
from clora_core.bench.lines import Line, Lines
from clora_core.bench.tables import table
from clora_core.measures.intervals import interval_text, mean_interval

COLUMNS = (  # key, heading, digits, which is better
    ("alignment_learned", "alignment when learned", 3, "up"),
    ("alignment_end", "at the end", 3, "up"),
    ("forgetting", "forgetting", 3, "down"),
    ("backward_transfer", "backward transfer", 3, "up"),
    ("f_mmd_x1000", "F_mmd", 0, "down"),
    ("a_mmd_learned_x1000", "A_mmd when learned", 0, "down"),
    ("a_mmd_x1000", "A_mmd at the end", 0, "down"),
    ("kid_x1000", "KID", 0, "down"),
    ("nearest_learned", "recognised when learned", 2, "up"),
    ("nearest", "recognised at the end", 2, "up"),
    ("text_alignment", "text alignment", 2, "up"),
    ("clip_image_alignment", "CLIP image alignment", 1, "up"),
    ("trained_percent", "trained %", 2, ""),
    ("stored_percent", "stored %", 2, ""),
    ("seconds_a_concept", "s a concept", 0, ""),
    ("peak_memory_mb", "peak MB", 0, ""),
)
ARROWS = {"up": " ↑", "down": " ↓", "": ""}


def forgetting_report(out: Path, lines: Lines, real: Mapping[str, Sequence[Path]]) -> dict[str, Any]:
    """Draw the plots into ``out``; returns the report and the lines.

    real: real pictures of each concept, by its token.

    Raises SettingsError when matplotlib is missing.
    """
    plot_alignment(lines, out / "alignment.png")
    plot_tradeoff(lines, out / "tradeoff.png")
    plot_pictures(out, lines, {token: paths[0] for token, paths in real.items()}, out / "pictures.png")
    return {"text": _text(lines), "cells": lines}


def _text(lines: Lines) -> str:
    first, arms = lines[0], by_arm(lines)
    orders, seeds = ({line[key] for line in lines} for key in ("order", "seed"))
    columns = [column for column in COLUMNS if any(line.get(column[0]) is not None for line in lines)]
    return "\n\n".join(
        [
            f"# What each method forgets: {len(first['concepts'])} concepts, {first['model']}",
            f"{count(len(lines), 'run')}: {count(len(arms), 'method')}, {count(len(orders), 'order')}, "
            f"{count(len(seeds), 'seed')}; means with 95 % intervals "
            "(Student's t) over orders and seeds, where there are one or two figures, these; a figure counts once "
            "where "
            f"another order gives it again. Likeness is the mean cosine of {first['features']} features to held-out "
            f"pictures ({_scale(first)}). F_mmd, A_mmd: unbiased MMD x 1000 (F_mmd paired by seed), {first['kernel']}; "
            "KID x 1000. Recognised: the concept's mean feature is nearest to its own real pictures. "
            f"{_judge(first['plan'])} Percentages are of the U-Net's parameters.",
            table(
                ["method", *(head + ARROWS[better] for _, head, _, better in columns), "runs"],
                _rows(arms, columns),
            ),
            "![likeness of each concept over time](alignment.png)",
            "![forgetting against plasticity](tradeoff.png)",
            "![as learned and at the end](pictures.png)",
            gap_report(arms),
        ]
    ).rstrip()


def _scale(line: Line) -> str:
    """What likeness can be: of real pictures of one concept, and of two."""
    between = np.array(line["real_between"], dtype=float)
    np.fill_diagonal(between, np.nan)
    others = (
        f", to real pictures of the most similar other concept {np.nanmax(between, axis=1).mean():.3f}, of any other "
        f"{np.nanmean(between):.3f}"
    )
    return f"real to real: {line['real_to_real']:.3f}{others if len(between) > 1 else ''}"


def _judge(plan: Mapping[str, Any]) -> str:
    if plan.get("clip"):
        return (
            f"Text alignment and CLIP image alignment: 250 x cosine of {plan['clip']}, CIDM's TA and IA; prompts "
            "are compared as the prior prompt and the place, alike for all."
        )
    return "Text alignment: share of the attributes asked for that the model's own classifiers find."


def _rows(arms: Mapping[str, Lines], columns: Sequence[tuple[str, str, int, str]]) -> list[list[str]]:
    """Best A_mmd first: a mean likeness tells methods apart less."""
    ranked = sorted(arms, key=lambda arm: interval(arms[arm], "a_mmd_x1000") or (math.inf, 0.0))
    return [
        [
            arm_title(arm),
            *(_cell(values_of(arms[arm], key), f".{digits}f") for key, _, digits, _ in columns),
            str(len(independent(arms[arm]))),
        ]
        for arm in ranked
    ]


def _cell(values: Sequence[float], spec: str) -> str:
    """The mean with its interval; the values themselves where they are one or two, or the same as far as they are
    shown."""
    shown = [f"{value:{spec}}" for value in values]
    if len(values) < 3 or len(set(shown)) == 1:
        return ", ".join(dict.fromkeys(shown)) or "-"
    return interval_text(*mean_interval(values), spec)
