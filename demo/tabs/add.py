"""Add concept: pictures, a name, Start. What is learned then is shown by ``demo.tabs.lesson``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.blocks import Block

from clora_core.concepts import Concept
from clora_core.data.pictures import MAX_PICTURES, MIN_PICTURES
from clora_core.errors import ConceptError
from clora_core.jobs.requests import LearnRequest
from demo.clicks import SEND, picked, scroll_to
from demo.errors import told
from demo.events import QUEUED, Changes, unchanged
from demo.fields import from_inputs, input_facts, setting_inputs
from demo.html import add as add_html
from demo.html import parts
from demo.pill import ASK_TO_NOTIFY
from demo.uploads import FORM_TYPES, taken_in

if TYPE_CHECKING:
    from clora_core.studio.studio import Studio


class AddTab:
    """The tab's components and what they do. Made inside its ``gr.Tab``.

    followers: what ``follow`` may change.  presets: what ``of_model`` may change.  given: pictures and name.
    filled: what ``fill`` changes.
    begun: id of the job that was started here since the clock last ticked.  started: the event that starts one.
    """

    elem_id = "form"

    def __init__(self, studio: Studio, timeline: gr.Dropdown) -> None:
        self.studio, self.timeline = studio, timeline
        self._lay_out()
        self.followers: list[Block] = [self.coming, self.samples]
        self.presets: list[Block] = [self.method, *self.settings.values()]
        self.given: list[Block] = [self.paths, self.name]
        notes: list[Block] = [self.name_note, self.token_note]
        self.filled: list[Block] = [self.paths, self.checked, self.name, self.token, *notes, self.proposed]
        self._wire_pictures()
        self._wire_name()
        self._wire_method()
        self.started = self._wire_start()

    # -- what is shown -----------------------------------------------------------------------------

    def follow(self, timeline_id: str) -> Changes:
        """What is coming in this timeline, and the samples with those learned ticked."""
        timeline = self.studio.timeline(timeline_id)
        tokens = [card.token for card in timeline.cards]
        return {
            self.coming: add_html.coming(timeline, self._protects(timeline.method), self.studio.base.draws),
            self.samples: add_html.samples(self.studio.samples(), tokens),
        }

    def _protects(self, method: str) -> bool:
        """Whether the method adds a penalty that protects earlier concepts."""
        row = self.studio.methods.find(method)
        return bool(row and row.penalised)

    # -- layout ------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        with gr.Row(equal_height=False, elem_id=self.elem_id):
            with gr.Column(scale=5, min_width=320, variant="panel", elem_classes="cl-panel"):
                self._lay_out_form()
            with gr.Column(scale=3, min_width=300):
                self.coming = gr.HTML(elem_id="coming")
        self.begun = gr.State("")
        self.paths: gr.State = gr.State([])  # of the pictures in the form
        self.proposed = gr.State("")  # the token that the name proposed

    def _lay_out_form(self) -> None:
        if self.studio.samples():
            gr.HTML(parts.step("Try a sample person", "one click fills everything in"))
        self.samples = gr.HTML(elem_id="samples", js_on_load=SEND)
        gr.HTML(parts.step("Or show your own pictures", f"{MIN_PICTURES} to {MAX_PICTURES} of one concept"))
        self.drop = gr.File(
            label="Your own pictures",
            file_count="multiple",
            file_types=FORM_TYPES,
            elem_id="drop",
            show_label=False,
        )
        self.checked = gr.HTML(elem_id="checked", js_on_load=SEND)
        with gr.Row(elem_classes="cl-tight"):
            self.name = gr.Textbox(
                label="Name", placeholder="Ilva Maron", max_lines=1, elem_id="concept-name", min_width=180
            )
            self.token = gr.Textbox(
                label="Token", placeholder="<ilva-maron>", max_lines=1, elem_id="concept-token", min_width=180
            )
        self.name_note = gr.HTML(elem_id="name-note")
        self.token_note = gr.HTML(elem_id="token-note")
        self.start = gr.Button("Start learning", variant="primary", elem_id="start")
        known = self.studio.methods.find(self.studio.timeline(self.timeline.value).method)
        method = known.name if known else self.studio.base.train.method.name
        with gr.Accordion("Advanced", open=False, elem_id="train-advanced"):
            self.keep_pictures = gr.Checkbox(
                False,
                label="Keep my pictures with the concept",
                elem_id="keep-pictures",
                info="Not needed: C-LoRA learns without replaying old pictures.",
            )
            self.method = gr.Dropdown(
                [(f"{row.title}: {row.sentence}", row.name) for row in self.studio.methods],
                value=method,
                label="Method",
                info="How earlier concepts are protected.",
                elem_id="setting-method",
            )
            self.settings = self._setting_inputs(method)

    def _setting_inputs(self, method: str) -> dict[str, gr.components.Component]:
        """One input for each setting of any method, by name; those that ``method`` does not read are hidden."""
        presets = {row.name: self.studio.base.train_with({"method": row.name}) for row in self.studio.methods}
        inputs = setting_inputs(presets[method])
        for preset in presets.values():
            inputs |= setting_inputs(preset, skip=list(inputs), visible=False)
        return inputs

    # -- pictures ----------------------------------------------------------------------------------

    def _wire_pictures(self) -> None:
        """Dropped files and sample people end in one list; each thumbnail can be taken out again."""
        given = [self.paths, self.checked]
        self.drop.upload(
            told(self._dropped),
            [self.drop, self.paths, self.timeline, self.name],
            [self.drop, *given, self.name],
            api_visibility="private",
            show_progress="minimal",
        )
        self.checked.click(told(self._removed), [self.paths, self.timeline], given, **QUEUED)
        self.timeline.change(told(self._look_again), [self.paths, self.timeline], given, **QUEUED)
        self.samples.click(told(self._sampled), self.timeline, self.filled, **QUEUED)

    def _look_at(self, paths: list[str], timeline_id: str, notes: Sequence[str] = ()) -> Changes:
        checked = self.studio.check_pictures(paths)
        warnings = self.studio.nearly_same(checked, timeline_id)
        return {self.paths: paths, self.checked: add_html.checked_pictures(checked, warnings, notes)}

    def _look_again(self, paths: list[str], timeline_id: str) -> Changes:
        return self._look_at(paths, timeline_id) if paths else unchanged()

    def _dropped(self, files: list[str] | None, paths: list[str], timeline_id: str, name: str) -> Changes:
        found = taken_in(files or [], paths)
        named: Changes = {self.name: found.name} if found.name and not name.strip() else {}
        new = [*paths, *map(str, found.pictures)]
        return {self.drop: None, **self._look_at(new, timeline_id, found.notes), **named}

    def _removed(self, paths: list[str], timeline_id: str, event: gr.EventData) -> Changes:
        act, value = picked(event)
        if act == "clear":
            return self._look_at([], timeline_id)
        if act == "remove" and value.isdigit():
            return self._look_at([path for i, path in enumerate(paths) if i != int(value)], timeline_id)
        return unchanged()

    def _sampled(self, timeline_id: str, event: gr.EventData) -> Changes:
        _, token = picked(event)
        sample = next((sample for sample in self.studio.samples() if sample.token == token), None)
        if sample is None:
            return unchanged()
        return self.fill([str(path) for path in sample.pictures], sample.name, sample.token, timeline_id)

    def fill(self, paths: list[str], name: str, token: str, timeline_id: str) -> Changes:
        """The form with these pictures and names in it."""
        return self._look_at(paths, timeline_id) | {
            self.name: name,
            self.token: token,
            self.name_note: "",
            self.token_note: self._judged(token, timeline_id),
            self.proposed: token,
        }

    # -- name and token ----------------------------------------------------------------------------

    def _wire_name(self) -> None:
        """The name proposes the token until the user writes one of their own."""
        # "change", not "input": Gradio's "input" misses pasting by mouse and autofill
        self.name.change(
            told(self._named),
            [self.name, self.token, self.proposed],
            [self.token, self.name_note, self.proposed],
            trigger_mode="always_last",
            **QUEUED,
        )
        self.token.change(
            told(lambda token, timeline_id: {self.token_note: self._judged(token, timeline_id)}),
            [self.token, self.timeline],
            self.token_note,
            trigger_mode="always_last",
            **QUEUED,
        )

    def _judged(self, token: str, timeline_id: str) -> str:
        """Whether this token will do, as HTML."""
        if not token.strip():
            return ""
        try:
            self.studio.check_token(token.strip(), timeline_id)
        except ConceptError as error:
            return parts.say(str(error), "bad")
        return parts.say(f"{token.strip()} is free. It stands for this concept in every prompt.", "good")

    def _named(self, name: str, token: str, proposed: str) -> Changes:
        of_a_sample = (name, token) in {(sample.name, sample.token) for sample in self.studio.samples()}
        if token.strip() not in ("", proposed) or of_a_sample:
            return {self.name_note: ""}
        try:
            new = self.studio.propose_token(name) if name.strip() else ""
        except ConceptError as error:
            return {self.token: "", self.name_note: parts.say(str(error), "bad"), self.proposed: ""}
        return {self.token: new, self.name_note: "", self.proposed: new}

    # -- settings ----------------------------------------------------------------------------------

    def _wire_method(self) -> None:
        """A timeline gives its method, and a method its own settings and their preset."""
        fields = list(self.settings.values())
        self.method.input(told(self._preset), self.method, fields, **QUEUED)
        self.timeline.change(told(self._preset_of), [self.timeline, self.method], [self.method, *fields], **QUEUED)

    def of_model(self, timeline_id: str) -> Changes:
        """The timeline's method, and what the open model's preset says for it."""
        known = self.studio.methods.find(self.studio.timeline(timeline_id).method)
        method = known.name if known else self.studio.base.train.method.name
        return {self.method: method, **self._preset(method)}

    def _preset(self, method: str) -> Changes:
        config = self.studio.base.train_with({"method": method})
        values, specs = config.to_json(), config.specs()
        return {
            field: gr.update(value=values[name], visible=True, **input_facts(specs[name].metadata))
            if name in specs
            else gr.update(visible=False)
            for name, field in self.settings.items()
        }

    def _preset_of(self, timeline_id: str, method: str) -> Changes:
        view = self.studio.timeline(timeline_id)
        if self.studio.methods.find(view.method) is None or view.method == method:
            return unchanged()
        return {self.method: view.method, **self._preset(view.method)}

    # -- start -------------------------------------------------------------------------------------

    def _wire_start(self) -> Any:
        """Start hands the concept to the studio's worker and empties the form."""
        asked = {self.timeline, self.paths, self.name, self.token, self.keep_pictures, self.method}
        events = [self.start.click, self.name.submit, self.token.submit]
        started = gr.on(
            events,
            told(self._start),
            asked | set(self.settings.values()),
            [*self.filled, self.begun],
            trigger_mode="once",
            show_progress_on=self.start,
            **QUEUED | {"show_progress": "minimal"},
        )
        started.success(None, js=scroll_to("tabs"), api_visibility="private")
        gr.on(events, None, js=ASK_TO_NOTIFY, api_visibility="private")
        return started

    def _start(self, given: Changes) -> Changes:
        """given: the values of the inputs."""
        chosen = {name: given[field] for name, field in self.settings.items()}
        config = from_inputs(self.studio.base.train_with({"method": given[self.method]}), chosen)
        paths = tuple(Path(path) for path in given[self.paths])
        concept = Concept(given[self.name].strip(), given[self.token].strip(), paths)
        request = LearnRequest(given[self.timeline], concept, config, given[self.keep_pictures])
        job_id = self.studio.learn(request)
        return {**dict.fromkeys(self.filled, ""), self.paths: [], self.begun: job_id}
