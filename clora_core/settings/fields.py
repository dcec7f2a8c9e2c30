"""The settings of learning and drawing: every default, label, help text and bound, once.

The page and the command line read them from here: `labelled(SamplingConfig)` gives the fields by name, and each has
`.metadata`: "label", "help" and, where they apply, "minimum", "maximum", "choices", and "unset", what an empty text
stands for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import Field, field, fields, replace
from typing import Any, Self

from clora_core.errors import SettingsError
from clora_core.settings.text import check_text


def setting(default: Any, label: str, help: str, **bounds: Any) -> Any:
    """A dataclass field that carries its label, its help and its bounds (minimum, maximum, choices)."""
    return field(default=default, metadata={"label": label, "help": help, **bounds})


def labelled(settings: Settings | type[Settings]) -> dict[str, Field[Any]]:
    """By name, the fields of a settings class that were made by `setting`."""
    return {spec.name: spec for spec in fields(settings) if "label" in spec.metadata}  # type: ignore[arg-type]


def _check_number(name: str, value: Any, bounds: Mapping[str, Any]) -> None:
    low, high = bounds.get("minimum"), bounds.get("maximum")
    if not math.isfinite(value) or (low is not None and value < low) or (high is not None and value > high):
        span = f"at least {low}" if high is None else f"between {low} and {high}"
        raise SettingsError(f"The setting {name} must be {span}, got {value}.")


class Settings:
    """Common to all settings classes: checked values, dict in, dict out."""

    def __post_init__(self) -> None:
        """Check type, bounds and choices of every setting; raises SettingsError naming it."""
        for name, spec in labelled(self).items():
            value, kind = getattr(self, name), type(spec.default)
            if kind is float and type(value) is int:
                value = float(value)
                object.__setattr__(self, name, value)
            if type(value) is not kind:
                raise SettingsError(f"The setting {name} must be of type {kind.__name__}, got {value!r}.")
            choices = spec.metadata.get("choices")
            if choices and value not in choices:
                known = ", ".join(choice for choice in choices if choice)
                raise SettingsError(f"The setting {name} must be one of {known}; got {value!r}.")
            if kind is str:
                check_text(str(value), f"setting {name}")
            if kind in (int, float):
                _check_number(name, value, spec.metadata)

    def specs(self) -> dict[str, Field[Any]]:
        """By name, the fields that `updated` takes and `to_json` gives."""
        return labelled(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Settings from a mapping; missing keys keep their default, unknown ones raise SettingsError."""
        return cls().updated(values)

    def updated(self, values: Mapping[str, Any]) -> Self:
        """A copy with `values` in place; raises SettingsError on a key that is not a setting."""
        unknown = sorted(set(values) - set(self.specs()))
        if unknown:
            raise SettingsError(f"Unknown setting {', '.join(unknown)}. {self._known()}: {', '.join(self.specs())}.")
        return self._replaced(values)

    def to_json(self) -> dict[str, Any]:
        """Plain values by name, ready for `json.dumps`; `from_dict` reads them back."""
        return {name: getattr(self, name) for name in labelled(self)}

    def _known(self) -> str:
        return "The settings are"

    def _replaced(self, values: Mapping[str, Any]) -> Self:
        return replace(self, **values)  # type: ignore[type-var]
