"""The base models that this home has opened, for somebody to open again."""

from __future__ import annotations

from pathlib import Path

from clora_core.answers import ModelChoice
from clora_core.disk import read_json, write_json
from clora_core.errors import StoreError
from clora_core.models.description import BaseModel

KEPT = 8  # of those opened last


class RecentModels:
    """models.json in the home folder: {"models": [{"name": ..., "path": ...}]}, opened last first."""

    def __init__(self, home: Path) -> None:
        self._file = home / "models.json"

    def all(self) -> list[ModelChoice]:
        """Those opened last, first; [] where the file is missing or cannot be read."""
        if not self._file.exists():
            return []
        try:
            rows = read_json(self._file, "models")["models"]
            return [ModelChoice(str(row["name"]), str(row["path"])) for row in rows]
        except (StoreError, TypeError, LookupError):
            return []  # a list of shortcuts is no reason to stop

    def note(self, base: BaseModel) -> None:
        """Put a model that was opened to the front. Raises OSError where it cannot be written."""
        now = ModelChoice(base.name, base.path)
        rows = [now, *(model for model in self.all() if model.path != now.path)][:KEPT]
        write_json(self._file, {"models": [{"name": row.name, "path": row.path} for row in rows]})
