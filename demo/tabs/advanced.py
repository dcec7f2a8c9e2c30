"""Advanced, below the form: the method, and the settings that it reads, in groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.blocks import Block

from clora_core.settings.learning import GROUPS, TrainConfig
from demo.errors import told
from demo.events import QUEUED, Changes, unchanged, whenever
from demo.fields import from_inputs, input_facts, setting_inputs

if TYPE_CHECKING:
    from clora_core.answers import Card
    from clora_core.studio.studio import Studio

OPEN = ("own", "effort")  # groups that are open at first
WITHOUT_WEIGHTS = ("learning_rate", "weight_decay")  # what a method that learns tokens only does not read


class Advanced:
    """The inputs of all settings of any method; those that the chosen one does not read are hidden.

    inputs: every one of them, the method and the consent first.  shown: what ``of_model`` changes.
    """

    def __init__(self, studio: Studio, timeline: gr.Dropdown, private: bool) -> None:
        """private: as ``AddTab`` has it."""
        self.studio, self.timeline = studio, timeline
        known = studio.methods.find(studio.timeline(timeline.value).method)
        chosen = known.name if known else studio.base.train.method.name
        with gr.Accordion("Advanced", open=False, elem_id="train-advanced") as self.box:
            self.method = gr.Dropdown(
                [(f"{row.title}: {row.sentence}", row.name) for row in studio.methods],
                value=chosen,
                label="Method",
                info="How earlier concepts are protected.",
                elem_id="setting-method",
            )
            self.keep_pictures = gr.Checkbox(
                False,
                label="Keep my pictures with the concept",
                elem_id="keep-pictures",
                info="Not needed: C-LoRA learns without replaying old pictures.",
            )
            self.show_real = gr.Checkbox(
                private,
                label="Keep one small picture with the concept",
                elem_id="show-real",
                info="128 pixels, to stand beside what is drawn, for whoever opens this page. Learning never uses it.",
            )
            self._lay_out_settings(chosen)
        self.shown: list[Block] = [self.method, *self.settings.values(), *self.groups.values()]
        self.inputs: list[Block] = [self.method, self.keep_pictures, self.show_real, *self.settings.values()]
        self.method.input(told(self._preset), self.method, self.shown, **QUEUED)
        whenever([self.timeline.change], told(self._preset_of), [self.timeline, self.method], self.shown, **QUEUED)

    def config(self, given: Changes) -> TrainConfig:
        """What was chosen. given: the values of ``inputs``. Raises SettingsError for a value that is out of range."""
        chosen = {name: given[field] for name, field in self.settings.items()}
        return from_inputs(self._preset_config(given[self.method]), chosen)

    def chosen(self, given: Changes) -> dict[str, Any]:
        """What differs from the preset, as plain values, to be brought back by ``restored``."""
        preset = self._preset_config(given[self.method]).to_json()
        values = {name: given[field] for name, field in self.settings.items() if name in preset}
        differs = {name: value for name, value in values.items() if value is not None and value != preset[name]}
        kept = {"keep": given[self.keep_pictures], "show": given[self.show_real]}
        return {"method": given[self.method], **kept, "settings": differs}

    def restored(self, chosen: Mapping[str, Any]) -> Changes:
        """The inputs with what was ``chosen``; of a method that is not known here, nothing."""
        if self.studio.methods.find(str(chosen.get("method"))) is None:
            return {}
        changes = self._preset(str(chosen["method"])) | {self.method: chosen["method"]}
        for name, value in dict(chosen.get("settings", {})).items():
            if name in self._preset_config(str(chosen["method"])).specs():
                changes[self.settings[name]] = gr.update(**{**changes[self.settings[name]], "value": value})
        consents = {"keep": self.keep_pictures, "show": self.show_real}
        return changes | {box: bool(chosen[name]) for name, box in consents.items() if name in chosen}

    def of_card(self, card: Card) -> Changes:
        """What a concept was learned with, in sight; changes ``shown`` and ``box``. Raises MissingMethodError."""
        settings = dict(card.settings)
        method = self.studio.methods.stored(str(settings.pop("method", ""))).name
        return {**self.restored({"method": method, "settings": settings}), self.box: gr.update(open=True)}

    def of_model(self, timeline_id: str) -> Changes:
        """The timeline's method, and what the open model's preset says for it."""
        known = self.studio.methods.find(self.studio.timeline(timeline_id).method)
        method = known.name if known else self.studio.base.train.method.name
        return {self.method: method, **self._preset(method)}

    def _preset_config(self, method: str) -> TrainConfig:
        return self.studio.base.train_with({"method": method})

    def _lay_out_settings(self, method: str) -> None:
        presets = [self._preset_config(method)]
        presets += [self._preset_config(row.name) for row in self.studio.methods if row.name != method]
        read = self._read(presets[0])
        self.groups: dict[str, Block] = {}
        self.settings: dict[str, gr.components.Component] = {}
        for group, title in GROUPS.items():
            with gr.Accordion(title, open=group in OPEN, elem_classes="cl-group") as self.groups[group]:
                for preset in presets:
                    others = [name for name, of in _groups(preset).items() if of != group or name in self.settings]
                    for name, made in setting_inputs(preset, skip=others).items():
                        self.settings[name] = made
                        made.visible = name in read
            self.groups[group].visible = group in {_groups(presets[0])[name] for name in read}

    def _read(self, config: TrainConfig) -> list[str]:
        """Names of the settings that the method reads."""
        unread = WITHOUT_WEIGHTS if config.method.weightless else ()
        return [name for name in config.specs() if name not in unread]

    def _preset(self, method: str) -> Changes:
        config = self._preset_config(method)
        values, specs, read, groups = config.to_json(), config.specs(), self._read(config), _groups(config)
        changes: Changes = {
            field: gr.update(value=values[name], visible=name in read, **input_facts(specs[name].metadata))
            if name in specs
            else gr.update(visible=False)
            for name, field in self.settings.items()
        }
        shown = {groups[name] for name in read}
        return changes | {block: gr.update(visible=group in shown) for group, block in self.groups.items()}

    def _preset_of(self, timeline_id: str, method: str) -> Changes:
        view = self.studio.timeline(timeline_id)
        if self.studio.methods.find(view.method) is None or view.method == method:
            return unchanged()
        return {self.method: view.method, **self._preset(view.method)}


def _groups(config: TrainConfig) -> dict[str, str]:
    """By name of a setting, what it is about."""
    return {name: spec.metadata.get("group", "own") for name, spec in config.specs().items()}
