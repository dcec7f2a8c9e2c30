"""The plots of ``bench forgetting``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clora_core.bench.forgetting.arms import arm_title
from clora_core.bench.forgetting.gap import result_matrix_of
from clora_core.bench.forgetting.lines import by_arm, independent, interval
from clora_core.bench.lines import Line, Lines
from clora_core.drawing.contact_sheet import contact_sheet
from clora_core.errors import SettingsError

FAR = 0.1  # of likeness
CUT = 0.02  # of all likenesses may lie below the plot over time


def _figure(rows: int, columns: int, width: float, height: float) -> tuple[Any, Any]:
    try:
        import matplotlib
    except ImportError:
        raise SettingsError(
            "The plots need matplotlib. Install it with: python -m pip install -r requirements-dev.txt"
        ) from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        rows, columns, figsize=(width, height), squeeze=False, sharex=True, sharey=True, layout="constrained"
    )
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def plot_alignment(lines: Lines, path: Path) -> None:
    """Likeness of each concept over time, the mean over the seeds of one order: in another order another concept is
    in its place. A line that falls out of what the others need is cut at the edge."""
    arms = by_arm(lines)
    orders = _most_shared(arms, lambda line: line["order"])
    means = {
        arm: np.mean([result_matrix_of(line) for line in own if line["order"] == orders[arm]], axis=0)
        for arm, own in arms.items()
    }
    columns = min(4, len(arms))
    rows = -(-len(arms) // columns)
    figure, axes = _figure(rows, columns, 3.2 * columns + 0.5, 2.5 * rows + 0.5)
    for place in range(rows * columns):
        axes.flat[place].set_visible(place < len(arms))
        axes.flat[place].tick_params(labelbottom=place + columns >= len(arms))  # nothing is below it
    for axis, (arm, own) in zip(axes.flat, arms.items(), strict=False):
        matrix = means[arm]
        count = len(matrix)
        for j in range(count):
            shade = 0.15 + 0.7 * j / max(count - 1, 1)
            times = np.arange(j, count) + 1
            name = {0: "the first concept", count - 1: "the last"}.get(j, "_")
            axis.plot(times, matrix[j:, j], "o-", color=_shade(shade), markersize=3, linewidth=1.4, label=name)
        learned = np.diag(matrix)
        axis.plot(np.arange(count) + 1, learned, ":", color="0.4", linewidth=1, label="when learned")
        axis.axhline(own[0]["real_to_real"], color="0.75", linewidth=1, label="real pictures of one concept")
        axis.set_title(arm_title(arm), fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    values = np.concatenate([matrix.ravel() for matrix in means.values()])
    highest = max(float(np.nanmax(values)), *(line["real_to_real"] for line in lines))
    axes[0, 0].set_ylim(np.nanquantile(values, CUT) - 0.02, highest + 0.02)
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside upper right", fontsize=8, ncols=4, frameon=False
    )
    figure.supxlabel("after learning concept number", fontsize=9)
    figure.supylabel("likeness to real pictures", fontsize=9)
    _save(figure, path)


def _most_shared(arms: Mapping[str, Lines], key: Callable[[Line], Any]) -> dict[str, Any]:
    """Of each arm's values of ``key`` the one that most arms have, the first where several are equal."""
    having = Counter(value for own in arms.values() for value in dict.fromkeys(map(key, own)))
    ranked = [value for value, _ in having.most_common()]
    return {arm: min(map(key, own), key=ranked.index) for arm, own in arms.items()}


def _shade(share: float) -> Any:
    from matplotlib import colormaps

    return colormaps["viridis"](share)


