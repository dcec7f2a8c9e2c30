"""Add concept: pictures, a name, Start. What is learned then is shown by ``demo.tabs.lesson``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.blocks import Block

from clora_core.concepts import Concept
from clora_core.data.pictures import MAX_PICTURES, MIN_PICTURES
from clora_core.errors import ConceptError, SettingsError, StudioError
from clora_core.jobs.requests import LearnRequest
from demo.clicks import SEND, picked, scroll_to
from demo.errors import told
from demo.events import QUEUED, QUIET, Changes, never_refuses, unchanged, whenever
from demo.html import add as add_html
from demo.html import parts
from demo.pill import ASK_TO_NOTIFY
from demo.sharing import Owners
from demo.tabs.advanced import Advanced
from demo.tabs.pictures import FormPictures
from demo.tabs.warnings import wire_warnings

if TYPE_CHECKING:
    from clora_core.studio.studio import Studio

FORM_KEY, FORM_SALT = "clora-studio-form", "not secret: keeps the entry readable after a restart"


class AddTab:
    """The tab's components and what they do. Made inside its ``gr.Tab``.

    followers: what ``follow`` may change.  given: pictures and name.  filled: what ``fill`` changes.
    begun: id of the job that was started here since the clock last ticked.  started: the event that starts one.
    memory: to be rendered outside the tab, for what is in a tab wakes when that is opened.
    """

    elem_id = "form"

    def __init__(self, studio: Studio, timeline: gr.Dropdown, private: bool, owners: Owners) -> None:
        """private: nobody else reaches the page without a password, so that a real picture is shown unless refused."""
        self.studio, self.timeline, self.private, self.owners = studio, timeline, private, owners
        self._lay_out()
        self.followers: list[Block] = [self.coming, self.samples]
        self.given: list[Block] = [self.pictures.paths, self.name]
        named: list[Block] = [self.name, self.token, self.name_note, self.token_note, self.proposed]
        self.filled: list[Block] = [*self.pictures.shown, *named]
        self.inputs: list[Block] = [self.timeline, self.pictures.paths, self.name, self.token, *self.advanced.inputs]
        self._wire_pictures()
        wire_warnings(self.studio, self.pictures.paths, self.timeline, self.warning)
        self._wire_name()
        self._wire_readiness()
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
        self.proposed = gr.State("")  # the token that the name proposed
        # the form, for a reload, and whether it has come back, as the page knows it, so that it is kept from now on
        self.kept = gr.BrowserState({}, storage_key=FORM_KEY, secret=FORM_SALT, render=False)
        self.awake = gr.Checkbox(False, visible="hidden", render=False)
        self.memory: list[Block] = [self.kept, self.awake]

    def _lay_out_form(self) -> None:
        if self.studio.samples():
            gr.HTML(parts.step("Try a sample person", "one click fills everything in"))
        self.samples = gr.HTML(elem_id="samples", js_on_load=SEND)
        gr.HTML(parts.step("Or show your own pictures", f"{MIN_PICTURES} to {MAX_PICTURES} of one concept"))
        self.pictures = FormPictures(self.studio, self.timeline)
        self.warning = gr.HTML(elem_id="likeness-note")
        with gr.Row(elem_classes="cl-tight"):
            with gr.Column(min_width=180, elem_classes="cl-field"):
                self.name = gr.Textbox("", label="Name", placeholder="Ilva Maron", max_lines=1, elem_id="concept-name")
                self.name_note = gr.HTML(elem_id="name-note")
            with gr.Column(min_width=180, elem_classes="cl-field"):
                self.token = gr.Textbox(
                    "", label="Token", placeholder="<ilva-maron>", max_lines=1, elem_id="concept-token"
                )
                self.token_note = gr.HTML(elem_id="token-note")
        with gr.Row(elem_classes="cl-starting"):
            self.start = gr.Button(
                "Start learning", variant="primary", elem_id="start", interactive=False, scale=0, min_width=220
            )
            with gr.Column(min_width=200, elem_classes="cl-field"):
                self.start_note = gr.HTML(add_html.missing(0, "", ""), elem_id="start-note")
                self.estimate = gr.HTML(elem_id="estimate")
        self.advanced = Advanced(self.studio, self.timeline, self.private)

    # -- pictures ----------------------------------------------------------------------------------

    def _wire_pictures(self) -> None:
        """Dropped files and sample people end in one list; each thumbnail can be edited, and taken out again."""
        self.pictures.zone.upload(  # decodes, so that one waits for the other
            told(self._dropped),
            [self.pictures.paths, self.timeline, self.name],
            [*self.pictures.shown, self.name],
            show_progress="hidden",
            api_visibility="private",
        )
        self.pictures.wire(self.token)
        self.samples.click(told(self._sampled), self.timeline, self.filled, **QUEUED)

    def _dropped(self, paths: list[str], timeline_id: str, name: str, event: gr.EventData) -> Changes:
        found = self.pictures.take(event, paths)
        named: Changes = {self.name: found.name} if found.name and not name.strip() else {}
        return self.pictures.look_at([*paths, *map(str, found.pictures)], timeline_id, found.notes) | named

    def _sampled(self, timeline_id: str, event: gr.EventData) -> Changes:
        _, token = picked(event)
        sample = next((sample for sample in self.studio.samples() if sample.token == token), None)
        if sample is None:
            return unchanged()
        return self.fill([str(path) for path in sample.pictures], sample.name, sample.token, timeline_id)

    def fill(self, paths: list[str], name: str, token: str, timeline_id: str) -> Changes:
        """The form with these pictures and names in it."""
        return self.pictures.look_at(paths, timeline_id) | {
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
        whenever(
            [self.name.change],
            told(self._named),
            [self.name, self.token, self.proposed],
            [self.token, self.name_note, self.proposed],
            **QUEUED,
        )
        whenever(
            [self.token.change, self.timeline.change],
            told(lambda token, timeline_id: {self.token_note: self._judged(token, timeline_id)}),
            [self.token, self.timeline],
            self.token_note,
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

    # -- before the start --------------------------------------------------------------------------

    def _wire_readiness(self) -> None:
        """Start says what is missing, and the browser keeps the form."""
        told_by: list[Any] = [self.pictures.good, self.name, self.token, self.timeline]
        whenever(
            [part.change for part in told_by],
            self.readiness,
            told_by,
            [self.start, self.start_note],
            **QUIET,
        )
        deciding: list[Any] = [self.pictures.good, self.timeline, *self.advanced.inputs]
        whenever(
            [part.change for part in deciding],
            told(self.estimated),
            {self.pictures.good, *self.inputs},
            self.estimate,
            **QUEUED,
        )
        changing: list[Any] = [self.pictures.paths, self.name, self.token, *self.advanced.inputs]
        whenever(
            [part.change for part in changing],
            self.remember,
            {self.awake, *self.inputs},
            self.kept,
            **QUIET,
        )

    @never_refuses
    def readiness(self, good: int, name: str, token: str, timeline_id: str) -> Changes:
        """Whether Start can be pressed, and what is missing where it cannot."""
        try:
            self.studio.check_token(token.strip(), timeline_id)
            problem = ""
        except StudioError as error:
            problem = str(error)
        words = add_html.missing(good, name.strip(), token.strip(), problem)
        return {self.start: gr.update(interactive=not words), self.start_note: words}

    def estimated(self, given: Changes) -> Iterator[Changes]:
        """What the lesson will take; where that is not known, it is tried meanwhile."""
        good, timeline_id = given[self.pictures.good], given[self.timeline]
        if good < MIN_PICTURES:
            yield {self.estimate: ""}
            return
        try:
            config = self.advanced.config(given)
        except SettingsError as error:
            yield {self.estimate: parts.say(str(error), "bad")}
            return
        found = self.studio.estimates.of(timeline_id, config, good)
        if found is None:
            yield {self.estimate: parts.say("Trying how fast this machine learns ...", "quiet")}
            found = self.studio.estimates.of(timeline_id, config, good, wait=True)
        yield {self.estimate: add_html.estimate(found, config.steps) if found else ""}

    @never_refuses
    def remember(self, given: Changes) -> Changes:
        """The form as it stands, for a reload and for another tab of this browser."""
        if not given[self.awake]:  # the page is being opened, and writes the presets into the form
            return unchanged()
        return {
            self.kept: {
                "paths": given[self.pictures.paths],
                "name": given[self.name],
                "token": given[self.token],
                **self.advanced.chosen(given),
            }
        }

    def wire_memory(self, loaded: Any) -> None:
        """The form comes back when the page is opened again. loaded: the event after which the presets stand in it."""
        back = [self.awake, *self.filled, *self.advanced.shown, self.advanced.keep_pictures, self.advanced.show_real]
        loaded.success(told(self.restored), [self.kept, self.timeline], back, **QUEUED)

    def restored(self, kept: dict[str, Any] | None, timeline_id: str) -> Changes:
        """The form as the browser kept it; pictures that are gone are left out."""
        kept = kept or {}
        paths = self.pictures.believed(kept.get("paths", []))
        name, token = str(kept.get("name", "")), str(kept.get("token", ""))
        changes: Changes = {self.awake: True, **self.advanced.restored(kept)}
        if not (paths or name or token):
            return changes
        return changes | self.fill(paths, name, token, timeline_id)

    # -- start -------------------------------------------------------------------------------------

    def _wire_start(self) -> Any:
        """Start hands the concept to the studio's worker and empties the form."""
        events = [self.start.click, self.name.submit, self.token.submit]
        started = gr.on(
            events,
            told(self._start),
            set(self.inputs),
            [*self.filled, self.begun],
            trigger_mode="once",
            show_progress_on=self.start,
            **QUEUED | {"show_progress": "minimal"},
        )
        started.success(None, js=scroll_to("tabs"), api_visibility="private")
        gr.on(events, None, js=ASK_TO_NOTIFY, api_visibility="private")
        return started

    def _start(self, given: Changes, visitor: gr.Request) -> Changes:
        """given: the values of the inputs."""
        paths = tuple(Path(path) for path in given[self.pictures.paths])
        concept = Concept(given[self.name].strip(), given[self.token].strip(), paths)
        keep, show = given[self.advanced.keep_pictures], given[self.advanced.show_real]
        request = LearnRequest(given[self.timeline], concept, self.advanced.config(given), keep, show_real=show)
        job_id = self.studio.learn(request)
        self.owners.note(job_id, visitor)
        return {**self.fill([], "", "", given[self.timeline]), self.begun: job_id}
