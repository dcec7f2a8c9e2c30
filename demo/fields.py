"""A settings dataclass -> labelled inputs, and back. Labels, help, bounds and choices come from its fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import gradio as gr

from clora_core.settings.fields import Settings

Config = TypeVar("Config", bound=Settings)


def setting_inputs(
    preset: Settings, skip: Sequence[str] = (), visible: bool = True
) -> dict[str, gr.components.Component]:
    """One input for each setting of ``preset`` that is not in ``skip``, in their order, filled with its value."""
    values, specs = preset.to_json(), preset.specs()
    return {name: _input(name, values[name], specs[name].metadata, visible) for name in specs if name not in skip}


def input_facts(facts: Mapping[str, Any]) -> dict[str, str]:
    """Label and help of an input, from the metadata of its setting's field."""
    return {"label": facts["label"], "info": facts["help"]}


def _input(name: str, value: Any, facts: Mapping[str, Any], visible: bool) -> gr.components.Component:
    common: dict[str, Any] = {**input_facts(facts), "elem_id": f"setting-{name}", "visible": visible}
    if isinstance(value, bool):
        return gr.Checkbox(value, **common)
    if isinstance(value, int | float):
        # bounds are checked by the dataclass itself, which says what is wrong in words
        return gr.Number(value, precision=0 if isinstance(value, int) else None, **common)
    if facts.get("choices"):
        return gr.Dropdown(list(facts["choices"]), value=value, **common)
    return gr.Textbox(value, **common)


def from_inputs(preset: Config, names: Sequence[str], values: Sequence[Any]) -> Config:
    """``preset`` with the values of the inputs that it has; an emptied field falls back to the preset.

    Raises:
        SettingsError: a value is out of range; the message names it.
    """
    changed: dict[str, Any] = {}
    before = preset.to_json()
    for name, value in zip(names, values, strict=True):
        if value is None or name not in before:
            continue
        old = before[name]
        changed[name] = type(old)(value) if isinstance(old, int | float) else value
    return preset.updated(changed)
