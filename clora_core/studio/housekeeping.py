"""What a home folder holds, kind by kind, and what of it can go."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR

from clora_core.answers import DiskUse
from clora_core.errors import SettingsError
from clora_core.jobs.board import JobBoard

LESSONS_LEFT = {"learn": 1, "draw": 0}  # the newest lesson is what every open page shows
TITLES = {
    "timelines": "Timelines: all that was learned",
    "pictures": "Pictures that were drawn",
    "jobs": "Lessons and drawings that have ended",
    "comparisons": "Pictures of comparisons",
    "trash": "Trash",
}


class Housekeeping:
    """Measures and cleans one home; ``Studio.housekeeping`` is one. Nothing that was learned or drawn is cleaned."""

    def __init__(self, home: Path, board: JobBoard) -> None:
        self.home = home
        self._board = board

    def kinds(self) -> list[DiskUse]:
        """What lies in the home, in the order of ``TITLES``; kinds that are not there are left out."""
        found = []
        for kind, title in TITLES.items():
            size = folder_bytes(self.home / kind)
            if size:
                free = sum(map(folder_bytes, self._spare(kind)))
                found.append(DiskUse(kind, title, size, free))
        return found

    def clean(self, kind: str) -> int:
        """Delete what can be freed of a kind; returns how many bytes. Raises SettingsError for an unknown kind."""
        if kind not in TITLES:
            raise SettingsError(f"There is no kind {kind!r} to clean.")
        before = folder_bytes(self.home / kind)
        for path in self._spare(kind):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        return before - folder_bytes(self.home / kind)

    def _spare(self, kind: str) -> list[Path]:
        """What of a kind is not needed any more."""
        if kind == "jobs":
            return [job.folder for each, kept in LESSONS_LEFT.items() for job in self._board.spent(each, kept)]
        return sorted((self.home / kind).glob("*.png")) if kind == "comparisons" else []


def folder_bytes(path: Path) -> int:
    """Bytes of all files in a folder, or of one file; what vanishes meanwhile counts as nothing."""
    if path.is_file():
        return path.stat().st_size
    total = 0
    for file in path.rglob("*"):
        with suppress(OSError):
            facts = file.lstat()
            total += 0 if S_ISDIR(facts.st_mode) else facts.st_size
    return total