def plot_tradeoff(lines: Lines, path: Path) -> None:
    """One point a method: likeness when learned (right is better) against forgetting (down is better); bars are 95 %
    intervals, a line joins two runs.

    A method more than ``FAR`` from the median of either is named above the plot, so that the others can be told apart.
    """
    figure, axes = _figure(1, 1, 7.6, 4.6)
    axis = axes[0, 0]
    arms = by_arm(lines)
    found = {
        arm: (plastic, lost)
        for arm, own in arms.items()
        if (plastic := interval(own, "alignment_learned")) and (lost := interval(own, "forgetting"))
    }
    points = {arm: np.array([plastic[0], lost[0]]) for arm, (plastic, lost) in found.items()}
    middle = np.median(list(points.values()), axis=0)
    near = {arm: point for arm, point in points.items() if np.abs(point - middle).max() <= FAR} or points
    for number, (arm, point) in enumerate(near.items()):
        colour, marker = f"C{number % 10}", "os^D"[number // 10 % 4]
        if len(runs := independent(arms[arm])) > 2:
            xerr, yerr = (half for _, half in found[arm])
            axis.errorbar(*point, yerr, xerr, fmt="none", ecolor=colour, elinewidth=1, alpha=0.35)
        elif len(runs) == 2:  # an interval over two is as wide as the plot
            ends = np.array([[run["alignment_learned"], run["forgetting"]] for run in runs])
            axis.plot(*ends.T, "-", color=colour, linewidth=1, alpha=0.35)
        # stands out from its bars
        axis.plot(*point, marker, color=colour, markersize=7, label=arm_title(arm))
    off = [f"{arm_title(arm)} ({points[arm][0]:.2f}, {points[arm][1]:.2f})" for arm in points if arm not in near]
    if off:
        axis.set_title(f"off the plot: {', '.join(off)}", fontsize=8, loc="left", color="0.35")
    low, high = (edge(list(near.values()), axis=0) for edge in (np.min, np.max))
    room = np.maximum(0.3 * (high - low), 0.01)  # wider error bars are cut at the edge
    axis.set_xlim(low[0] - room[0], high[0] + room[0])
    axis.set_ylim(low[1] - room[1], high[1] + room[1])
    axis.axhline(0, color="0.8", linewidth=1)
    axis.set_xlabel("plasticity: likeness when learned (right is better)")
    axis.set_ylabel("forgetting: likeness lost since (down is better)")
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    _save(figure, path)


def plot_pictures(out: Path, lines: Lines, real: Mapping[str, Path], path: Path) -> None:
    """A real picture of every concept, the first learned on top, then for each method the first one drawn as learned
    and the one of the same seed at the end, with how many are recognised by all their pictures.

    All from one order and seed where every method has it and its pictures are at hand: results may come from another
    machine.
    """
    at_hand = [line for line in lines if (out / "cells" / line["cell"]).is_dir()]
    runs = _most_shared(by_arm(at_hand), lambda line: (line["order"], line["seed"]))
    firsts = [line for line in at_hand if runs[line["arm"]] == (line["order"], line["seed"])]
    first = (firsts or lines)[0]
    concepts: list[str] = first["concepts"]

    def recognised(line: Line, key: str) -> str:
        return "" if line.get(key) is None else f" {line[key] * len(concepts):.0f}/{len(concepts)}"

    def column(line: Line, at_the_end: bool) -> list[Path | None]:
        drawn = out / "cells" / line["cell"] / "drawn" / "arm"
        places = [line["concepts"].index(name) for name in concepts]
        times = [len(concepts) if at_the_end else place + 1 for place in places]
        return [
            drawn / f"{line['tokens'][place][1:-1]}-as-of-{as_of:02d}-1.png"
            for place, as_of in zip(places, times, strict=True)
        ]

    groups = [
        (
            arm_title(line["arm"]),
            [
                (f"as learned{recognised(line, 'nearest_learned')}", column(line, False)),
                (f"at the end{recognised(line, 'nearest')}", column(line, True)),
            ],
        )
        for line in firsts
    ]
    shown = ("real", [("one of them", [real.get(token) for token in first["tokens"]])])
    contact_sheet(concepts, [shown, *groups]).save(path, optimize=True)
