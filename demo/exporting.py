"""The dialog that writes a timeline as files for other programmes, or for this one elsewhere, and gives them to
download."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, cast

import gradio as gr
from gradio.blocks import Block

from clora_core.jobs.requests import ExportFormat, ExportRequest
from demo.dialogs import close_button, dialog, wire_close
from demo.errors import told
from demo.events import QUEUED, Changes
from demo.html import exporting as exporting_html
from demo.job_buttons import JobButtons

if TYPE_CHECKING:
    from clora_core.answers import JobView
    from clora_core.studio.studio import Studio

POLL_SECONDS = 0.3
FOR = [
    ("Other programmes: a LoRA, and a file a token", "kohya"),
    ("diffusers: a LoRA in its own keys, and a file a token", "peft"),
    ("diffusers: a whole model", "diffusers"),
    ("A C-LoRA Studio elsewhere: all of it", "timeline"),
]
NUMBERS = [("fp16: half the size, as most files are", "fp16"), ("fp32: every digit", "fp32")]


class ExportDialog:
    """Opened by a button. The work is a job: it goes on when the dialog is closed, and is there again when it opens.

    asked: the dialog itself.
    """

    def __init__(self, studio: Studio, timeline: gr.Dropdown, button: gr.Button) -> None:
        self.studio = studio
        with dialog("ask-export", wide=True) as self.asked:
            self.title = gr.HTML()
            self.what = gr.Radio(FOR, value="kohya", label="For", elem_id="export-for")
            self.dtype = gr.Radio(NUMBERS, value="fp16", label="Numbers", elem_id="export-numbers")
            self.rank = gr.Number(
                0,
                precision=0,
                minimum=0,
                label="Reduce to rank",
                info="Smaller files that draw other pictures; how much is lost is said. 0 loses nothing.",
                elem_id="export-rank",
            )
            self.status = gr.HTML(elem_id="export-status")
            with gr.Row(elem_classes="cl-actions"):
                self.go = gr.Button(
                    "Make the files", variant="primary", elem_id="export-go", size="md", min_width=140, scale=0
                )
                stop = gr.Button(
                    "Cancel", variant="stop", elem_id="export-stop", size="md", min_width=120, scale=0, visible=False
                )
                self.download = gr.DownloadButton(
                    "Download", elem_id="export-download", size="md", min_width=140, scale=0, visible=False
                )
                close = close_button("Close", "export-close")
            self.usage = gr.HTML(elem_id="export-usage")
        self.buttons = JobButtons(studio, self.go, stop)
        parts: list[Block] = [self.status, self.download, self.usage, *self.buttons.parts]
        wire_close(close, self.asked)
        button.click(
            told(self._open), timeline, [self.asked, self.title, self.what, self.dtype, self.rank, *parts], **QUEUED
        )
        self.what.input(told(self._ready), [timeline, self.what], [self.dtype, self.rank, *parts], **QUEUED)
        given = [timeline, self.what, self.dtype, self.rank]
        self.go.click(told(self._start), given, parts, trigger_mode="once", **QUEUED)

    def _open(self, timeline_id: str) -> Iterator[Changes]:
        opened = {
            self.asked: gr.update(visible=True),
            self.title: exporting_html.title(self.studio.timeline(timeline_id)),
            self.what: "kohya",
        }
        yield self._ready(timeline_id, "kohya") | opened
        running = self.studio.exporting(timeline_id)
        if running:
            yield from self._follow(running)

    def _ready(self, timeline_id: str, what: str) -> Changes:
        """Nothing of this is written yet."""
        running = self.studio.exporting(timeline_id)
        problem = self.studio.export_problem(timeline_id, format=what) if what != "timeline" else ""
        return self.buttons.running(running) | {
            self.dtype: gr.update(visible=what != "timeline" and not problem),
            self.rank: gr.update(value=0, visible=what in ("kohya", "peft") and not problem),
            self.go: gr.update(visible=not running and not problem),
            self.status: exporting_html.problem(problem),
            self.download: gr.update(visible=False),
            self.usage: "",
        }

    def _start(self, timeline_id: str, what: str, dtype: str, rank: int | None) -> Iterator[Changes]:
        if what == "timeline":
            file = self.studio.archive(timeline_id)
            yield {
                self.status: exporting_html.archived(file.name),
                self.download: gr.update(value=str(file), label=file.name, visible=True),
                self.usage: "",
            }
            return
        numbers: Literal["fp16", "fp32"] = "fp16" if dtype == "fp16" else "fp32"
        request = ExportRequest(timeline_id, dtype=numbers, format=cast(ExportFormat, what), rank=rank or 0)
        job_id = self.studio.export(request)
        hidden = {self.download: gr.update(visible=False), self.usage: "", self.status: ""}
        yield self.buttons.running(job_id) | hidden
        yield from self._follow(job_id)

    def _follow(self, job_id: str) -> Iterator[Changes]:
        for job in self.buttons.follow(job_id, POLL_SECONDS):
            if not job.finished:
                yield {self.status: exporting_html.progress(job)}
        yield self.buttons.running("") | self._made(job)

    def _made(self, job: JobView) -> Changes:
        made = job.exported
        changes: Changes = {self.status: exporting_html.progress(job)}
        if made and made.archive:
            changes[self.download] = gr.update(value=str(made.archive), label=made.archive.name, visible=True)
            changes[self.usage] = exporting_html.usage((made.folder / "README.txt").read_text(encoding="utf-8"))
        return changes
