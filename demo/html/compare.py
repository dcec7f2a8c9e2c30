"""Methods side by side as HTML: the headline, the pictures, the measures. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from html import escape
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from clora_core.answers import HARDLY, count
from clora_core.data.pictures import open_pictures
from demo.html.parts import duration, empty, image, thumbnail
from demo.html.timeline import forgetting_map, health_badge

if TYPE_CHECKING:
    from clora_core.answers import Card, Side

Measure = tuple[str, Callable[["Side"], float], Callable[[float], str], str]
MEASURES: tuple[Measure, ...] = (  # words, figure, as text, which is better
    ("older concepts as good as new", lambda s: s.kept, "{:.0f}".format, "more"),
    ("fading or lost", lambda s: s.fading + s.lost, "{:.0f}".format, "less"),
    ("of them lost", lambda s: s.lost, "{:.0f}".format, "less"),
    ("older pictures changed by, on average", lambda s: s.mean_change, "{:.1%}".format, "less"),
    ("steps a concept", lambda s: fmean(card.steps for card in s.timeline.cards), "{:.0f}".format, ""),
    ("learning took", lambda s: s.seconds, duration, ""),
    ("weights on disk, with every step back", lambda s: s.megabytes, "{:.1f} MB".format, ""),
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


def headline(sides: Sequence[Side], later: Sequence[str] = ()) -> str:
    """Which side forgot, in one sentence, and what was taught. later: names of what only the first side learned
    since."""
    several = len(sides) > 2
    missing = [side.title for side in sides if math.isnan(side.mean_change)]
    better, *_, worse = sorted(sides, key=lambda side: side.mean_change)
    older = len(better.timeline.cards) - 1
    if missing:
        words = f"Pictures are missing under {escape(', '.join(missing))}, so which one forgot cannot be told."
    elif worse.mean_change < HARDLY:
        none, all_of_them = ("None", "all") if several else ("Neither", "both")
        words = f"<b>{none} forgot:</b> under {all_of_them}, older pictures changed by less than {HARDLY:.0%}."
    elif math.isclose(better.mean_change, worse.mean_change, abs_tol=0.002):
        *first, last = (f"<b>{escape(side.title)}</b>" for side in sides)
        words = f"{', '.join(first)} and {last} changed the older pictures alike."
    else:
        words = (
            f"<b>{escape(worse.title)} forgot {'most' if several else 'more'}:</b> {_state(worse, older)}, pictures changed "
            f"by {worse.mean_change:.0%}. {'Least under' if several else 'Under'} {escape(better.title)}: "
            f"{_state(better, older)}, {better.mean_change:.0%}."
        )
    names = ", ".join(escape(card.name) for card in better.timeline.cards)
    noted = all(card.pictures_sha256 for side in sides for card in side.timeline.cards)
    pictures = "same" if noted else "as many"
    apart = f" {escape(', '.join(later))} came later and is not compared." if later else ""
    return (
        f'<div class="cl-headline"><h2>{words}</h2><p class="cl-quiet">Learned one after the other: {names}. Same order, '
        f"same seeds, {pictures} pictures; each method with its own settings.{apart}</p></div>"
    )


def _state(side: Side, older: int) -> str:
    gone = side.fading + side.lost
    return f"{gone} of {count(older, 'older concept')} fading or lost"


def versus(sides: Sequence[Side], token: str, right: Side, real: Mapping[str, Path]) -> str:
    """Rows = concepts; for each method the picture as learned and the one of the same seed now.

    token, right: the concept and the other side that are looked at closely; another is a click on its name.
    real: by token, a picture it was learned from, which stands below the name.
    """
    heads = "".join(
        f'<th colspan="2" scope="colgroup">{_side_button(side, side is right) if number and len(sides) > 2 else escape(side.title)}'
        "</th>"
        for number, side in enumerate(sides)
    )
    newest = len(right.timeline.cards)
    words = '<th scope="col" class="cl-first">as learned</th><th scope="col">now, same seed</th>' * len(sides)
    rows = "".join(
        f'<tr{" aria-selected=true" if cards[0].token == token else ""}><th scope="row">'
        f"{_look_button('token', cards[0].token, cards[0].name)}{_real(real.get(cards[0].token), cards[0].name)}</th>{''.join(_pair(card, newest) for card in cards)}</tr>"
        for cards in zip(*(side.timeline.cards for side in sides), strict=True)
    )
    return (
        f'<div class="cl-versus{" cl-many" if len(sides) > 2 else ""}" style="--sides:{len(sides)}"><table><thead><tr><td></td>{heads}</tr><tr><td></td>{words}</tr>'
        f"</thead><tbody>{rows}</tbody></table></div>"
    )


def _real(path: Path | None, name: str) -> str:
    small = _small(path) if path else ""
    return f'<img src="{small}" alt="{escape(name)}, a real picture"><small>real</small>' if small else ""


@lru_cache(256)
def _small(path: Path) -> str:
    """As a data URL, for these pictures may be large, and do not change; "" for one that cannot be read any more."""
    image = open_pictures([path], 1)[0].image
    return thumbnail(image) if image else ""


def _side_button(side: Side, looked_at: bool) -> str:
    button = _look_button("right", side.timeline.id, side.title)
    return f"<mark>{button}</mark>" if looked_at else button


def _look_button(act: str, value: str, name: str) -> str:
    return (
        f'<button type="button" class="cl-link" data-act="{act}" data-value="{escape(value)}" '
        f'title="Look closer at {escape(name)}">{escape(name)}</button>'
    )


def _pair(card: Card, newest: int) -> str:
    badge = health_badge(card.changed) if card.index < newest else ""  # the newest cannot have faded yet
    return (
        f"<td class=cl-first>{image(card.learned_picture, f'{card.name} as learned')}</td>"
        f"<td>{image(card.now_picture, f'{card.name} now')}{badge}</td>"
    )


def maps(sides: Sequence[Side]) -> str:
    """Every side's forgetting map."""
    parts = "".join(
        f"<section><h3>{escape(side.title)}</h3>{forgetting_map(side.timeline, side.changes)}</section>"
        for side in sides
    )
    return f'<div class="cl-maps">{parts}</div>'


def measures(sides: Sequence[Side], right: Side, name: str) -> str:
    """What the slider above shows, then the figures of every side, the best marked where they differ."""
    shown = f"{name} now: {sides[0].title} on the left, {right.title} on the right. Pull the line."
    rows = []
    for words, figure, text, better in MEASURES:
        values = [figure(side) for side in sides]
        pick = {"more": max, "less": min}.get(better)
        known = {value for value in values if value == value}  # NaN: not measured
        best = pick(known) if pick and len(known) > 1 else None
        cells = "".join(
            f"<td{' class=cl-best' if value == best else ''}>"
            f"{'&ndash;' if value != value else escape(text(value))}</td>"
            for value in values
        )
        hint = f" <small>{better} is better</small>" if better else ""
        rows.append(f'<tr><th scope="row">{escape(words)}{hint}</th>{cells}</tr>')
    heads = "".join(f'<th scope="col">{escape(side.title)}</th>' for side in sides)
    return (
        f'<p class="cl-quiet">{escape(shown)}</p><div class="cl-scroll"><table class="cl-measures"><thead><tr><td></td>{heads}'
        f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


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
