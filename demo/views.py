"""Pure functions from the door's values to HTML. No Gradio, no state; every text is escaped here.

Pictures are shown by the address Gradio serves allowed files under, with the file's age in it, so that
a redrawn picture is fetched again and an unchanged one is not.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from clora_core.pictures import MAX_PICTURES, MIN_PICTURES
from clora_core.settings import PENALISED, TrainConfig
from clora_core.views import count, health

if TYPE_CHECKING:
    from PIL import Image

    from clora_core.pictures import CheckedPicture
    from clora_core.views import Card, Sample, TimelineView

THUMBNAIL_PX = 160
MAP_TOP = 0.8  # a change from which on the forgetting map's colour is full: another picture altogether
WHITE_ON = 0.87  # share of that colour from which on white figures are read better than dark ones


# ------------------------------------------------------------------------------------- small words


def picture_url(path: Path) -> str:
    """Address of a picture under an allowed folder, relative to the page (works behind a proxy path)."""
    try:
        age = path.stat().st_mtime_ns
    except OSError:
        age = 0
    return f"gradio_api/file={quote(str(path))}?v={age}"


def duration(seconds: float) -> str:
    """9.4 -> "9 s", 75 -> "1 min 15 s", 4000 -> "1 h 7 min"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def ago(created: str, now: datetime | None = None) -> str:
    """An ISO time as people say it: "just now", "5 min ago", "3 h ago", "yesterday", "14 Nov 2025"."""
    try:
        then = datetime.fromisoformat(created)
    except ValueError:
        return created
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    passed = ((now or datetime.now(UTC)) - then).total_seconds()
    if passed < 60:
        return "just now"
    if passed < 3600:
        return f"{int(passed // 60)} min ago"
    if passed < 86_400:
        return f"{int(passed // 3600)} h ago"
    if passed < 2 * 86_400:
        return "yesterday"
    return f"{then.day} {then:%b %Y}"


def image(path: Path | None, alt: str, missing: str = "not drawn yet") -> str:
    """An <img>, or a quiet box of the same size with words in it."""
    if path is None:
        return f'<span class="cl-nopicture">{escape(missing)}</span>'
    return f'<img src="{escape(picture_url(path))}" alt="{escape(alt)}" loading="lazy">'


def thumbnail(picture: Image.Image) -> str:
    """A picture as a data URL, at most THUMBNAIL_PX wide: what will be learned from, upright and on white."""
    small = picture.copy()
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    data = io.BytesIO()
    small.save(data, "WEBP", quality=90)
    return "data:image/webp;base64," + base64.b64encode(data.getvalue()).decode()


def empty(title: str, text: str) -> str:
    """An empty state: what is missing and what to do."""
    return f'<div class="cl-empty"><b>{escape(title)}</b><p>{escape(text)}</p></div>'


def settings_list(settings: Mapping[str, Any]) -> str:
    """Training settings by their labels, in the order of ``TrainConfig``."""
    labels = {spec.name: spec.metadata.get("label", spec.name) for spec in fields(TrainConfig)}
    rows = [(labels[name], settings[name]) for name in labels if name in settings]
    return (
        "<dl>" + "".join(f"<dt>{escape(str(k))}</dt><dd>{escape(_plain(v))}</dd>" for k, v in rows) + "</dl>"
    )


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


# ------------------------------------------------------------------------------------ Add concept


def samples(items: Sequence[Sample], taken: Iterable[str] = ()) -> str:
    """A button for each sample person: first picture and name; those already learned carry a tick."""
    if not items:
        return ""
    known = {token.lower() for token in taken}
    buttons = []
    for sample in items:
        learned = sample.token.lower() in known
        note = " (already learned)" if learned else ""
        buttons.append(
            f'<button type="button" class="cl-sample{" cl-known" if learned else ""}" data-act="sample" '
            f'data-value="{escape(sample.token)}" aria-label="Use the sample {escape(sample.name)}{note}">'
            f"{image(sample.pictures[0] if sample.pictures else None, '')}"
            f"<span>{escape(sample.name)}</span></button>"
        )
    return f'<div class="cl-samples" role="group" aria-label="Sample people">{"".join(buttons)}</div>'


