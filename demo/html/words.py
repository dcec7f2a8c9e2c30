"""Small words of the page: durations, ages, shares, addresses of pictures.

Pictures are shown by the address Gradio serves allowed files under, with the file's age in it, so that
a redrawn picture is fetched again and an unchanged one is not.
"""

from __future__ import annotations

import base64
import io
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from PIL import Image

THUMBNAIL_PX = 160


def picture_url(path: Path) -> str:
    """Address of a picture under an allowed folder, relative to the page (works behind a proxy path)."""
    try:
        age = path.stat().st_mtime_ns
    except OSError:
        age = 0
    return f"gradio_api/file={quote(str(path))}?v={age}"


def thumbnail(picture: Image.Image, px: int = THUMBNAIL_PX) -> str:
    """A picture as a data URL, at most ``px`` wide: what will be learned from, upright and on white."""
    small = picture.copy()
    small.thumbnail((px, px))
    data = io.BytesIO()
    small.save(data, "WEBP", quality=85)
    return "data:image/webp;base64," + base64.b64encode(data.getvalue()).decode()


def small(path: Path, px: int) -> str:
    """A drawn picture as a data URL, at most ``px`` wide; its address where it cannot be opened."""
    try:
        return _small(path, path.stat().st_mtime_ns, px)
    except OSError:
        return picture_url(path)


@lru_cache(512)
def _small(path: Path, age: int, px: int) -> str:
    from PIL import Image

    from clora_core.data.pictures import FORMATS

    with Image.open(path, formats=FORMATS) as picture:
        return thumbnail(picture.convert("RGB"), px)


def duration(seconds: float) -> str:
    """9.4 -> "9 s", 75 -> "1 min 15 s", 4000 -> "1 h 7 min"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def roughly(seconds: float) -> str:
    """How long something will take, no finer than can be told: "less than a minute", "about 4 min", "about 2 h"."""
    minutes = seconds / 60
    if minutes < 1:
        return "less than a minute"
    return f"about {minutes:.0f} min" if minutes < 90 else f"about {minutes / 60:.0f} h"


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


def percent(share: float, digits: int = 1) -> str:
    """0.0523 -> "5.2%"."""
    return f"{share:.{digits}%}"


def size(count: float) -> str:
    """Bytes as people say them: "30 kB", "0.4 MB", "18 MB", "1.2 GB"."""
    if count < 1e5:
        return f"{count / 1e3:.0f} kB"
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.0f} MB" if count >= 1e7 else f"{count / 1e6:.1f} MB"
