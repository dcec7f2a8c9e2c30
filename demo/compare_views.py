"""Two methods side by side as HTML: the headline, the pictures, the measures. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING

from clora_core.views import HARDLY, count
from demo.views import duration, empty, forgetting_map, health_badge, image

if TYPE_CHECKING:
    from clora_core.views import Card, Side

Measure = tuple[str, Callable[["Side"], float], Callable[[float], str], str]
MEASURES: tuple[Measure, ...] = (  # words, figure, as text, which is better
    ("older concepts as good as new", lambda s: s.kept, "{:.0f}".format, "more"),
    ("fading or lost", lambda s: s.fading + s.lost, "{:.0f}".format, "less"),
    ("of them lost", lambda s: s.lost, "{:.0f}".format, "less"),
    ("older pictures changed by, on average", lambda s: s.mean_change, "{:.1%}".format, "less"),
    ("learning took", lambda s: s.seconds, duration, ""),
    ("weights on disk", lambda s: s.megabytes, "{:.1f} MB".format, ""),
)


def nothing_to_compare(enough: bool) -> str:
    """The empty state."""
    if not enough:
        return empty(
            "Nothing to compare yet",
            "A comparison needs a timeline of two concepts or more. Teach a second one in Add concept.",
        )
    return empty(
        "Learned under one method only",
        "Choose other methods below. The same people are then learned again in new timelines, in the same order with "
        "the same seeds, and both stand here side by side.",
    )


def headline(left: Side, right: Side, later: Sequence[str] = ()) -> str:
    """Which side forgot, in one sentence, and what was taught. later: names of what only the left side learned since."""
    better, worse = sorted((left, right), key=lambda side: side.mean_change)
    older = len(left.timeline.cards) - 1
    if math.isnan(left.mean_change) or math.isnan(right.mean_change):
        words = "Pictures are missing on one side, so which one forgot cannot be told."
    elif worse.mean_change < HARDLY:
        words = f"<b>Neither forgot:</b> under both, older pictures changed by less than {HARDLY:.0%}."
    elif math.isclose(better.mean_change, worse.mean_change, abs_tol=0.002):
        words = (
            f"<b>{escape(left.title)}</b> and <b>{escape(right.title)}</b> changed the older pictures alike."
        )
    else:
        words = (
            f"<b>{escape(worse.title)} forgot more:</b> {_state(worse, older)}, pictures changed by "
            f"{worse.mean_change:.0%}. Under {escape(better.title)}: {_state(better, older)}, {better.mean_change:.0%}."
        )
    names = ", ".join(escape(card.name) for card in left.timeline.cards)
    apart = f" {escape(', '.join(later))} came later and is not compared." if later else ""
    return (
        f'<div class="cl-headline"><h2>{words}</h2><p class="cl-quiet">Learned one after the other: {names}. Same '
        f"pictures, same order, same seeds; each method with its own settings.{apart}</p></div>"
    )


def _state(side: Side, older: int) -> str:
    gone = side.fading + side.lost
    return f"{gone} of {count(older, 'older concept')} fading or lost"


def versus(left: Side, right: Side, chosen: str) -> str:
    """Rows = concepts; for each method the picture as learned and the one of the same seed now."""
    heads = "".join(f'<th colspan="2" scope="colgroup">{escape(side.title)}</th>' for side in (left, right))
    newest = len(left.timeline.cards)
    words = '<th scope="col">as learned</th><th scope="col">now, same seed</th>' * 2
    rows = "".join(
        f'<tr{" aria-selected=true" if one.token == chosen else ""}><th scope="row"><button type="button" class="cl-link" '
        f'data-act="pick" data-value="{escape(one.token)}" title="Look closer at {escape(one.name)}">{escape(one.name)}'
        f"</button></th>{_pair(one, newest)}{_pair(other, newest)}</tr>"
        for one, other in zip(left.timeline.cards, right.timeline.cards, strict=True)
    )
    return (
        f'<div class="cl-versus"><table><thead><tr><td></td>{heads}</tr><tr><td></td>{words}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _pair(card: Card, newest: int) -> str:
    badge = health_badge(card.changed) if card.index < newest else ""  # the newest cannot have faded yet
    return (
        f"<td>{image(card.learned_picture, f'{card.name} as learned')}</td>"
        f"<td>{image(card.now_picture, f'{card.name} now')}{badge}</td>"
    )


def maps(left: Side, right: Side) -> str:
    """Both forgetting maps."""
    parts = "".join(
        f"<section><h3>{escape(side.title)}</h3>{forgetting_map(side.timeline, side.changes)}</section>"
        for side in (left, right)
    )
    return f'<div class="cl-maps">{parts}</div>'


def measures(left: Side, right: Side, name: str) -> str:
    """What the slider above shows, then the figures of both sides, the better one marked."""
    shown = f"{name} now: {left.title} on the left, {right.title} on the right. Pull the line."
    rows = []
    for words, figure, text, better in MEASURES:
        values = [figure(side) for side in (left, right)]
        best = {"more": max, "less": min}.get(better)
        cells = "".join(
            f"<td{' class=cl-best' if best and values[0] != values[1] and value == best(values) else ''}>"
            f"{'&ndash;' if value != value else escape(text(value))}</td>"
            for value in values
        )
        hint = f" <small>{better} is better</small>" if better else ""
        rows.append(f'<tr><th scope="row">{escape(words)}{hint}</th>{cells}</tr>')
    heads = "".join(f'<th scope="col">{escape(side.title)}</th>' for side in (left, right))
    return f'<p class="cl-quiet">{escape(shown)}</p><table class="cl-measures"><thead><tr><td></td>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def progress(learned: int, total: int) -> str:
    """How far the comparison that is being learned is."""
    if not total:
        return ""
    share = 100 * learned / total
    return (
        f'<div class="cl-drawing" role="status"><p>Learning the comparison: {learned} of {count(total, "concept")} learned. '
        "Add concept shows the one that runs.</p>"
        f'<div class="cl-bar" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{share:.0f}"><i style="width:{share:.1f}%"></i></div></div>'
    )


def missing(names: Sequence[str]) -> str:
    """Which concepts need their pictures again."""
    if not names:
        return ""
    return (
        f'<p class="cl-quiet">Pictures of {escape(", ".join(names))} were not kept. Choose the concept, drop its pictures '
        "here, and they are used for this comparison only.</p>"
    )
