"""The settings of learning and drawing: every default, label, help text and bound, once.

The page and the command line read them from here: `dataclasses.fields(TrainConfig)`, and of each field
`.metadata`: "label", "help" and, where they apply, "minimum", "maximum", "choices".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, field, fields, replace
from typing import Any, Self

from clora_core.errors import SettingsError


def setting(default: Any, label: str, help: str, **bounds: Any) -> Any:
    """A dataclass field that carries its label, its help and its bounds (minimum, maximum, choices)."""
    return field(default=default, metadata={"label": label, "help": help, **bounds})


def _check_number(name: str, value: Any, bounds: Mapping[str, Any]) -> None:
    low, high = bounds.get("minimum"), bounds.get("maximum")
    if not math.isfinite(value) or (low is not None and value < low) or (high is not None and value > high):
        span = f"at least {low}" if high is None else f"between {low} and {high}"
        raise SettingsError(f"The setting {name} must be {span}, got {value}.")


class Settings:
    """Common to the two settings classes: checked values, dict in, dict out."""

    def __post_init__(self) -> None:
        """Check type, bounds and choices of every field; raises SettingsError naming the setting."""
        for spec in fields(self):  # type: ignore[arg-type]
            value, kind = getattr(self, spec.name), type(spec.default)
            if kind is float and type(value) is int:
                value = float(value)
                object.__setattr__(self, spec.name, value)
            if type(value) is not kind:
                raise SettingsError(f"The setting {spec.name} must be of type {kind.__name__}, got {value!r}.")
            choices = spec.metadata.get("choices")
            if choices and value not in choices:
                raise SettingsError(f"The setting {spec.name} must be one of {', '.join(choices)}; got {value!r}.")
            if kind in (int, float):
                _check_number(spec.name, value, spec.metadata)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Settings from a mapping; missing keys keep their default, unknown ones raise SettingsError."""
        return cls().updated(values)

    def updated(self, values: Mapping[str, Any]) -> Self:
        """A copy with `values` in place; raises SettingsError on a key that is not a setting."""
        known = [spec.name for spec in fields(self)]  # type: ignore[arg-type]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise SettingsError(f"Unknown setting {', '.join(unknown)}. The settings are: {', '.join(known)}.")
        return replace(self, **values)  # type: ignore[type-var]

    def to_json(self) -> dict[str, Any]:
        """Plain values by name, ready for `json.dumps`; `from_dict` reads them back."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]
