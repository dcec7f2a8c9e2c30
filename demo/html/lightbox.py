"""A picture, large, as HTML: the view, what made it, what can be done with it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from demo.html.render import render

FACTS = (  # of what made a picture, and how it is called
    ("seed", "Seed"),
    ("steps", "Steps"),
    ("sampler", "Sampler"),
    ("guidance_scale", "Guidance"),
    ("as_of", "As of"),
    ("timeline", "Timeline"),
    ("model", "Model"),
)


def view() -> Markup:
    """The picture and its buttons; what they do stands in ``lightbox.js``."""
    return render("lightbox")


def looked(path: Path, settings: Mapping[str, Any], favourite: bool | None, timelines: Mapping[str, str]) -> Markup:
    """What made the picture. favourite: None = it cannot be one.  timelines: their names by id."""
    told = {**settings, "timeline": timelines.get(settings.get("timeline", ""), settings.get("timeline"))}
    facts = [(label, told[key]) for key, label in FACTS if told.get(key) not in (None, "")]
    if settings.get("width") and settings.get("height"):
        facts.append(("Size", f"{settings['width']} x {settings['height']}"))
    return render("looked", path=path, settings=settings, facts=facts, favourite=favourite)


def deleted(item: str) -> Markup:
    """The picture was deleted, and the way back. item: its id in the trash."""
    return render("looked_deleted", item=item)
