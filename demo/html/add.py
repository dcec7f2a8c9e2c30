"""HTML of the tab *Add concept*."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from clora_core.answers import count
from clora_core.data.pictures import MAX_PICTURES, MIN_PICTURES
from clora_core.settings.methods import PENALISED
from demo.html.parts import image, thumbnail

if TYPE_CHECKING:
    from clora_core.answers import Sample, TimelineView
    from clora_core.data.pictures import CheckedPicture


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
    shown = f'<img src="{thumbnail(item.image)}" alt="{name}">' if item.image else '<span class="cl-nopicture">?</span>'
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
