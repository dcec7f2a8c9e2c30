"""HTML of the tab *Timeline*."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from clora_core.answers import count, health
from demo.html.parts import ago, duration, empty, image, settings_list

if TYPE_CHECKING:
    from clora_core.answers import Card, TimelineView


MAP_TOP = 0.8  # a change from which on the forgetting map's colour is full: another picture altogether
WHITE_ON = 0.87  # share of that colour from which on white figures are read better than dark ones


def cards(timeline: TimelineView, curves: Mapping[str, str]) -> str:
    """The learned concepts in order of arrival, then the redo shelf in grey. ``curves``: by concept id, as HTML."""
    if not timeline.cards and not timeline.undone:
        return empty(
            "Nothing learned yet",
            "Open Add concept, pick a sample person or drop your own pictures, "
            "and press Start. The first card appears here.",
        )
    newest = len(timeline.cards)
    learned = "".join(
        _card(card, health_badge(card.changed) if card.index < newest else "", curves.get(card.id, ""))
        for card in timeline.cards
    )
    shelf = ""
    if timeline.undone:
        ghosts = "".join(
            f"<li>{image(c.learned_picture, '')}<span>{escape(c.name)} <code>{escape(c.token)}</code></span></li>"
            for c in timeline.undone
        )
        shelf = f'<div class="cl-shelf"><h3>Undone, ready to come back</h3><ul>{ghosts}</ul></div>'
    return f'<div class="cl-cards">{learned}</div>{shelf}'


def undo_question(name: str, left: int) -> str:
    """What undo does, before it is done."""
    rest = f"{count(left, 'concept')} stay" + ("s" if left == 1 else "") if left else "The timeline is then empty"
    return (
        f"<p><b>Undo {escape(name)}?</b> The model goes back to how it was before. {rest}. "
        f"{escape(name)} waits on the shelf, and Redo brings it back, until you teach something else.</p>"
    )


def new_title() -> str:
    """Above the name of a new timeline."""
    return "<p><b>New timeline</b> It starts from the base model, with nothing learned.</p>"


def branch_title(timeline: TimelineView, place: int) -> str:
    """Above the name of a branch."""
    name = escape(timeline.cards[place - 1].name)
    return f"<p><b>Branch from {name}</b> A new timeline with the first {count(place, 'concept')}; this one stays as it is.</p>"


HEALTH_TONES = {"as good as new": "good", "fading": "wait", "lost": "bad"}


def health_badge(changed: float | None) -> str:
    """How the concept is, with the figure behind it."""
    if changed is None:
        return ""
    word = health(changed)
    told = (
        "lines and shapes of its picture of the same seed have changed by this much since it was learned (not colours)"
    )
    return f'<span class="cl-health cl-{HEALTH_TONES[word]}" title="{told}"><span>{word}</span> <span>{changed:.1%}</span></span>'


def forgetting_map(timeline: TimelineView, rows: Sequence[Sequence[float | None]]) -> str:
    """Heat map concept x time: how much each picture has changed since its concept was learned."""
    if len(rows) < 2:
        return ""
    heads = "".join(
        f'<th scope="col" title="after {escape(c.name)} was learned">{_cell(str(c.index))}</th>' for c in timeline.cards
    )
    body = "".join(
        f'<tr><th scope="row" title="{escape(card.name)}">{escape(card.name)}</th>'
        + "".join(
            _heat(row[j] if j < len(row) else None, card, later)
            for row, later in zip(rows, timeline.cards, strict=True)
        )
        + "</tr>"
        for j, card in enumerate(timeline.cards)
    )
    return (
        f'<figure class="cl-map" style="--across:{len(rows)}"><figcaption><b>Forgetting map</b> <span>How much each '
        "picture of the same seed has changed in lines and shapes since its concept was learned: the stronger the colour, "
        'the more.</span></figcaption><table><thead><tr><th scope="col"><small>after concept</small></th>'
        f"{heads}</tr></thead><tbody>{body}</tbody></table></figure>"
    )


def _heat(changed: float | None, card: Card, later: Card) -> str:
    if later.index < card.index or changed is None:
        return '<td class="cl-none"></td>'
    if later.index == card.index:
        return f'<td class="cl-new" title="{escape(card.name)} was learned here">{_cell("new")}</td>'
    share = min(1.0, changed / MAP_TOP)
    tone = "cl-dark" if share > WHITE_ON else ""
    return (
        f'<td class="{tone}" style="--heat:{share:.3f}" title="{escape(card.name)} after {escape(later.name)}: '
        f'{changed:.1%}">{_cell(f"{changed:.1%}")}</td>'
    )


def _cell(text: str) -> str:
    """What a cell says where it is wide enough; the style sheet hides it where it is not."""
    return f"<span><i>{text}</i></span>"


def _card(card: Card, badge: str, curves: str) -> str:
    name, token = escape(card.name), escape(card.token)
    return (
        f'<article class="cl-card"><button type="button" class="cl-card-main" data-act="use" data-value="{token}" '
        f'aria-label="Draw {name} in the Playground" title="Draw {name} in the Playground">'
        f'<span class="cl-card-title"><i>{card.index}</i><b>{name}</b><code>{token}</code></span>'
        f'<span class="cl-pair"><span class="cl-shot">{image(card.learned_picture, f"{card.name} as learned")}'
        f'<small>as learned</small></span><span class="cl-shot">{image(card.now_picture, f"{card.name} now")}'
        f"<small>now, same seed</small>{badge}</span></span></button>"
        f'<p class="cl-meta"><time datetime="{escape(card.created)}" title="{escape(card.created)}">'
        f"{escape(ago(card.created))}</time> &middot; took {duration(card.seconds)} &middot; "
        f"{count(card.picture_count, 'picture')}</p>"
        f"<details><summary>{card.steps} steps, rank {card.rank}</summary>{curves}{settings_list(card.settings)}</details>"
        f'<button type="button" class="cl-link" data-act="branch" data-value="{card.index}">Branch from here</button>'
        "</article>"
    )
