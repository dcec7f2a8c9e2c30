"""HTML of the tab *Add concept*."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from clora_core.answers import count
from clora_core.concepts import Concept
from clora_core.data.pictures import MAX_PICTURES, MIN_PICTURES, opens_heic
from demo.html import parts, words
from demo.html.render import render
from demo.uploads import FORM_TYPES, LARGEST_UPLOAD

if TYPE_CHECKING:
    from clora_core.answers import Estimate, Sample, TimelineView
    from clora_core.data.edited import Edit
    from clora_core.data.pictures import CheckedPicture

SQUARE_TO = 1.1  # times its shorter side: up to there a picture is taken for a square
EDIT_SIDE = 900  # pixels of the picture in the editor, its longer side


def samples(items: Sequence[Sample], taken: Iterable[str] = ()) -> str:
    """A button for each sample person: first picture and name; those already learned carry a tick."""
    return render("samples", samples=items, taken={token.lower() for token in taken}) if items else ""


def drop_zone() -> str:
    """Where pictures, folders and zips are dropped or chosen; what happens then is in ``drop.js``."""
    return render("drop", kinds=FORM_TYPES, most_bytes=LARGEST_UPLOAD, heic=opens_heic())


def checked_pictures(items: Sequence[CheckedPicture], warnings: Sequence[str] = (), notes: Sequence[str] = ()) -> str:
    """Thumbnails with what was found beside each, buttons to edit and to take out each, and whether the number will do.

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
    return [f"{which} middle is learned, and in some copies another part. Edit shows it, and lets you choose."]


def missing(good: int, name: str, token: str, problem: str = "") -> str:
    """What is missing before Start can be pressed; "" when nothing is. good: how many pictures can be used.

    problem: what is wrong with the token.
    """
    wanted = []
    if good < MIN_PICTURES:
        wanted.append(count(MIN_PICTURES - good, "picture" if not good else "more picture"))
    if not name:
        wanted.append("a name")
    elif not token:
        wanted.append("a token")
    if wanted:
        return parts.say(f"Still missing: {' and '.join(wanted)}.", "quiet")
    return parts.say(problem, "bad")


def estimate(found: Estimate, steps: int) -> str:
    """What the lesson will take, in a sentence."""
    exact = max(1.0, found.seconds)
    seconds = round(exact, -1) if exact > 60 else 5 * math.ceil(exact / 5)
    lasts, fit = words.duration(seconds), found.fit
    measured = f"{found.megabytes / 1000:.1f}" if found.megabytes else ""
    memory = f"It takes up to {measured} GB of memory." if measured else ""
    if fit and fit.fits and measured:
        memory = f"{fit.verdict}: it takes up to {measured} of {fit.room / 1e9:.1f} GB of memory."
    elif fit:
        memory = fit.words()
    said = f"About {lasts} on this machine: {count(steps, 'step')}, previews and checks. {memory}"
    return parts.say(said.rstrip(), "quiet" if fit is None or fit.fits else "warn")


def edit_picture(
    place: int, whole: CheckedPicture, edit: Edit, smallest: float, side: int, token: str, problem: str = ""
) -> str:
    """The dialog in which a picture is cut, masked and described; what happens in it is in ``edit_picture.js``.

    place: its place in the form.  smallest: share of its shorter side that a part must have.  side: in pixels, at which
    it is learned.  problem: why what was chosen is refused.
    """
    assert whole.image
    mask = f"data:image/png;base64,{base64.b64encode(edit.mask).decode()}" if edit.mask else ""
    return render(
        "edit_picture",
        place=place,
        name=whole.name,
        picture=words.thumbnail(whole.image, EDIT_SIDE),
        box=edit.box,
        smallest=smallest,
        mask=mask,
        caption=edit.caption,
        template=Concept.template,
        token=token,
        side=side,
        problem=problem,
    )


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
