"""HTML of the tab *Add concept*."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from clora_core.answers import count
from clora_core.data.pictures import MAX_PICTURES, MIN_PICTURES
from demo.html.render import render

if TYPE_CHECKING:
    from clora_core.answers import Sample, TimelineView
    from clora_core.data.pictures import CheckedPicture

SQUARE_TO = 1.1  # times its shorter side: up to there a picture is taken for a square


def samples(items: Sequence[Sample], taken: Iterable[str] = ()) -> str:
    """A button for each sample person: first picture and name; those already learned carry a tick."""
    return render("samples", samples=items, taken={token.lower() for token in taken}) if items else ""


def checked_pictures(items: Sequence[CheckedPicture], warnings: Sequence[str] = (), notes: Sequence[str] = ()) -> str:
    """Thumbnails with what was found beside each, a button to take each out, and whether the number will do.

    warnings, notes: what else is to be said of them, as sentences.
    """
    if not items and not notes:
        return ""
    good = sum(item.problem is None for item in items)
    too_few = max(0, MIN_PICTURES - good)
    said = [*notes, *_of_captions(items), *_of_shapes(items)]
    return render(
        "checked_pictures",
        items=items,
        good=good,
        left_out=len(items) - good,
        too_few=too_few,
        warnings=warnings,
        notes=said,
    )


def _of_captions(items: Iterable[CheckedPicture]) -> list[str]:
    number = sum(bool(item.caption) for item in items)
    if not number:
        return []
    return [f"{count(number, 'caption')} read: each is put after the prompt that all pictures are learned with."]


def _of_shapes(items: Iterable[CheckedPicture]) -> list[str]:
    sizes = [item.image.size for item in items if item.image]
    number = sum(max(size) > SQUARE_TO * min(size) for size in sizes)
    if not number:
        return []
    which = "1 picture is no square: its" if number == 1 else f"{number} pictures are no squares: their"
    return [f"{which} middle is learned, and in some copies another part."]


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
