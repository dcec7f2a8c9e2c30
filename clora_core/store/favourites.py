"""Which drawn pictures somebody likes: ``home/favourites.json``."""

from __future__ import annotations

from pathlib import Path

from clora_core.disk import HomeLock, read_json, write_json
from clora_core.errors import StoreError


class Favourites:
    """Names of pictures; that of one that is gone stays, for it may come back."""

    def __init__(self, home: Path, lock: HomeLock) -> None:
        self._file, self._lock = home / "favourites.json", lock

    def names(self) -> frozenset[str]:
        """All of them. Raises StoreError when the file is damaged."""
        if not self._file.exists():
            return frozenset()
        found = read_json(self._file, "pictures")["pictures"]
        if not (isinstance(found, list) and all(isinstance(name, str) for name in found)):
            raise StoreError(f"{self._file} holds no list of pictures. Restore it from a backup, or delete it.")
        return frozenset(found)

    def mark(self, name: str, liked: bool) -> None:
        """Add a picture or take it out. Raises StoreError when the home folder cannot be written to."""
        with self._lock:
            names = self.names() | {name} if liked else self.names() - {name}
            write_json(self._file, {"pictures": sorted(names)})
