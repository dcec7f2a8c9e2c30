"""The pictures drawn in a home folder, in order: ``pictures/<when>-<job>-<number>.png``."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from clora_core.errors import PictureError


class History:
    """All of them. A picture never changes, so what is read from it is kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._timeline = lru_cache(maxsize=20_000)(_timeline)

    def pictures(self, limit: int | None = None, timeline_id: str = "", start: int = 0) -> list[Path]:
        """Those drawn last first, those of one drawing in their order.

        limit: so many at most, after the first ``start``; None = all.  timeline_id: only those drawn from it.
        """
        found = sorted(self._folder.glob("*.png"), key=_number)
        found.sort(key=_drawing, reverse=True)  # leaves those of one drawing in their order
        if timeline_id:
            found = [path for path in found if self._timeline(path) == timeline_id]
        return found[start : None if limit is None else start + limit]


def _drawing(path: Path) -> str:
    """What the pictures of one drawing have in common."""
    return path.stem.rpartition("-")[0]


def _number(path: Path) -> int:
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0


def _timeline(path: Path) -> str:
    """The timeline it was drawn from; "" where that is not known."""
    from clora_core.drawing.png_settings import read_settings

    with suppress(PictureError):
        return str(read_settings(path, whole=False).get("timeline", ""))
    return ""
