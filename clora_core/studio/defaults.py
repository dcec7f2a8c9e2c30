"""Settings that somebody prefers to a model's own preset, kept in the home folder.

    defaults.json: {"<fingerprint of the model>": {"sampling": {"steps": 30}, "methods": {"clora": {"steps": 200}}}}

They fill in what nobody chose: on the page, on the command line, for programmes. What was learned and drawn keeps its
own settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from clora_core.disk import read_json, write_json
from clora_core.errors import SettingsError, StoreError
from clora_core.models.description import BaseModel
from clora_core.settings.drawing import SamplingConfig
from clora_core.settings.learning import TrainConfig

NEVER = ("method", "seed", "pictures")  # chosen each time


class Defaults:
    """defaults.json of one home, read once."""

    def __init__(self, home: Path) -> None:
        self._file = home / "defaults.json"
        try:
            self._kept: dict[str, Any] = read_json(self._file) if self._file.exists() else {}
        except StoreError:
            self._kept = {}  # the models' own presets do
        self._last: tuple[BaseModel, dict[str, Any], BaseModel] | None = None  # what ``over`` made of what

    def over(self, base: BaseModel) -> BaseModel:
        """The model with what is kept in the place of its own preset; as it is where that does not fit it."""
        last, everything = self._last, self._kept
        if last is None or last[0] is not base or last[1] is not everything:
            self._last = last = base, everything, self._with_kept(base, everything.get(base.id))
        return last[2]

    def _with_kept(self, base: BaseModel, kept: object) -> BaseModel:
        if not isinstance(kept, dict):
            return base
        try:
            methods = {
                row.name: {**base.presets.get(row.name, row.preset), **kept.get("methods", {}).get(row.name, {})}
                for row in base.methods
            }
            found = replace(base, sampling=base.sampling.updated(kept.get("sampling", {})), presets=methods)
            found.check()
        except (SettingsError, AttributeError, TypeError):
            return base
        return found

    def keep(self, base: BaseModel, chosen: SamplingConfig | TrainConfig) -> None:
        """Prefer these settings on this model; ``base`` is its own preset. Raises OSError where that cannot be
        written."""
        kept = self._kept.get(base.id, {})
        if isinstance(chosen, SamplingConfig):
            kept = {**kept, "sampling": _unlike(base.sampling.to_json(), chosen.to_json())}
        else:
            own = base.train_with({"method": chosen.method.name}).to_json()
            methods = {**kept.get("methods", {}), chosen.method.name: _unlike(own, chosen.to_json())}
            kept = {**kept, "methods": methods}
        self._write({**self._kept, base.id: kept})

    def forget(self, base: BaseModel) -> None:
        """Go back to the model's own preset."""
        self._write({model: kept for model, kept in self._kept.items() if model != base.id})

    def _write(self, kept: dict[str, Any]) -> None:
        write_json(self._file, kept)
        self._kept = kept


def _unlike(own: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """What was chosen otherwise than the preset has it."""
    return {name: value for name, value in chosen.items() if name not in NEVER and value != own[name]}
