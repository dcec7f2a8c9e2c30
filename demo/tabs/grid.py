"""Grid: a picture for every pair of values, as one job and on one sheet. A panel of the Playground."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.blocks import Block

from clora_core.answers import count
from clora_core.errors import StudioError
from clora_core.jobs.requests import DrawRequest
from clora_core.settings.grid import KINDS, MAX_CELLS, Axis, Value, read_axis
from demo.errors import told
from demo.events import QUEUED, QUIET, Changes, never_refuses
from demo.html import grid as grid_html
from demo.html import playground as playground_html
from demo.html.parts import quiet, say
from demo.html.words import duration
from demo.job_buttons import JobButtons

if TYPE_CHECKING:
    from clora_core.studio.studio import Studio
    from demo.tabs.playground import Playground

POLL_SECONDS = 0.5
NOTHING = ("nothing", "")


class GridPanel:
    """The panel. fields: the axes, which ``bring`` may change."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        with gr.Accordion("Grid", open=False, elem_id="grid", elem_classes="cl-panel") as self.panel:
            gr.HTML(
                quiet(
                    "Draw the prompt above once for every value, or for every pair of values, and compare. "
                    f"All else is as set above; at most {MAX_CELLS} pictures."
                )
            )
            with gr.Row(elem_id="grid-axes"):
                self.across, self.columns = self._axis("across", "From left to right", "seed")
                self.down, self.rows = self._axis("down", "From top to bottom", "strength")
            self.said = gr.HTML(elem_id="grid-said")
            with gr.Row(elem_classes="cl-actions"):
                self.draw = gr.Button("Draw the grid", variant="primary", elem_id="draw-grid", min_width=140, scale=0)
                cancel = gr.Button(
                    "Cancel", variant="stop", elem_id="cancel-grid", visible=False, min_width=140, scale=0
                )
            self.status = gr.HTML(elem_id="grid-status")
            self.board = gr.HTML(elem_id="grid-board")
        self.buttons = JobButtons(studio, self.draw, cancel)
        self.fields: list[Block] = [self.across, self.columns, self.down, self.rows]

    def _axis(self, name: str, label: str, kind: str) -> tuple[gr.Dropdown, gr.Textbox]:
        kinds = [(known.label, key) for key, known in KINDS.items()]
        with gr.Column(min_width=280):
            what = gr.Dropdown(
                kinds if name == "across" else [NOTHING, *kinds],
                value=kind,
                label=label,
                elem_id=f"grid-{name}",
                filterable=False,
            )
            values = gr.Textbox(
                KINDS[kind].first,
                label="Values",
                info=KINDS[kind].hint,
                elem_id=f"grid-{name}-values",
                lines=1,
                max_lines=5,
            )
        return what, values

    def bring(self, axes: Mapping[str, Sequence[Value]]) -> Changes:
        """The axes of a sheet into the fields."""
        found = [Axis(kind, tuple(values)) for kind, values in axes.items()]
        changes: Changes = {}
        for what, values, axis in zip((self.across, self.down), (self.columns, self.rows), found, strict=False):
            changes |= {what: axis.kind, values: gr.update(value=axis.written, info=KINDS[axis.kind].hint)}
        return changes if len(found) > 1 or not found else changes | {self.down: ""}

    # -- wiring ------------------------------------------------------------------------------------

    def wire(self, playground: Playground) -> None:
        """Connect the handlers: all but the axes is as the Playground's inputs have it."""
        given = playground.asked | set(self.fields)
        for what, values in ((self.across, self.columns), (self.down, self.rows)):
            what.input(self._hint, [what, playground.timeline], values, **QUIET)

        @never_refuses
        def said(given: Changes) -> Changes:
            return {self.said: self._said(playground, given)}

        def start(given: Changes) -> Iterator[Changes]:
            yield from self._start(playground, given)

        changed = [field.change for field in (self.across, self.columns, self.down, self.rows)]
        gr.on([self.panel.expand, *changed], said, given, [self.said], **QUIET)
        shown = [self.status, *self.buttons.parts, self.board, self.said, playground.drawn]
        self.draw.click(told(start), given, shown, trigger_mode="once", **QUEUED)

    @never_refuses
    def _hint(self, kind: str, timeline_id: str) -> dict[str, Any]:
        """What stands first in the values of another axis, and how they are written."""
        known = KINDS.get(kind)
        if known is None:
            return gr.update(value="", info="", interactive=False)
        first = known.first
        with suppress(StudioError):
            first = f"0-{len(self._studio.timeline(timeline_id).cards)}" if kind == "as_of" else first
        return gr.update(value=first, info=known.hint, interactive=True)

    def _request(self, playground: Playground, given: Changes) -> DrawRequest:
        axes = [read_axis(given[self.across], given[self.columns])]
        if given[self.down]:
            axes.append(read_axis(given[self.down], given[self.rows]))
        return replace(playground.request(given), axes=tuple(axes))

    def _said(self, playground: Playground, given: Changes) -> str:
        """How many pictures it will be and how long they take, or why it cannot be."""
        try:
            number, seconds = self._studio.draw_estimate(self._request(playground, given))
        except StudioError as error:
            return say(str(error), "warn")
        about = f", about {duration(seconds)}" if seconds is not None else ""
        return say(f"{count(number, 'picture')}{about}.", "quiet")

    def _start(self, playground: Playground, given: Changes) -> Iterator[Changes]:
        job_id = self._studio.draw(self._request(playground, given))
        yield self.buttons.running(job_id) | {self.said: self._said(playground, given)}
        try:
            for job in self.buttons.follow(job_id, POLL_SECONDS):
                if not job.finished:
                    yield {self.status: playground_html.drawing(job), self.board: grid_html.grid(job)}
        except Exception:  # not "finally": a visitor who has left is not to be told anything
            yield self.buttons.running("") | {self.status: ""}
            raise
        yield self.buttons.running("") | {
            self.status: playground_html.drawing(job),
            self.board: grid_html.grid(job),
            playground.drawn: time.monotonic(),  # the history follows
        }
