"""What ``bench forgetting`` writes beside its results: ``report.md`` and three plots.

alignment.png    likeness of each concept over time: one panel a method, one line a concept
tradeoff.png     forgetting against plasticity: one point a method, with 95 % intervals where there are three runs or more
pictures.png     rows = concepts as they were learned; a real picture, then for each method as learned and at the end, same seed
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clora_core.benchmark import table
from clora_core.disk import write_text
from clora_core.errors import SettingsError
from clora_core.forgetting import TITLES
from clora_core.forgetting_gap import gap_report, result_matrix_of
from clora_core.metrics import interval_text, mean_interval
from clora_core.sheet import contact_sheet
from clora_core.views import count

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
FAR = 0.1  # of likeness
CUT = 0.02  # of all likenesses may lie below the plot over time
ARROWS = {"up": " ↑", "down": " ↓", "": ""}

Lines = Sequence[Mapping[str, Any]]


def write_report(out: Path, lines: Lines, real: Mapping[str, Path]) -> str:
    """Write the report and its plots into ``out``; returns the report.

    lines: those of results.jsonl.  real: a real picture of each person, by name.

    Raises SettingsError when matplotlib is missing.
    """
    plot_alignment(lines, out / "alignment.png")
    plot_tradeoff(lines, out / "tradeoff.png")
    plot_pictures(out, lines, real, out / "pictures.png")
    first, arms = lines[0], by_arm(lines)
    orders, seeds = ({line[key] for line in lines} for key in ("order", "seed"))
    columns = [column for column in COLUMNS if any(line.get(column[0]) is not None for line in lines)]
    text = "\n\n".join(
        [
            f"# What each method forgets: {first['plan']['people']} people, {first['model']}",
            f"{count(len(lines), 'run')}: {count(len(arms), 'method')}, {count(len(orders), 'order')}, "
            f"{count(len(seeds), 'seed')}; means with 95 % intervals "
            "(Student's t) over orders and seeds, where there are one or two figures, these; a figure counts once where "
            f"another order gives it again. Likeness is the mean cosine of {first['features']} features to held-out "
            f"pictures ({_scale(first)}). F_mmd, A_mmd: unbiased MMD x 1000 (F_mmd paired by seed), {first['kernel']}; "
            "KID x 1000. Recognised: the person's mean feature is nearest to its own real pictures. "
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
    write_text(out / "report.md", text + "\n")
    return text


def _scale(line: Mapping[str, Any]) -> str:
    """What likeness can be: of real pictures of one person, and of two."""
    between = np.array(line["real_between"], dtype=float)
    np.fill_diagonal(between, np.nan)
    others = (
        f", to real pictures of the most similar other person {np.nanmax(between, axis=1).mean():.3f}, of any other "
        f"{np.nanmean(between):.3f}"
    )
    return f"real to real: {line['real_to_real']:.3f}{others if len(between) > 1 else ''}"


def _judge(plan: Mapping[str, Any]) -> str:
    if plan.get("clip"):
        return (
            f"Text alignment and CLIP image alignment: 250 x cosine of {plan['clip']}, CIDM's TA and IA; prompts "
            "are compared as the prior prompt and the place, alike for all."
        )
    return "Text alignment: share of prompted clothes and backgrounds that the attribute classifiers find."


def by_arm(lines: Lines) -> dict[str, list[Mapping[str, Any]]]:
    """The lines of each arm, in the order in which arms first appear."""
    arms: dict[str, list[Mapping[str, Any]]] = {}
    for line in lines:
        arms.setdefault(line["arm"], []).append(line)
    return arms


def independent(lines: Lines, key: str = "") -> Lines:
    """One arm's lines without those that repeat another one: some methods (routed) draw the same in every order, others
    (merged) end the same, and a figure counted three times would make its interval look narrower than it is.

    key: the figure that is wanted; "" = all of them.
    """
    figures = AT_THE_END if key in AT_THE_END else TELLING
    found: list[Mapping[str, Any]] = []
    for line in lines:
        if not any(_repeats(line, other, figures) for other in found):
            found.append(line)
    return found


def _repeats(line: Mapping[str, Any], other: Mapping[str, Any], figures: Sequence[str]) -> bool:
    pairs = ((line.get(key) or 0.0, other.get(key) or 0.0) for key in figures)
    return line["seed"] == other["seed"] and all(
        math.isclose(one, two, rel_tol=1e-3, abs_tol=1e-6) for one, two in pairs
    )


def interval(lines: Lines, key: str) -> tuple[float, float] | None:
    """Mean and half interval of a figure over the independent lines that have it; None when none has."""
    values = _values(lines, key)
    return mean_interval(values) if values else None


def _values(lines: Lines, key: str) -> list[float]:
    return [float(line[key]) for line in independent(lines, key) if line.get(key) is not None]


def _rows(arms: Mapping[str, Lines], columns: Sequence[tuple[str, str, int, str]]) -> list[list[str]]:
    """Best A_mmd first: a mean likeness tells methods apart less."""
    ranked = sorted(arms, key=lambda arm: interval(arms[arm], "a_mmd_x1000") or (math.inf, 0.0))
    return [
        [
            TITLES[arm],
            *(_cell(_values(arms[arm], key), f".{digits}f") for key, _, digits, _ in columns),
            str(len(independent(arms[arm]))),
        ]
        for arm in ranked
    ]


def _cell(values: Sequence[float], spec: str) -> str:
    """The mean with its interval; the values themselves where they are one or two, or the same as far as they are shown."""
    shown = [f"{value:{spec}}" for value in values]
    if len(values) < 3 or len(set(shown)) == 1:
        return ", ".join(dict.fromkeys(shown)) or "-"
    return interval_text(*mean_interval(values), spec)


# ------------------------------------------------------------------------------------------- plots


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
    """Likeness of each concept over time, the mean over the seeds of one order: in another order another concept is in its
    place. A line that falls out of what the others need is cut at the edge."""
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
            axis.plot(
                times, matrix[j:, j], "o-", color=_shade(shade), markersize=3, linewidth=1.4, label=name
            )
        learned = np.diag(matrix)
        axis.plot(np.arange(count) + 1, learned, ":", color="0.4", linewidth=1, label="when learned")
        axis.axhline(own[0]["real_to_real"], color="0.75", linewidth=1, label="real pictures of one person")
        axis.set_title(TITLES[arm], fontsize=10)
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


def _most_shared(arms: Mapping[str, Lines], key: Callable[[Mapping[str, Any]], Any]) -> dict[str, Any]:
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
        axis.plot(*point, marker, color=colour, markersize=7, label=TITLES[arm])
    off = [f"{TITLES[arm]} ({points[arm][0]:.2f}, {points[arm][1]:.2f})" for arm in points if arm not in near]
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
    """A real picture of every person, the first learned on top, then for each method the first one drawn as learned and the
    one of the same seed at the end, with how many are recognised by all their pictures.

    All from one order and seed where every method has it and its pictures are at hand: results may come from another machine.
    """
    at_hand = [line for line in lines if (out / "cells" / line["cell"]).is_dir()]
    runs = _most_shared(by_arm(at_hand), lambda line: (line["order"], line["seed"]))
    firsts = [line for line in at_hand if runs[line["arm"]] == (line["order"], line["seed"])]
    people = (firsts or lines)[0]["people"]

    def recognised(line: Mapping[str, Any], key: str) -> str:
        return "" if line.get(key) is None else f" {line[key] * len(people):.0f}/{len(people)}"

    def column(line: Mapping[str, Any], at_the_end: bool) -> list[Path | None]:
        drawn = out / "cells" / line["cell"] / "drawn" / "arm"
        places = [line["people"].index(name) for name in people]
        times = [len(people) if at_the_end else place + 1 for place in places]
        return [
            drawn / f"{line['tokens'][place][1:-1]}-as-of-{as_of:02d}-1.png"
            for place, as_of in zip(places, times, strict=True)
        ]

    groups = [
        (
            TITLES[line["arm"]],
            [
                (f"as learned{recognised(line, 'nearest_learned')}", column(line, False)),
                (f"at the end{recognised(line, 'nearest')}", column(line, True)),
            ],
        )
        for line in firsts
    ]
    shown = ("real", [("one of them", [real.get(name) for name in people])])
    contact_sheet(people, [shown, *groups]).save(path, optimize=True)
