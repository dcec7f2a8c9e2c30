"""The continual methods, by name."""

from __future__ import annotations

from clora_core.errors import SettingsError
from clora_core.methods.base import Method
from clora_core.methods.clora import CLora

__all__ = ["METHODS", "CLora", "Method", "method_named"]

METHODS: tuple[type[Method], ...] = (CLora,)


def method_named(name: str) -> type[Method]:
    """The method of that name; raises SettingsError naming the known ones."""
    for method in METHODS:
        if method.name == name:
            return method
    raise SettingsError(f"Unknown method {name!r}. Known: {', '.join(method.name for method in METHODS)}.")
