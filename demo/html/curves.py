"""Loss and penalty curves as small SVG drawings: (steps, values) -> markup. Pure.

Drawn by ourselves because the curve is redrawn every second: a plot component flickers and brings a
megabyte of JavaScript; this is a line in the page's own colours that any screen reader can name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

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


def _points(xs: Sequence[float], ys: Sequence[float], total: float, top: float) -> str:
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    return " ".join(
        f"{LEFT + width * x / total:.1f},{TOP + height * (1 - min(y, top) / top):.1f}"
        for x, y in zip(xs, ys, strict=True)
    )


def _axes(total: float, top: float) -> str:
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    parts = []
    for value in ticks(0.0, top):
        y = TOP + height * (1 - value / top)
        parts.append(f'<line class="cl-grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{short(value)}</text>')
    for value in ticks(0.0, total, 4):
        x = LEFT + width * value / total
        anchor = "end" if value > 0.97 * total else "middle"
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{value:g}</text>')
    return "".join(parts)


def curve(title: str, hint: str, steps: Sequence[int], values: Sequence[float], total: int, tone: str) -> str:
    """One curve with its title. ``total`` = last step of the x axis; ``tone`` = "new" or "older".

    The faint line is every step, the strong one its running mean, whose end is the figure beside the title. The
    y axis starts at 0 and ends a little above the largest mean, so that one wild step does not flatten the rest.
    """
    pairs = [(s, v) for s, v in zip(steps, values, strict=True) if math.isfinite(v)]
    xs, ys = [float(s) for s, _ in pairs], [v for _, v in pairs]
    means = running_mean(ys, max(1, round(SMOOTH_SHARE * len(ys))))
    now = short(means[-1]) if pairs else "-"
    head = f"<figcaption><b>{escape(title)}</b> <span>{escape(hint)}</span><output>{now}</output></figcaption>"
    if not pairs:
        return f'<figure class="cl-curve cl-{tone}">{head}<p class="cl-quiet">The first steps are on their way.</p></figure>'
    top = max(1.25 * max(means), 1e-12)
    span = float(max(total, xs[-1], 1.0))
    label = f"{title}: {short(ys[0])} at step {xs[0]:g}, {now} at step {xs[-1]:g}"
    last = _points(xs[-1:], means[-1:], span, top).split(",")
    return (
        f'<figure class="cl-curve cl-{tone}">{head}'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{_axes(span, top)}'
        f'<polyline class="cl-raw" points="{_points(xs, ys, span, top)}"/>'
        f'<polyline class="cl-mean" points="{_points(xs, means, span, top)}"/>'
        f'<circle class="cl-dot" cx="{last[0]}" cy="{last[1]}" r="4"/></svg></figure>'
    )
