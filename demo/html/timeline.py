"""HTML of the tab *Timeline*."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from clora_core.answers import what_is_left
from demo.html.parts import empty, setting_rows
from demo.html.render import render

if TYPE_CHECKING:
    from clora_core.answers import Card, TimelineView, Trashed
    from clora_core.concepts import Brought
    from clora_core.settings.learning import TrainConfig
    from clora_core.settings.methods import Methods


MAP_TOP = 0.8  # a change from which on the forgetting map's colour is full: another picture altogether
WHITE_ON = 0.87  # share of that colour from which on white figures are read better than dark ones

Cell = tuple["Card", float | None, float, bool]
"""After which concept; how much had changed, None = not yet learned or not known; share of the full colour; whether
white figures are read better on it."""


SHORT = ("steps", "learning_rate", "rank", "seed")  # said of every concept, where its method reads them


def title(timeline: TimelineView, method: str) -> Markup:
    """Name, how much was learned, and with which method."""
    return render("timeline_title", timeline=timeline, method=method, seconds=sum(c.seconds for c in timeline.cards))


def cards(
    timeline: TimelineView, curves: Mapping[str, Markup], methods: Methods, preset: TrainConfig | None = None
) -> Markup:
    """The learned concepts in order of arrival, then the redo shelf in grey.

    curves: by concept id, as HTML.  preset: what a concept is learned with where nobody changes anything.
    """
    if not timeline.cards and not timeline.undone:
        return empty(
            "Nothing learned yet",
            "Open Add concept, pick a sample person or drop your own pictures, "
            "and press Start. The first card appears here.",
        )
    settings = {
        card.id: _origin(card.brought) if card.brought else _details(card, methods, preset) for card in timeline.cards
    }
    return render("cards", cards=timeline.cards, undone=timeline.undone, curves=curves, settings=settings)


def _details(card: Card, methods: Methods, preset: TrainConfig | None) -> list[tuple[str, list[tuple[str, str]]]]:
    """Groups of (label, value): what is asked first, what somebody changed, and the rest."""
    rows = setting_rows(card.settings, methods)
    usual = preset.to_json() if preset else card.settings
    changed = [name for name, value in card.settings.items() if name in usual and usual[name] != value]
    short = setting_rows({name: card.settings[name] for name in ("method", *SHORT) if name in card.settings}, methods)
    other = setting_rows({"method": card.settings.get("method", ""), **{n: card.settings[n] for n in changed}}, methods)
    other = [row for row in other if row not in short]
    return [
        ("", short),
        ("Other than the preset", other),
        ("All the rest", [r for r in rows if r not in short + other]),
    ]


def _origin(brought: Brought) -> list[tuple[str, list[tuple[str, str]]]]:
    """Where a concept is from, in place of settings it was not learned with."""
    rows = [(name, f"sha256 {digest[:12]}") for name, digest in brought.files.items()]
    rows += [("Its token means", brought.word)] if brought.word else []
    rows += [("Left out", what_is_left(brought.left_out))] if brought.left_out else []
    return [("", rows)]


def undo_question(name: str, left: int) -> Markup:
    """What undo does, before it is done. left: how many concepts stay."""
    return render("undo_question", name=name, left=left)


def new_title() -> Markup:
    """Above the name of a new timeline."""
    return render("new_title")


def rename_title(name: str, token: str) -> Markup:
    """Above the other name. token: of a concept; "" = it is a timeline."""
    return render("rename_title", name=name, token=token)


def stands_title(timeline: TimelineView, card: Card, method: str) -> Markup:
    """Why a concept cannot leave, and what can be done: above the name of a branch."""
    before, later = timeline.cards[: card.index - 1], timeline.cards[card.index :]
    return render(
        "stands_title", card=card, before=[c.name for c in before], later=[c.name for c in later], method=method
    )


def deleted(name: str, item: str) -> Markup:
    """What was deleted, and the way back. item: its id in the trash; "" = it was undone."""
    return render("deleted", name=name, item=item)


def trash(items: Sequence[Trashed]) -> Markup:
    """What was deleted, each with the way back."""
    return render("trash", items=items)


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
