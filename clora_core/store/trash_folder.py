"""Whole things that were deleted and can still come back: ``home/trash/<when>.<kind>.<name>``.

Deleting is one rename, and so is bringing back: at every moment a thing is in its place or in the trash, and whole.
What lies here for DAYS days is deleted for good, whenever a home is opened or something is put in.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from clora_core.disk import HomeLock, refused, sync_folder
from clora_core.errors import StoreError

DAYS = 30
WHEN = "%Y%m%dT%H%M%S%f"


@dataclass(frozen=True)
class Entry:
    """One thing in the trash. id: its name there.  kind: "timeline" or "picture".  name: it had in its place."""

    path: Path
    kind: str
    name: str
    deleted: datetime

    @property
    def id(self) -> str:
        """The entry's name in the folder."""
        return self.path.name


class TrashFolder:
    """The folder, of one home. It is written to under the home's lock."""

    def __init__(self, home: Path, lock: HomeLock) -> None:
        self._folder, self._lock = home / "trash", lock

    def entries(self) -> list[Entry]:
        """All that lies here, deleted last first; what is not ours is passed over."""
        return sorted(self._read(), key=lambda entry: entry.deleted, reverse=True)

    def _read(self) -> Iterator[Entry]:
        for path in self._folder.glob("*.*.*"):
            when, kind, name = path.name.split(".", 2)
            with suppress(ValueError):
                yield Entry(path, kind, name, datetime.strptime(when, WHEN).replace(tzinfo=UTC))

    def find(self, entry_id: str) -> Entry:
        """The entry of that id. Raises StoreError when it is no longer there."""
        found = next((entry for entry in self._read() if entry.id == entry_id), None)
        if found is None:
            raise StoreError("That is no longer in the trash. Reload the page.")
        return found

    def put(self, path: Path, kind: str) -> str:
        """Move a file or folder here; returns the entry's id. Raises StoreError when the disk refuses."""
        with self._lock:
            self.expire()
            entry_id = f"{datetime.now(UTC):{WHEN}}.{kind}.{path.name}"
            self._move(path, self._folder / entry_id)
            return entry_id

    def put_back(self, entry: Entry, place: Path) -> None:
        """Move an entry to ``place``. Raises StoreError when something is there already, or the disk refuses."""
        with self._lock:
            if place.exists():
                raise StoreError(f"There is another {entry.name} by now. Rename or delete that one first.")
            self._move(entry.path, place)

    def _move(self, path: Path, place: Path) -> None:
        try:
            place.parent.mkdir(exist_ok=True)
            path.rename(place)
        except OSError as error:
            raise refused(f"{path.name} could not be moved", error) from error
        for folder in (place.parent, path.parent):
            with suppress(OSError):  # it is moved: a disk that does not flush changes nothing about that
                sync_folder(folder)

    def empty(self, ids: Collection[str] | None = None) -> None:
        """Delete these entries for good; None = all."""
        with self._lock:
            for entry in list(self._read()):
                if ids is None or entry.id in ids:
                    delete(entry.path)

    def expire(self) -> None:
        """Delete for good what has been here for DAYS days, and what a crash left half deleted."""
        for left in self._folder.glob(".*"):
            delete(left)
        self.empty([entry.id for entry in self._read() if expired(entry.deleted)])


def expired(deleted: datetime) -> bool:
    """Whether what was deleted then has been in the trash for DAYS days."""
    return datetime.now(UTC) - deleted >= timedelta(days=DAYS)


def delete(path: Path) -> None:
    """Delete a file or folder for good, as far as the disk lets us: first its name, so that no half of it is ever
    taken for the whole."""
    nameless = path.with_name(f".{path.name.lstrip('.')}")
    with suppress(OSError):
        path.rename(nameless)
        if nameless.is_dir():
            shutil.rmtree(nameless)
        else:
            nameless.unlink()
