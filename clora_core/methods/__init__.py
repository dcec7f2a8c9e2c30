"""The continual methods, one file each; what is known of them without loading them: `clora_core.settings.methods`."""

from __future__ import annotations

from importlib import import_module

from clora_core.errors import SettingsError
from clora_core.methods.base import LowRankMethod, Method
from clora_core.settings.methods import MethodRow

__all__ = ["LowRankMethod", "Method", "class_of"]


def class_of(row: MethodRow) -> type[Method]:
    """The class that a row names; raises SettingsError when there is none."""
    found: object = row.implementation
    if isinstance(found, str):
        module, _, name = found.partition(":")
        try:
            found = getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise SettingsError(
                f"The method {row.title} cannot be loaded: {error}. Repair {row.implementation}."
            ) from error
    if not (isinstance(found, type) and issubclass(found, Method)):
        raise SettingsError(f"The method {row.title} is no subclass of Method: {row.implementation}.")
    return found
