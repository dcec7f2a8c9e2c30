"""HTML of the tab *Add concept*."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from clora_core.data.pictures import MAX_PICTURES, MIN_PICTURES
from demo.html.render import render

if TYPE_CHECKING:
    from clora_core.answers import Sample, TimelineView
    from clora_core.data.pictures import CheckedPicture


def samples(items: Sequence[Sample], taken: Iterable[str] = ()) -> str:
    """A button for each sample person: first picture and name; those already learned carry a tick."""
    return render("samples", samples=items, taken={token.lower() for token in taken}) if items else ""


def checked_pictures(items: Sequence[CheckedPicture]) -> str:
    """Thumbnails with what was found beside each, a button to take each out, and whether the number will do."""
    if not items:
        return ""
    good = sum(item.problem is None for item in items)
    too_few = max(0, MIN_PICTURES - good)
    return render("checked_pictures", items=items, good=good, left_out=len(items) - good, too_few=too_few)


def coming(timeline: TimelineView, protected: bool, draws: str) -> str:
    """Beside the form: what will happen, in three sentences, with this timeline's people in it."""
    return render(
        "coming",
        timeline=timeline,
        place=len(timeline.cards) + 1,
        penalised=protected,
        draws=draws,
        fewest=MIN_PICTURES,
        most=MAX_PICTURES,
    )
