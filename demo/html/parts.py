"""Pure functions from the door's values to HTML. No Gradio, no state; every text is escaped here.

Pictures are shown by the address Gradio serves allowed files under, with the file's age in it, so that
a redrawn picture is fetched again and an unchanged one is not.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from clora_core.settings.learning import TrainConfig

if TYPE_CHECKING:
    from PIL import Image


THUMBNAIL_PX = 160


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
    return "<dl>" + "".join(f"<dt>{escape(str(k))}</dt><dd>{escape(_plain(v))}</dd>" for k, v in rows) + "</dl>"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


# ------------------------------------------------------------------------------------ Add concept


def say(text: str, tone: str = "good") -> str:
    """One line under a field: tone "good", "bad" or "quiet"; nothing for an empty text."""
    return f'<p class="cl-say cl-{tone}" role="status">{escape(text)}</p>' if text else ""


def step(title: str, hint: str) -> str:
    """A heading inside the form."""
    return f'<div class="cl-step"><h3>{escape(title)}</h3><span>{escape(hint)}</span></div>'


# --------------------------------------------------------------------------------------- Timeline


# ----------------------------------------------------------------------------------------- header


def model_state(name: str, ready: bool, problem: str) -> str:
    """A quiet pill in the header: which model, and whether it stands in memory."""
    tone, words = ("bad", problem) if problem else ("good", "ready") if ready else ("wait", "loading")
    return f'<p class="cl-model cl-{tone}" role="status"><i></i><b>{escape(name)}</b> <span>{escape(words)}</span></p>'
