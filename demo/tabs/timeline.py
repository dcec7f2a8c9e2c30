"""Timeline: a card for each concept in order, undo, redo, branches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.blocks import Block
from markupsafe import Markup

from clora_core.errors import StoreError
from demo.clicks import SEND, picked
from demo.dialogs import close_button, dialog, wire_close
from demo.errors import told
from demo.events import QUEUED, Changes, unchanged
from demo.html import timeline as timeline_html
from demo.html.job import learning_curves
from demo.html.parts import quiet
from demo.new_timeline import NewTimeline
from demo.sharing import refuse_unless

if TYPE_CHECKING:
    from clora_core.answers import Card
    from clora_core.studio.studio import Studio


class TimelineTab:
    """The tab's components and what they do. Made inside its ``gr.Tab``.

    followers: what ``follow`` may change.  questions: those of them that ask something.
    changes: events after which everything must follow the timeline again.
    """

    def __init__(self, studio: Studio, timeline: gr.Dropdown, naming: NewTimeline, may_remove: bool) -> None:
        self.studio, self.timeline, self.naming, self.may_remove = studio, timeline, naming, may_remove
        self._lay_out()
        self.questions: list[Block] = [self.ask]
        self.followers: list[Block] = [self.cards, self.forgetting_map, self.undo, self.redo, *self.questions]
        self.changes = self._wire_undo()
        self.cards.click(told(self._branch), self.timeline, naming.parts, **QUEUED)

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
        }

    def _curves(self, timeline_id: str, card: Card) -> Markup:
        try:
            return learning_curves(self.studio.curve(timeline_id, card.id), card.steps)
        except StoreError as error:  # the concept can be drawn all the same
            return quiet(str(error))

    def _lay_out(self) -> None:
        with gr.Row(elem_classes="cl-actions cl-end"):
            self.undo = gr.Button("Undo", elem_id="undo", size="md", min_width=120, scale=0)
            self.redo = gr.Button("Redo", elem_id="redo", size="md", min_width=120, scale=0)
        with dialog("ask-undo") as self.ask:
            self.question = gr.HTML()
            with gr.Row(elem_classes="cl-actions"):
                self.yes = gr.Button("Undo it", variant="stop", elem_id="undo-yes", size="md", min_width=120, scale=0)
                self.no = close_button("Cancel", "undo-no")
        self.cards = gr.HTML(elem_id="cards", js_on_load=SEND)
        self.forgetting_map = gr.HTML(elem_id="forgetting-map")

    def _wire_undo(self) -> list[Any]:
        """Undo asks first; redo does not, for it takes nothing away. Returns the events that changed the timeline."""
        self.undo.click(told(self._ask_undo), self.timeline, [self.ask, self.question], **QUEUED)
        wire_close(self.no, self.ask)
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

    def _branch(self, timeline_id: str, event: gr.EventData) -> Changes:
        act, value = picked(event)
        if act != "branch":
            return unchanged()
        return self.naming.branch(timeline_id, int(value))
