"""A settings dataclass -> labelled inputs, and back. Labels, help, bounds and choices come from its fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import gradio as gr

from clora_core.settings.fields import Settings

Config = TypeVar("Config", bound=Settings)


def setting_inputs(preset: Settings, skip: Sequence[str] = ()) -> dict[str, gr.components.Component]:
    """One input for each field of ``preset`` that is not in ``skip``, in their order, filled with its value."""
    specs = {spec.name: spec for spec in fields(preset) if spec.name not in skip}  # type: ignore[arg-type]
    return {name: _input(name, getattr(preset, name), spec.metadata) for name, spec in specs.items()}


def _input(name: str, value: Any, facts: Mapping[str, Any]) -> gr.components.Component:
    common: dict[str, Any] = {
        "label": facts.get("label", name),
        "info": facts.get("help"),
        "elem_id": f"setting-{name}",
    }
    if isinstance(value, bool):
        return gr.Checkbox(value, **common)
    if isinstance(value, int | float):
        # bounds are checked by the dataclass itself, which says what is wrong in words
        return gr.Number(value, precision=0 if isinstance(value, int) else None, **common)
    if facts.get("choices"):
        return gr.Dropdown(list(facts["choices"]), value=value, **common)
    return gr.Textbox(value, **common)


def from_inputs(preset: Config, names: Sequence[str], values: Sequence[Any]) -> Config:
    """``preset`` with the values of the inputs; an emptied field falls back to the preset.

    Raises:
        SettingsError: a value is out of range; the message names it.
    """
    changed: dict[str, Any] = {}
    for name, value in zip(names, values, strict=True):
        old = getattr(preset, name)
        if value is None:
            continue
        changed[name] = type(old)(value) if isinstance(old, int | float) else value
    return preset.updated(changed)
