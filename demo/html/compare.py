"""Methods side by side as HTML: the headline, the pictures, the measures. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from markupsafe import Markup

from clora_core.answers import fair
from clora_core.data.pictures import open_pictures
from clora_core.settings.learning import ASIDE
from clora_core.verdict import HARDLY, PLAINLY
from demo.html.parts import empty, setting_rows
from demo.html.render import render
from demo.html.timeline import forgetting_map
from demo.html.words import duration, percent, thumbnail

if TYPE_CHECKING:
    from clora_core.answers import Side
    from clora_core.settings.methods import Methods

ALIKE = 0.002  # two average changes this near are the same
AS_LIKE = 0.03  # two average likenesses this near are no difference: other seeds move them as far
Measure = tuple[str, Callable[["Side"], float], Callable[[float], str], str, float]
MEASURES: tuple[Measure, ...] = (  # words, figure, as text, which is better, how near two are the same
    ("likeness to the real pictures now", lambda s: s.mean_likeness_now, "{:.2f}".format, "more", AS_LIKE),
    ("the same as learned", lambda s: s.mean_likeness_then, "{:.2f}".format, "more", AS_LIKE),
    ("older pictures changed by", lambda s: s.mean_change, percent, "less", ALIKE),
    (f"of them changed by {PLAINLY:.0%} or more", lambda s: s.lost, "{:.0f}".format, "", 0.0),
    (f"of them changed by less than {HARDLY:.0%}", lambda s: s.kept, "{:.0f}".format, "", 0.0),
    ("steps a concept", lambda s: fmean(card.steps for card in s.timeline.cards), "{:.0f}".format, "", 0.0),
    ("learning took", lambda s: s.seconds, duration, "", 0.0),
    ("size on disk", lambda s: s.megabytes, "{:.1f} MB".format, "", 0.0),
)


def nothing_to_compare(method: str) -> Markup:
    """The empty state. method: what it was all learned under; "" for a timeline that is too short."""
    if not method:
        return empty("Nothing to compare yet", "A comparison needs a timeline of two concepts or more.")
    return empty(
        f"Learned under {method} only",
        "Learn the same concepts again under another method, in a new timeline, in the same order with the same seeds. "
        "Then both stand here side by side.",
    )


def headline(sides: Sequence[Side], later: Sequence[str] = ()) -> Markup:
    """Under which side older pictures changed more and which looks more like the real ones, in two sentences, and what
    was taught. Of sides that learned with unequal effort none is called better. later: names of what only the first
    side learned since."""
    missing = [side.title for side in sides if math.isnan(side.mean_change)]
    better, *_, worse = sorted(sides, key=lambda side: side.mean_change)
    outcomes = (
        ("unknown", bool(missing)),
        ("unfair", not fair(sides)),
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
        alike=_alike(sides),
        nearest=_nearest(sides),
        names=[card.name for card in better.timeline.cards],
        pictures="same" if noted else "as many",
        later=later,
    )


def _alike(sides: Sequence[Side]) -> list[tuple[str, float]]:
    """Each side's title and likeness, the nearest to the real pictures first; [] where one is not known."""
    found = [(side.title, side.mean_likeness_now) for side in sides]
    return [] if any(math.isnan(now) for _, now in found) else sorted(found, key=lambda pair: -pair[1])


def _nearest(sides: Sequence[Side]) -> str:
    """The title of the side that looks most like the real pictures; "" where the next one is as near."""
    ranked = _alike(sides)
    return ranked[0][0] if ranked and ranked[0][1] - ranked[1][1] >= AS_LIKE else ""


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


def measures(sides: Sequence[Side], right: Side, name: str, methods: Methods) -> Markup:
    """What the slider above shows, then the figures of every side, the best marked where they differ and were learned
    with the same effort; then the settings in which the sides differ."""
    rows = []
    for words, figure, text, better, near in MEASURES:
        values = [figure(side) for side in sides]
        pick = {"more": max, "less": min}.get(better)
        known = {value for value in values if not math.isnan(value)}
        if not known and better:  # likeness is not known of every model
            continue
        best = pick(known) if pick and known and max(known) - min(known) > near and fair(sides) else None
        rows.append((words, better, [("–" if math.isnan(v) else text(v), v == best) for v in values]))
    return render("measures", sides=sides, right=right, name=name, rows=rows, settings=_settings(sides, methods))


def _settings(sides: Sequence[Side], methods: Methods) -> list[tuple[str, list[str]]]:
    """By label, what each side's first concept was taught with, where that differs; "–" for what a method does not
    read."""
    settings = [side.timeline.cards[0].settings for side in sides]
    told = [dict(setting_rows({k: v for k, v in own.items() if k not in ASIDE}, methods)) for own in settings]
    labels = dict.fromkeys(label for own in told for label in own)
    rows = [(label, [own.get(label, "–") for own in told]) for label in labels if label != "Method"]
    return [(label, values) for label, values in rows if len(set(values)) > 1]


def progress(learned: int, total: int) -> str:
    """How far the comparison that is being learned is."""
    return render("compare_progress", learned=learned, total=total) if total else ""


def missing(names: Sequence[str]) -> str:
    """Which concepts need their pictures again."""
    return render("missing_pictures", names=names) if names else ""
