"""HTML of the tab *Timeline*."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from demo.html.parts import empty, setting_rows
from demo.html.render import render

if TYPE_CHECKING:
    from clora_core.answers import Card, TimelineView
    from clora_core.settings.methods import Methods


MAP_TOP = 0.8  # a change from which on the forgetting map's colour is full: another picture altogether
WHITE_ON = 0.87  # share of that colour from which on white figures are read better than dark ones

Cell = tuple["Card", float | None, float, bool]
"""After which concept; how much had changed, None = not yet learned or not known; share of the full colour; whether
white figures are read better on it."""


def cards(timeline: TimelineView, curves: Mapping[str, Markup], methods: Methods) -> Markup:
    """The learned concepts in order of arrival, then the redo shelf in grey. ``curves``: by concept id, as HTML."""
    if not timeline.cards and not timeline.undone:
        return empty(
            "Nothing learned yet",
            "Open Add concept, pick a sample person or drop your own pictures, "
            "and press Start. The first card appears here.",
        )
    settings = {card.id: setting_rows(card.settings, methods) for card in timeline.cards}
    return render("cards", cards=timeline.cards, undone=timeline.undone, curves=curves, settings=settings)


def undo_question(name: str, left: int) -> Markup:
    """What undo does, before it is done. left: how many concepts stay."""
    return render("undo_question", name=name, left=left)


def new_title() -> Markup:
    """Above the name of a new timeline."""
    return render("new_title")


def branch_title(timeline: TimelineView, place: int) -> Markup:
    """Above the name of a branch."""
    return render("branch_title", name=timeline.cards[place - 1].name, place=place)


def forgetting_map(timeline: TimelineView, rows: Sequence[Sequence[float | None]]) -> str:
    """Heat map concept x time: how much each picture has changed since its concept was learned."""
    if len(rows) < 2:
        return ""
    cells = [
        (card, [_cell(row, place, later) for row, later in zip(rows, timeline.cards, strict=True)])
        for place, card in enumerate(timeline.cards)
    ]
    return render("forgetting_map", cards=timeline.cards, rows=cells)


def _cell(row: Sequence[float | None], place: int, later: Card) -> Cell:
    """How concept ``place`` was once ``later`` had been learned, whose row this is."""
    changed = row[place] if place < len(row) else None
    heat = min(1.0, (changed or 0.0) / MAP_TOP)
    return later, changed, heat, heat > WHITE_ON
