"""Loss and penalty curves as small SVG drawings: (steps, values) -> HTML. Pure.

Drawn by ourselves because the curve is redrawn every second: a plot component flickers and brings a
megabyte of JavaScript; this is a line in the page's own colours that any screen reader can name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from demo.html.render import render

WIDTH, HEIGHT = 520, 190
LEFT, RIGHT, TOP, BOTTOM = 58, 10, 12, 26
SMOOTH_SHARE = 0.06
"""Width of the running mean, as a share of the curve: single steps are noise at small batches."""


def running_mean(values: Sequence[float], width: int) -> list[float]:
    """Mean of the last ``width`` values at each place (fewer at the start)."""
    means, total = [], 0.0
    for i, value in enumerate(values):
        total += value
        if i >= width:
            total -= values[i - width]
        means.append(total / min(i + 1, width))
    return means


def short(value: float) -> str:
    """A number for an axis: 0.25, 12, 3.1e-09."""
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e4:
        return f"{value:.3g}"
    return f"{value:.1e}"


def ticks(low: float, high: float, count: int = 3) -> list[float]:
    """Round numbers inside [low, high], about ``count`` of them."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    unit = 10 ** math.floor(math.log10(raw))
    step = next(unit * m for m in (1, 2, 2.5, 5, 10) if unit * m >= raw)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


@dataclass(frozen=True)
class Plot:
    """A curve in pixels of the drawing, (0, 0) at the top left: what the template draws."""

    rows: list[tuple[float, str]]  # y of each grid line, and its figure
    columns: list[tuple[float, str]]  # x of each figure below
    raw: list[tuple[float, float]]  # every step
    mean: list[tuple[float, float]]  # the running mean


def _plot(xs: Sequence[float], ys: Sequence[float], means: Sequence[float], total: float) -> Plot:
    """x from 0 to ``total``, y from 0 to a little above the largest mean, so that one wild step does not flatten the
    rest."""
    top = max(1.25 * max(means), 1e-12)

    def right(x: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * x / total

    def down(y: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - min(y, top) / top)

    return Plot(
        [(down(y), short(y)) for y in ticks(0.0, top)],
        [(right(x), f"{x:g}") for x in ticks(0.0, total, 4)],
        [(right(x), down(y)) for x, y in zip(xs, ys, strict=True)],
        [(right(x), down(y)) for x, y in zip(xs, means, strict=True)],
    )


def curve(title: str, hint: str, steps: Sequence[int], values: Sequence[float], total: int, tone: str) -> Markup:
    """One curve with its title. ``total`` = last step of the x axis; ``tone`` = "new" or "older".

    The faint line is every step, the strong one its running mean, whose end is the figure beside the title.
    """
    pairs = [(s, v) for s, v in zip(steps, values, strict=True) if math.isfinite(v)]
    xs, ys = [float(s) for s, _ in pairs], [v for _, v in pairs]
    means = running_mean(ys, max(1, round(SMOOTH_SHARE * len(ys))))
    now = short(means[-1]) if pairs else "-"
    return render(
        "curve",
        title=title,
        hint=hint,
        tone=tone,
        now=now,
        label=f"{title}: {short(ys[0])} at step {xs[0]:g}, {now} at step {xs[-1]:g}" if pairs else "",
        plot=_plot(xs, ys, means, float(max(total, xs[-1], 1.0))) if pairs else None,
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=RIGHT,
    )
