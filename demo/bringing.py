"""The dialog that brings what another programme has learned into the timeline, as a concept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr
from gradio.blocks import Block

from clora_core.concepts import MAX_NAME_LENGTH, Concept
from clora_core.errors import SettingsError
from clora_core.jobs.requests import BringRequest
from demo.dialogs import close_button, dialog, wire_close
from demo.errors import told
from demo.events import QUEUED, QUIET, Changes, never_refuses
from demo.html import bringing as bringing_html
from demo.job_buttons import JobButtons
from demo.uploads import uploaded

if TYPE_CHECKING:
    from clora_core.answers import JobView
    from clora_core.studio.studio import Studio

POLL_SECONDS = 0.3
KINDS = [".safetensors", ".pt", ".bin", ".ckpt", ".pth"]  # the pickles among them are refused by name


class BringDialog:
    """Opened by a button. The work is a job: it goes on when the dialog is closed, and is there again when it opens.

    asked: the dialog itself.  brought: changes when a concept was brought in.
    """

    def __init__(self, studio: Studio, timeline: gr.Dropdown, button: gr.Button) -> None:
        self.studio = studio
        with dialog("ask-bring", wide=True) as self.asked:
            gr.HTML(bringing_html.title())
            with gr.Row():
                self.lora = gr.File(label="LoRA", file_types=KINDS, elem_id="bring-lora", height=150)
                self.embedding = gr.File(
                    label="Embedding of its token", file_types=KINDS, elem_id="bring-embedding", height=150
                )
            self.found = gr.HTML(elem_id="bring-found")
            self.leave_out = gr.Checkbox(label="Leave these out", visible=False, elem_id="bring-leave-out")
            with gr.Row():
                self.name = gr.Textbox(label="Name", max_lines=1, elem_id="bring-name")
                self.token = gr.Textbox(
                    label="Token", placeholder="made from the name", max_lines=1, elem_id="bring-token"
                )
                self.word = gr.Textbox(
                    label="Word it was trained with",
                    placeholder="only without an embedding",
                    max_lines=1,
                    elem_id="bring-word",
                )
            self.status = gr.HTML(elem_id="bring-status")
            with gr.Row(elem_classes="cl-actions"):
                self.go = gr.Button(
                    "Bring it in", variant="primary", elem_id="bring-go", size="md", min_width=140, scale=0
                )
                stop = gr.Button(
                    "Cancel", variant="stop", elem_id="bring-stop", size="md", min_width=120, scale=0, visible=False
                )
                close = close_button("Close", "bring-close")
        self.brought = gr.State(0)
        self.buttons = JobButtons(studio, self.go, stop)
        self._wire(timeline, button, close)

    def _wire(self, timeline: gr.Dropdown, button: gr.Button, close: gr.Button) -> None:
        wire_close(close, self.asked)
        form: list[Block] = [self.lora, self.embedding, self.leave_out, self.name, self.token, self.word]
        working: list[Block] = [self.asked, self.status, self.brought, *self.buttons.parts]
        button.click(told(self._open), timeline, [*working, self.found, *form], **QUEUED)
        seen: list[Block] = [self.found, self.leave_out, self.name, self.word, self.status]
        self.lora.upload(told(self._look), [self.lora, self.name, self.word], seen, **QUEUED)
        self.lora.clear(never_refuses(self._nothing), None, seen, **QUIET)
        self.go.click(told(self._start), [timeline, *form], working, trigger_mode="once", **QUEUED)

    def _open(self, timeline_id: str) -> Iterator[Changes]:
        """An empty form, or the work that goes on."""
        emptied: Changes = {self.lora: None, self.embedding: None, self.name: "", self.token: "", self.word: ""}
        self.studio.timeline(timeline_id)  # it may be gone
        running = self.studio.bringing(timeline_id)
        opened = {self.asked: gr.update(visible=True), **emptied, **self._nothing()}
        yield opened | self.buttons.running(running)
        if running:
            yield from self._follow(running)

    def _nothing(self) -> Changes:
        """No LoRA is given."""
        return {self.found: "", self.status: "", self.leave_out: gr.update(value=False, visible=False)}

    def _look(self, file: str, name: str, word: str) -> Changes:
        """What is in the LoRA; its name and the words it was trained with, where nothing else was typed."""
        contents = self.studio.lora_contents(_path(file))
        return {
            self.found: bringing_html.found(contents),
            self.leave_out: gr.update(value=False, visible=bool(contents.left_out)),
            self.name: name or Path(contents.file).stem[:MAX_NAME_LENGTH],
            self.word: word or contents.words,
            self.status: "",
        }

    def _start(
        self,
        timeline_id: str,
        lora: str | None,
        embedding: str | None,
        leave_out: bool,
        name: str,
        token: str,
        word: str,
    ) -> Iterator[Changes]:
        if not (lora or embedding):
            raise SettingsError("There is nothing to bring in. Give a LoRA, an embedding, or both.")
        concept = Concept(name.strip(), token.strip() or self.studio.propose_token(name), ())
        one, other = (_path(file) if file else None for file in (lora, embedding))
        job_id = self.studio.bring(BringRequest(timeline_id, concept, one, other, word, leave_out))
        yield self.buttons.running(job_id) | {self.status: ""}
        yield from self._follow(job_id)

    def _follow(self, job_id: str) -> Iterator[Changes]:
        for job in self.buttons.follow(job_id, POLL_SECONDS):
            if not job.finished:
                yield {self.status: bringing_html.progress(job)}
        yield self.buttons.running("") | self._ended(job)

    def _ended(self, job: JobView) -> Changes:
        """The timeline shows what came of it, and a notice says it."""
        if job.state != "done":
            return {self.status: bringing_html.progress(job)}
        gr.Info(job.message.replace("<", "&lt;"), title="Brought in")
        return {self.asked: gr.update(visible=False), self.brought: time.time_ns()}


def _path(file: str) -> Path:
    """An upload of this page. Raises SettingsError for a path that is none: a request can be written by hand."""
    found = uploaded([file])
    if not found:
        raise SettingsError("The file was not uploaded here. Choose it again.")
    return Path(found[0])
