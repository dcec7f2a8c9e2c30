"""Methods side by side as HTML: the headline, the pictures, the measures. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from markupsafe import Markup

from clora_core.answers import HARDLY
from clora_core.data.pictures import open_pictures
from demo.html.parts import empty
from demo.html.render import render
from demo.html.timeline import forgetting_map
from demo.html.words import duration, percent, thumbnail

if TYPE_CHECKING:
    from clora_core.answers import Side

Measure = tuple[str, Callable[["Side"], float], Callable[[float], str], str]
MEASURES: tuple[Measure, ...] = (  # words, figure, as text, which is better
    ("older concepts as good as new", lambda s: s.kept, "{:.0f}".format, "more"),
    ("fading or lost", lambda s: s.fading + s.lost, "{:.0f}".format, "less"),
    ("of them lost", lambda s: s.lost, "{:.0f}".format, "less"),
    ("older pictures changed by, on average", lambda s: s.mean_change, percent, "less"),
    ("steps a concept", lambda s: fmean(card.steps for card in s.timeline.cards), "{:.0f}".format, ""),
    ("learning took", lambda s: s.seconds, duration, ""),
    ("size on disk", lambda s: s.megabytes, "{:.1f} MB".format, ""),
)
ALIKE = 0.002  # two average changes this near are the same


def nothing_to_compare(enough: bool) -> Markup:
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


def headline(sides: Sequence[Side], later: Sequence[str] = ()) -> Markup:
    """Under which side older pictures changed more, in one sentence, and what was taught. Of sides that learned with
    unequal effort none is called better. later: names of what only the first side learned since."""
    missing = [side.title for side in sides if math.isnan(side.mean_change)]
    better, *_, worse = sorted(sides, key=lambda side: side.mean_change)
    outcomes = (
        ("unknown", bool(missing)),
        ("unfair", len({side.effort for side in sides}) > 1),
        ("none", worse.mean_change < HARDLY),
        ("alike", math.isclose(better.mean_change, worse.mean_change, abs_tol=ALIKE)),
    )
    outcome = next((name for name, holds in outcomes if holds), "worse")
    noted = all(card.pictures_sha256 for side in sides for card in side.timeline.cards)
    return render(
        "headline",
        outcome=outcome,
        several=len(sides) > 2,
        missing=missing,
        hardly=HARDLY,
        titles=[side.title for side in sides],
        efforts=[fmean(card.steps for card in side.timeline.cards) for side in sides],
        better=better,
        worse=worse,
        older=len(better.timeline.cards) - 1,
        names=[card.name for card in better.timeline.cards],
        pictures="same" if noted else "as many",
        later=later,
    )


def versus(sides: Sequence[Side], token: str, right: Side, real: Mapping[str, Path]) -> Markup:
    """Rows = concepts; for each method the picture as learned and the one of the same seed now.

    token, right: the concept and the other side that are looked at closely; another is a click on its name.
    real: by token, a picture it was learned from, which stands below the name.
    """
    rows = [
        (cards[0].name, cards[0].token, _small(real[cards[0].token]) if cards[0].token in real else "", cards)
        for cards in zip(*(side.timeline.cards for side in sides), strict=True)
    ]
    return render("versus", sides=sides, token=token, right=right, rows=rows, newest=len(right.timeline.cards))


@lru_cache(256)
def _small(path: Path) -> str:
    """As a data URL, for these pictures may be large, and do not change; "" for one that cannot be read any more."""
    image = open_pictures([path], 1)[0].image
    return thumbnail(image) if image else ""


def maps(sides: Sequence[Side]) -> Markup:
    """Every side's forgetting map."""
    return render("maps", maps=[(side.title, forgetting_map(side.timeline, side.changes)) for side in sides])


def measures(sides: Sequence[Side], right: Side, name: str) -> Markup:
    """What the slider above shows, then the figures of every side, the best marked where they differ."""
    rows = []
    for words, figure, text, better in MEASURES:
        values = [figure(side) for side in sides]
        pick = {"more": max, "less": min}.get(better)
        known = {value for value in values if not math.isnan(value)}
        best = pick(known) if pick and len(known) > 1 else None
        rows.append((words, better, [("–" if math.isnan(v) else text(v), v == best) for v in values]))
    return render("measures", sides=sides, right=right, name=name, rows=rows)


def progress(learned: int, total: int) -> str:
    """How far the comparison that is being learned is."""
    return render("compare_progress", learned=learned, total=total) if total else ""


def missing(names: Sequence[str]) -> str:
    """Which concepts need their pictures again."""
    return render("missing_pictures", names=names) if names else ""
