"""Timeline: which timeline, a card for each concept in order, undo, redo, branches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.blocks import Block
from markupsafe import Markup

from clora_core.answers import count
from clora_core.errors import StoreError
from demo.clicks import SEND, picked
from demo.errors import told
from demo.events import QUEUED, QUIET, Changes, never_refuses, unchanged
from demo.html import timeline as timeline_html
from demo.html.job import learning_curves
from demo.html.parts import quiet
from demo.sharing import refuse_unless

if TYPE_CHECKING:
    from clora_core.answers import Card
    from clora_core.studio.studio import Studio


def choices(studio: Studio) -> list[tuple[str, str]]:
    """(words, id) of each timeline for the dropdown, last changed first."""
    return [
        (
            f"{t.name} · {count(t.concepts, 'concept')}" + (f" ({t.problem})" if t.problem else ""),
            t.id,
        )
        for t in studio.timelines()
    ]


class TimelineTab:
    """The tab's components and what they do. Made inside its ``gr.Tab``.

    followers: what ``follow`` may change.  questions: those of them that ask something.
    changes: events after which everything must follow the timeline again.
    """

    def __init__(self, studio: Studio, timeline: gr.Dropdown, may_remove: bool) -> None:
        self.studio, self.timeline, self.may_remove = studio, timeline, may_remove
        self._lay_out()
        self.questions: list[Block] = [self.ask, self.naming]
        self.followers: list[Block] = [self.cards, self.forgetting_map, self.undo, self.redo, *self.questions]
        self.changes = [*self._wire_undo(), self._wire_new()]

    def follow(self, timeline_id: str) -> Changes:
        """Cards, map, undo and redo of this timeline; no question is open."""
        timeline = self.studio.timeline(timeline_id)
        last = timeline.cards[-1].name if timeline.cards else ""
        back = timeline.undone[0].name if timeline.undone else ""
        curves = {card.id: self._curves(timeline_id, card) for card in timeline.cards}
        return {
            self.cards: timeline_html.cards(timeline, curves, self.studio.methods),
            self.forgetting_map: timeline_html.forgetting_map(timeline, self.studio.changes(timeline_id)),
            self.undo: gr.update(value=f"Undo {last}" if last else "Undo", interactive=bool(last)),
            self.redo: gr.update(value=f"Redo {back}" if back else "Redo", interactive=bool(back)),
            self.ask: gr.update(visible=False),
            self.naming: gr.update(visible=False),
        }

    def _curves(self, timeline_id: str, card: Card) -> Markup:
        try:
            return learning_curves(self.studio.curve(timeline_id, card.id), card.steps)
        except StoreError as error:  # the concept can be drawn all the same
            return quiet(str(error))

    def _lay_out(self) -> None:
        with gr.Row(elem_classes="cl-bar-row", equal_height=False):
            self.timeline.render()
            with gr.Row(elem_classes="cl-actions cl-end"):
                self.undo = gr.Button("Undo", elem_id="undo", size="md", min_width=120, scale=0)
                self.redo = gr.Button("Redo", elem_id="redo", size="md", min_width=120, scale=0)
                self.new = gr.Button("New timeline", elem_id="new-timeline", size="md", min_width=130, scale=0)
        panel = ["cl-panel", "cl-ask"]
        with gr.Column(visible=False, variant="panel", elem_classes=panel, elem_id="ask-undo") as self.ask:
            self.question = gr.HTML()
            with gr.Row(elem_classes="cl-actions"):
                self.yes = gr.Button("Undo it", variant="stop", elem_id="undo-yes", size="md", min_width=120, scale=0)
                self.no = gr.Button("Leave it", elem_id="undo-no", size="md", min_width=120, scale=0)
        with gr.Column(visible=False, variant="panel", elem_classes=panel, elem_id="ask-name") as self.naming:
            self.title = gr.HTML()
            self.name = gr.Textbox(label="Name", placeholder="for example: My family", max_lines=1, elem_id="new-name")
            with gr.Row(elem_classes="cl-actions"):
                self.create = gr.Button(
                    "Create", variant="primary", elem_id="create-timeline", size="md", min_width=120, scale=0
                )
                self.forget = gr.Button("Cancel", elem_id="forget-timeline", size="md", min_width=120, scale=0)
        self.branch_at = gr.State(-1)  # -1: a new timeline, else how many concepts a branch takes over
        self.cards = gr.HTML(elem_id="cards", js_on_load=SEND)
        self.forgetting_map = gr.HTML(elem_id="forgetting-map")

    def _wire_undo(self) -> list[Any]:
        """Undo asks first; redo does not, for it takes nothing away. Returns the events that changed the timeline."""
        self.undo.click(told(self._ask_undo), self.timeline, [self.ask, self.question], **QUEUED)
        self.no.click(never_refuses(lambda: {self.ask: gr.update(visible=False)}), None, self.ask, **QUIET)
        return [
            self.yes.click(told(self._undo), self.timeline, None, **QUEUED),
            self.redo.click(told(self._redo), self.timeline, None, **QUEUED),
        ]

    def _ask_undo(self, timeline_id: str) -> Changes:
        refuse_unless(self.may_remove)
        cards = self.studio.timeline(timeline_id).cards
        words = timeline_html.undo_question(cards[-1].name, len(cards) - 1) if cards else ""
        return {self.ask: gr.update(visible=bool(cards)), self.question: words}

    def _undo(self, timeline_id: str) -> None:
        refuse_unless(self.may_remove)
        self.studio.undo(timeline_id)

    def _redo(self, timeline_id: str) -> None:
        refuse_unless(self.may_remove)
        self.studio.redo(timeline_id)

    def _wire_new(self) -> Any:
        """New timeline and branch share one small form. Returns the event that chose another timeline."""
        form = [self.naming, self.title, self.name, self.branch_at]
        opened = {self.naming: gr.update(visible=True), self.title: timeline_html.new_title()}
        self.new.click(never_refuses(lambda: opened | {self.name: "", self.branch_at: -1}), None, form, **QUIET)
        self.forget.click(never_refuses(lambda: {self.naming: gr.update(visible=False)}), None, self.naming, **QUIET)
        self.cards.click(told(self._branch), self.timeline, form, **QUEUED)
        return gr.on(
            [self.create.click, self.name.submit],
            told(self._create),
            [self.timeline, self.name, self.branch_at],
            self.timeline,
            **QUEUED,
        )

    def _branch(self, timeline_id: str, event: gr.EventData) -> Changes:
        act, value = picked(event)
        if act != "branch":
            return unchanged()
        view = self.studio.timeline(timeline_id)
        place = int(value)
        if place > len(view.cards):  # undone in another window meanwhile
            raise StoreError(f"{view.name!r} has {count(len(view.cards), 'concept')} by now. Reload the page.")
        return {
            self.naming: gr.update(visible=True),
            self.title: timeline_html.branch_title(view, place),
            self.name: f"{view.name}, branch {place}",
            self.branch_at: place,
        }

    def _create(self, timeline_id: str, name: str, place: int) -> Changes:
        made = self.studio.branch(timeline_id, place, name) if place >= 0 else self.studio.new_timeline(name)
        return {self.timeline: gr.update(choices=choices(self.studio), value=made)}