def checked_pictures(items: Sequence[CheckedPicture]) -> str:
    """Thumbnails with what was found beside each, a button to take each out, and whether the number will do."""
    if not items:
        return ""
    good = sum(item.problem is None for item in items)
    if good < MIN_PICTURES:
        state, words = "bad", f"{count(good, 'usable picture')}: add at least {MIN_PICTURES - good} more."
    else:
        state, words = "good", f"{count(good, 'picture')} ready."
    left_out = len(items) - good
    if left_out:
        words += f" {left_out} left out."
    cells = "".join(_checked(i, item) for i, item in enumerate(items))
    return (
        f'<div class="cl-checked"><p class="cl-say cl-{state}" role="status">{escape(words)} '
        f'<button type="button" class="cl-link" data-act="clear">Remove all</button></p><ul>{cells}</ul></div>'
    )


def _checked(index: int, item: CheckedPicture) -> str:
    name = escape(item.path.name)
    shown = (
        f'<img src="{thumbnail(item.image)}" alt="{name}">'
        if item.image
        else '<span class="cl-nopicture">?</span>'
    )
    if item.problem:
        note = f'<span class="cl-note cl-bad">{escape(item.problem)}</span>'
    elif item.note:
        note = f'<span class="cl-note">{escape(item.note)}</span>'
    else:
        note = ""
    return (
        f'<li class="{"cl-refused" if item.problem else ""}">{shown}'
        f'<button type="button" class="cl-remove" data-act="remove" data-value="{index}" '
        f'aria-label="Remove {name}" title="Remove {name}">&times;</button>'
        f'<span class="cl-file" title="{name}">{name}</span>{note}</li>'
    )


def say(text: str, tone: str = "good") -> str:
    """One line under a field: tone "good", "bad" or "quiet"; nothing for an empty text."""
    return f'<p class="cl-say cl-{tone}" role="status">{escape(text)}</p>' if text else ""


def step(title: str, hint: str) -> str:
    """A heading inside the form."""
    return f'<div class="cl-step"><h3>{escape(title)}</h3><span>{escape(hint)}</span></div>'


def coming(timeline: TimelineView) -> str:
    """Beside the form: what will happen, in three sentences, with this timeline's people in it."""
    place = len(timeline.cards) + 1
    if timeline.cards:
        faces = "".join(image(c.now_picture or c.learned_picture, c.name) for c in timeline.cards[-6:])
        older = f"{count(len(timeline.cards), 'concept')} already here"
        older += " will be protected while it learns." if timeline.method in PENALISED else "."
        guard = f'<div class="cl-faces" aria-hidden="true">{faces}<span class="cl-next">{place}</span></div>'
    else:
        older, guard = "This timeline is empty: it will be the first.", ""
    return (
        f'<div class="cl-coming"><h3>Concept {place} of &ldquo;{escape(timeline.name)}&rdquo;</h3>{guard}'
        f"<ol><li><b>Show</b> {MIN_PICTURES} to {MAX_PICTURES} pictures of one person or thing. {escape(older)}</li>"
        "<li><b>Watch</b> it take shape. The older ones are drawn again as it learns, so you see whether they stay.</li>"
        "<li><b>Draw</b> it in the Playground, by its token, alone or with the others.</li></ol>"
        '<p class="cl-quiet">Your pictures go to the computer that runs this page and nowhere else. They are deleted within '
        "a day, or when an interrupted lesson ends, unless you tick the box under Advanced. What is learned and drawn is seen "
        "by whoever opens this page.</p></div>"
    )


# --------------------------------------------------------------------------------------- Timeline


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
    rest = (
        f"{count(left, 'concept')} stay" + ("s" if left == 1 else "")
        if left
        else "The timeline is then empty"
    )
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
    told = "lines and shapes of its picture of the same seed have changed by this much since it was learned (not colours)"
    return f'<span class="cl-health cl-{HEALTH_TONES[word]}" title="{told}"><span>{word}</span> <span>{changed:.1%}</span></span>'


def forgetting_map(timeline: TimelineView, rows: Sequence[Sequence[float | None]]) -> str:
    """Heat map concept x time: how much each picture has changed since its concept was learned."""
    if len(rows) < 2:
        return ""
    heads = "".join(
        f'<th scope="col" title="after {escape(c.name)} was learned">{_cell(str(c.index))}</th>'
        for c in timeline.cards
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


# ----------------------------------------------------------------------------------------- header


def model_state(name: str, ready: bool, problem: str) -> str:
    """A quiet pill in the header: which model, and whether it stands in memory."""
    tone, words = ("bad", problem) if problem else ("good", "ready") if ready else ("wait", "loading")
    return f'<p class="cl-model cl-{tone}" role="status"><i></i><b>{escape(name)}</b> <span>{escape(words)}</span></p>'
