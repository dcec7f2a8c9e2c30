"""The form that makes a timeline: an empty one, a branch of one, or one from a file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.blocks import Block

from clora_core.answers import count
from clora_core.errors import StoreError
from demo.dialogs import close_button, closed, dialog, wire_close
from demo.errors import told
from demo.events import QUEUED, QUIET, Changes, never_refuses
from demo.html import timeline as timeline_html

if TYPE_CHECKING:
    from clora_core.studio.studio import Studio


def choices(studio: Studio) -> list[tuple[str, str]]:
    """(words, id) of each timeline of the open base model for the dropdown, last changed first. Those that have one
    name, as they once could, are told apart by their ids."""
    found = [t for t in studio.timelines() if not t.elsewhere]
    names = Counter(t.name for t in found)
    return [
        (
            f"{t.name}{f' [{t.id}]' if names[t.name] > 1 else ''} · {count(t.concepts, 'concept')}"
            + (f" ({t.problem})" if t.problem else ""),
            t.id,
        )
        for t in found
    ]


class NewTimeline:
    """The form as a dialog.

    asked: the dialog itself.  parts: what opening it may change.
    """

    def __init__(self, studio: Studio, timeline: gr.Dropdown) -> None:
        self.studio, self.timeline = studio, timeline
        with dialog("ask-name") as self.asked:
            self.title = gr.HTML()
            self.name = gr.Textbox(label="Name", placeholder="for example: My family", max_lines=1, elem_id="new-name")
            with gr.Row(elem_classes="cl-actions"):
                self.create = gr.Button(
                    "Create", variant="primary", elem_id="create-timeline", size="md", min_width=120, scale=0
                )
                self.forget = close_button("Cancel", "forget-timeline")
                self.file = gr.UploadButton(
                    "Bring one in", file_types=[".zip"], elem_id="take-in", size="md", min_width=120, scale=0
                )
        self.branch_at = gr.State(-1)  # -1: a new timeline, else how many concepts a branch takes over
        self.parts: list[Block] = [self.asked, self.title, self.name, self.branch_at, self.file]
        wire_close(self.forget, self.asked)

    def opened_by(self, button: gr.Button) -> None:
        """A click on this button asks for the name of an empty timeline."""
        opened = {
            self.asked: gr.update(visible=True),
            self.title: timeline_html.new_title(),
            self.name: "",
            self.branch_at: -1,
            self.file: gr.update(visible=True),
        }
        button.click(never_refuses(lambda: opened), None, self.parts, **QUIET)

    def branch(self, timeline_id: str, place: int) -> Changes:
        """The form open for a branch after the first ``place`` concepts. Raises StoreError when there are fewer."""
        view = self.studio.timeline(timeline_id)
        if place > len(view.cards):  # undone in another window meanwhile
            raise StoreError(f"{view.name!r} has {count(len(view.cards), 'concept')} by now. Reload the page.")
        return {
            self.asked: gr.update(visible=True),
            self.title: timeline_html.branch_title(view, place),
            self.name: self.studio.free_title(f"{view.name}, branch {place}"),
            self.branch_at: place,
            self.file: gr.update(visible=False),
        }

    def created(self) -> Any:
        """The event that made a timeline and chose it."""
        return gr.on(
            [self.create.click, self.name.submit],
            told(self._create),
            [self.timeline, self.name, self.branch_at],
            [self.timeline, self.asked],
            **QUEUED,
        )

    def taken_in(self) -> Any:
        """The event that took one in from a file and chose it."""
        return self.file.upload(told(self._take_in), self.file, [self.timeline, self.asked], **QUEUED)

    def _take_in(self, file: str) -> Changes:
        taken = self.studio.take_in(Path(file))
        if taken.problem:
            raise StoreError(f"{taken.name!r} is here, but cannot be used now: {taken.problem}.")
        return {self.timeline: gr.update(choices=choices(self.studio), value=taken.id)} | closed(self.asked)

    def _create(self, timeline_id: str, name: str, place: int) -> Changes:
        made = self.studio.branch(timeline_id, place, name) if place >= 0 else self.studio.new_timeline(name)
        return {self.timeline: gr.update(choices=choices(self.studio), value=made)} | closed(self.asked)
