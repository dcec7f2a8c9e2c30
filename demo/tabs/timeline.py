"""Timeline: a card for each concept in order, undo, redo, branches, names, what comes in and goes out, the trash."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.blocks import Block
from markupsafe import Markup

from clora_core.errors import StoreError
from demo.bringing import BringDialog
from demo.clicks import SEND, picked
from demo.dialogs import close_button, closed, dialog, wire_close
from demo.emptying import EmptyTrash
from demo.errors import told
from demo.events import QUEUED, QUIET, Changes, never_refuses, unchanged
from demo.exporting import ExportDialog
from demo.html import timeline as timeline_html
from demo.html.job import learning_curves
from demo.html.parts import quiet
from demo.new_timeline import NewTimeline, choices
from demo.sharing import refuse_unless

if TYPE_CHECKING:
    from clora_core.answers import Card, TimelineView
    from clora_core.studio.studio import Studio


class TimelineTab:
    """The tab's components and what they do. Made inside its ``gr.Tab``.

    followers: what ``follow`` may change.  questions: those of them that ask something.
    changes: events after which everything must follow the timeline again.  picture_back: changes when a picture came
    back from the trash.
    """

    def __init__(
        self, studio: Studio, timeline: gr.Dropdown, naming: NewTimeline, emptying: EmptyTrash, may_remove: bool
    ) -> None:
        self.studio, self.timeline, self.may_remove = studio, timeline, may_remove
        self.naming, self.emptying = naming, emptying
        self._lay_out()
        self.exporting = ExportDialog(studio, timeline, self.export)
        self.bringing = BringDialog(studio, timeline, self.bring)
        self.questions: list[Block] = [self.ask, self.ask_name, self.exporting.asked, self.bringing.asked]
        self.trashed: list[Block] = [self.trash, self.trash_list]
        shown: list[Block] = [self.title, self.cards, self.forgetting_map, *self.trashed]
        self.followers: list[Block] = [*shown, self.undo, self.redo, self.delete, self.rename, *self.questions]
        self.changes = [*self._wire_undo(), *self._wire_names(), *self._wire_trash()]

    def follow(self, timeline_id: str) -> Changes:
        """Cards, map, undo, redo and the trash; no question is open."""
        timeline = self.studio.timeline(timeline_id)
        last = timeline.cards[-1].name if timeline.cards else ""
        back = timeline.undone[0].name if timeline.undone else ""
        curves = {card.id: self._curves(timeline_id, card) for card in timeline.cards if not card.brought}
        preset = self.studio.base.train_with({"method": timeline.method}) if self._known(timeline) else None
        return {
            self.title: timeline_html.title(timeline, self.studio.methods.title(timeline.method)),
            self.cards: timeline_html.cards(timeline, curves, self.studio.methods, preset),
            self.forgetting_map: timeline_html.forgetting_map(timeline, self.studio.changes(timeline_id)),
            self.undo: gr.update(value=f"Undo {last}" if last else "Undo", interactive=bool(last)),
            self.redo: gr.update(value=f"Redo {back}" if back else "Redo", interactive=bool(back)),
            **self.in_trash(),
            **closed(*self.questions),
        }

    def card(self, timeline_id: str, concept_id: str) -> Card:
        """Of a concept. Raises StoreError: it was undone or deleted in another window meanwhile."""
        cards = self.studio.timeline(timeline_id).cards
        card = next((card for card in cards if card.id == concept_id), None)
        if card is None:
            raise StoreError("The concept is not in the timeline any more. Reload the page.")
        return card

    def in_trash(self) -> Changes:
        """What was deleted; changes ``trashed``."""
        items = self.studio.trash.items()
        return {
            self.trash: gr.update(label=f"Trash ({len(items)})" if items else "Trash", visible=bool(items)),
            self.trash_list: timeline_html.trash(items),
        }

    def _known(self, timeline: TimelineView) -> bool:
        return self.studio.methods.find(timeline.method) is not None

    def _curves(self, timeline_id: str, card: Card) -> Markup:
        try:
            return learning_curves(self.studio.curve(timeline_id, card.id), card.steps)
        except StoreError as error:  # the concept can be drawn all the same
            return quiet(str(error))

    # -- layout ------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        small: dict[str, Any] = {"size": "md", "min_width": 80, "scale": 0}
        with gr.Row(elem_classes="cl-bar-row", equal_height=False):
            self.title = gr.HTML(elem_id="timeline-title")
            with gr.Row(elem_classes="cl-actions cl-end"):
                self.undo = gr.Button("Undo", elem_id="undo", **small)
                self.redo = gr.Button("Redo", elem_id="redo", **small)
                self.bring = gr.Button("Bring in", elem_id="bring", **small)
                self.export = gr.Button("Export", elem_id="export", **small)
                self.rename = gr.Button("Rename", elem_id="rename-timeline", **small)
                self.delete = gr.Button("Delete", elem_id="delete-timeline", **small)
        self._lay_out_questions()
        self.snack = gr.HTML(elem_id="snack", js_on_load=SEND)
        self.cards = gr.HTML(elem_id="cards", js_on_load=SEND)
        self.forgetting_map = gr.HTML(elem_id="forgetting-map")
        with gr.Accordion("Trash", open=False, visible=False, elem_id="trash") as self.trash:
            self.trash_list = gr.HTML(elem_id="trash-list", js_on_load=SEND)
            with gr.Row(elem_classes="cl-actions"):
                self.empty = gr.Button("Empty the trash", elem_id="trash-empty", size="md", min_width=150, scale=0)
        self.changed = gr.State(0)  # set when a concept was deleted: the tabs follow
        self.picture_back = gr.State(0)

    def _lay_out_questions(self) -> None:
        with dialog("ask-undo") as self.ask:
            self.question = gr.HTML()
            with gr.Row(elem_classes="cl-actions"):
                self.yes = gr.Button("Undo it", variant="stop", elem_id="undo-yes", size="md", min_width=120, scale=0)
                self.no = close_button("Cancel", "undo-no")
        with dialog("ask-rename") as self.ask_name:
            self.name_title = gr.HTML()
            self.name = gr.Textbox(label="Name", max_lines=1, elem_id="other-name")
            with gr.Row(elem_classes="cl-actions"):
                self.name_it = gr.Button(
                    "Rename", variant="primary", elem_id="rename-yes", size="md", min_width=120, scale=0
                )
                self.leave_name = close_button("Cancel", "rename-no")
        self.named = gr.State("")  # id of the concept that is renamed; "" = the timeline

    # -- undo --------------------------------------------------------------------------------------

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

    # -- names -------------------------------------------------------------------------------------

    def _wire_names(self) -> list[Any]:
        """One form for the timeline's name and the concepts'; it opens in front of where it was asked for."""
        form: list[Block] = [self.ask_name, self.name_title, self.name, self.named]
        self.rename.click(told(self._ask_name), self.timeline, form, **QUEUED)
        wire_close(self.leave_name, self.ask_name)
        acts: list[Block] = [*form, *self.naming.parts, self.snack, self.changed]
        self.cards.click(told(self._act), self.timeline, list(dict.fromkeys(acts)), **QUEUED)
        return [
            gr.on(
                [self.name_it.click, self.name.submit],
                told(self._rename),
                [self.timeline, self.name, self.named],
                None,
                **QUEUED,
            )
        ]

    def _ask_name(self, timeline_id: str, card: Card | None = None) -> Changes:
        refuse_unless(self.may_remove)
        name = card.name if card else self.studio.timeline(timeline_id).name
        return {
            self.ask_name: gr.update(visible=True),
            self.name_title: timeline_html.rename_title(name, card.token if card else ""),
            self.name: name,
            self.named: card.id if card else "",
        }

    def _rename(self, timeline_id: str, name: str, concept_id: str) -> None:
        refuse_unless(self.may_remove)
        if concept_id:
            self.studio.rename_concept(timeline_id, concept_id, name)
        else:
            self.studio.rename_timeline(timeline_id, name)

    def _act(self, timeline_id: str, event: gr.EventData) -> Changes:
        """What a button of a card does."""
        act, value = picked(event)
        if act == "branch":
            return self.naming.branch(timeline_id, int(value))
        if act not in ("rename", "delete"):
            return unchanged()
        card = self.card(timeline_id, value)
        return self._ask_name(timeline_id, card) if act == "rename" else self._delete_concept(timeline_id, card)

    # -- deleting ----------------------------------------------------------------------------------

    def _wire_trash(self) -> list[Any]:
        """Deleting asks nothing, for it can be undone at once; emptying the trash asks."""
        self.empty.click(told(self.emptying.ask), None, self.emptying.asked, **QUEUED)
        chosen: list[Block] = [self.timeline, self.snack]
        back = [*chosen, self.picture_back]
        return [
            self.delete.click(told(self._delete_timeline), self.timeline, chosen, **QUEUED),
            self.snack.click(told(self._restore), self.timeline, back, **QUEUED),
            self.trash_list.click(told(self._restore), self.timeline, back, **QUEUED),
            self.changed.change(never_refuses(lambda: None), None, None, **QUIET),
            self.bringing.brought.change(never_refuses(lambda: None), None, None, **QUIET),
            self.emptying.emptied,
        ]

    def _delete_timeline(self, timeline_id: str) -> Changes:
        refuse_unless(self.may_remove)
        name = self.studio.timeline(timeline_id).name
        item = self.studio.trash.delete_timeline(timeline_id)
        return self._chosen(self.studio.default_timeline()) | {self.snack: timeline_html.deleted(name, item)}

    def _delete_concept(self, timeline_id: str, card: Card) -> Changes:
        """A concept that others stand on stays: what is before it can be branched."""
        refuse_unless(self.may_remove)
        timeline = self.studio.timeline(timeline_id)
        row, later = self.studio.methods.find(timeline.method), timeline.cards[card.index :]
        if later and row and not row.alone:
            return self.naming.branch(timeline_id, card.index - 1) | {
                self.naming.title: timeline_html.stands_title(timeline, card, row.title),
                self.naming.name: self.studio.free_title(f"{timeline.name} without {card.name}"),
            }
        item = self.studio.trash.delete_concept(timeline_id, card.id)
        return {self.snack: timeline_html.deleted(card.name, item), self.changed: time.time_ns()}

    def _restore(self, timeline_id: str, event: gr.EventData) -> Changes:
        act, value = picked(event)
        if act == "dismiss":
            return {self.snack: ""}
        if act not in ("restore", "redo"):
            return unchanged()
        refuse_unless(self.may_remove)
        if act == "redo":
            self.studio.redo(timeline_id)
            return {self.snack: ""}
        item = self.studio.trash.restore(value)
        if item.kind == "picture":
            return {self.snack: "", self.picture_back: time.time_ns()}
        where = value.split("/")[0] if item.kind == "concept" else value.split(".", 2)[2]
        return self._chosen(where) | {self.snack: ""}

    def _chosen(self, timeline_id: str) -> Changes:
        return {self.timeline: gr.update(choices=choices(self.studio), value=timeline_id)}
