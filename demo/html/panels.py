"""HTML of the panels that the header opens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from demo.html.render import render

if TYPE_CHECKING:
    from clora_core.answers import DiskUse

FIRST_STEPS = (
    ("Pick a person", "Open Add concept, click a sample person, and press Start.", "add"),
    ("Let it learn", "It takes a minute or two. Watch the previews.", "add"),
    ("Draw it", "Open the Playground and press Draw.", "playground"),
    ("Teach a second one", "Open Add concept again, with another sample person.", "add"),
    ("See what changed", "The Timeline shows the first one then and now.", "timeline"),
)
"""Of the guided first run: (title, what to do, the tab where it is done)."""


def opening(name: str, seconds: float, downloaded: int) -> Markup:
    """How far a model is that is being opened. seconds: since it was asked for.  downloaded: bytes from the Hub."""
    return render("opening", name=name, seconds=seconds, megabytes=downloaded / 1e6)


def disk_use(home: str, kinds: Sequence[DiskUse], deleted: int) -> Markup:
    """What lies in the home folder, kind by kind. deleted: how many things are in the trash."""
    return render("disk_use", home=home, kinds=kinds, total=sum(kind.size for kind in kinds), deleted=deleted)


def preferred(settings: Sequence[tuple[str, str, str]]) -> Markup:
    """The defaults that differ from the model's own: (setting, value, its own)."""
    return render("preferred", settings=settings)


def help_page(version: str) -> Markup:
    """The words of the app, how forgetting is measured, the keys, where to read on."""
    return render("help", version=version)


def first_run(done: int) -> Markup:
    """The guided first run. done: how many of ``FIRST_STEPS`` are."""
    return render("first_run", steps=FIRST_STEPS, done=done)
