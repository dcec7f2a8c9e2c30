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
        named = [(choice or facts["unset"], choice) for choice in facts["choices"]]
        return gr.Dropdown(named, value=value, **common)
    return gr.Textbox(value, **common)


def from_inputs(preset: Config, values: Mapping[str, Any]) -> Config:
    """``preset`` with the values of the inputs that it has, by name; an emptied field falls back to the preset.

    Raises:
        SettingsError: a value is out of range; the message names it.
    """
    before = preset.to_json()
    known = {name: value for name, value in values.items() if value is not None and name in before}
    return preset.updated({name: _as(before[name], value) for name, value in known.items()})


def _as(old: Any, value: Any) -> Any:
    """A number as the kind of number the preset has."""
    return type(old)(value) if isinstance(old, int | float) else value
