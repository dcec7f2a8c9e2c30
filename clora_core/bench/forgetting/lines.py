"""The lines of ``bench forgetting``: by arm, each independent run once, as intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

from clora_core.bench.lines import Line, Lines
from clora_core.measures.intervals import mean_interval

AT_THE_END = (
    "alignment_end",
    "a_mmd_x1000",
    "kid_x1000",
    "nearest",
    "text_alignment",
    "clip_image_alignment",
)
"""What depends on the last weights alone, and so not on the order where those are a sum (merged)."""

TELLING = (
    *AT_THE_END,
    "alignment_learned",
    "a_mmd_learned_x1000",
    "nearest_learned",
    "forgetting",
    "f_mmd_x1000",
)


def by_arm(lines: Lines) -> dict[str, list[Line]]:
    """The lines of each arm, in the order in which arms first appear."""
    arms: dict[str, list[Line]] = {}
    for line in lines:
        arms.setdefault(line["arm"], []).append(line)
    return arms


def independent(lines: Lines, key: str = "") -> Lines:
    """One arm's lines without those that repeat another one: some methods (routed) draw the same in every order, others
    (merged) end the same, and a figure counted three times would make its interval look narrower than it is.

    key: the figure that is wanted; "" = all of them.
    """
    figures = AT_THE_END if key in AT_THE_END else TELLING
    found: list[Line] = []
    for line in lines:
        if not any(_repeats(line, other, figures) for other in found):
            found.append(line)
    return found


def _repeats(line: Line, other: Line, figures: Sequence[str]) -> bool:
    pairs = ((line.get(key) or 0.0, other.get(key) or 0.0) for key in figures)
    return line["seed"] == other["seed"] and all(
        math.isclose(one, two, rel_tol=1e-3, abs_tol=1e-6) for one, two in pairs
    )


def interval(lines: Lines, key: str) -> tuple[float, float] | None:
    """Mean and half interval of a figure over the independent lines that have it; None when none has."""
    values = values_of(lines, key)
    return mean_interval(values) if values else None


def values_of(lines: Lines, key: str) -> list[float]:
    return [float(line[key]) for line in independent(lines, key) if line.get(key) is not None]
