"""Timeline: which timeline, a card for each concept in order, undo, redo, branches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr
from markupsafe import Markup

from clora_core.answers import count
from clora_core.errors import StoreError
from demo.clicks import QUIET, SEND, picked
from demo.errors import told
from demo.html import timeline as timeline_html
from demo.html.job import learning_curves
from demo.html.parts import quiet
from demo.sharing import refuse_unless

if TYPE_CHECKING:
    from clora_core.answers import Card
    from clora_core.studio.studio import Studio


@dataclass
class TimelineTab:
    """The components the page itself needs."""

    cards: gr.HTML
    followers: list[Any]  # outputs of ``follow``, in its order
    questions: list[Any]  # of the followers, those that ask something
    changes: list[Any]  # events after which everything must follow the timeline again


def choices(studio: Studio) -> list[tuple[str, str]]:
    """(words, id) of each timeline for the dropdown, last changed first."""
    return [
        (
            f"{t.name} · {count(t.concepts, 'concept')}" + (f" ({t.problem})" if t.problem else ""),
            t.id,
        )
        for t in studio.timelines()
    ]


def follow(studio: Studio, timeline_id: str) -> list[Any]:
    """Values of ``followers`` for this timeline: cards, map, undo, redo, the question closed."""
    timeline = studio.timeline(timeline_id)
    last = timeline.cards[-1].name if timeline.cards else ""
    back = timeline.undone[0].name if timeline.undone else ""
    return [
        timeline_html.cards(timeline, {card.id: _curves(studio, timeline_id, card) for card in timeline.cards}),
        timeline_html.forgetting_map(timeline, studio.changes(timeline_id)),
        gr.update(value=f"Undo {last}" if last else "Undo", interactive=bool(last)),
        gr.update(value=f"Redo {back}" if back else "Redo", interactive=bool(back)),
        gr.update(visible=False),
        gr.update(visible=False),
    ]


def _curves(studio: Studio, timeline_id: str, card: Card) -> Markup:
    try:
        return learning_curves(studio.curve(timeline_id, card.id), card.steps)
    except StoreError as error:  # the concept can be drawn all the same
        return quiet(str(error))


def build(studio: Studio, timeline: gr.Dropdown, may_remove: bool) -> TimelineTab:
    """Lay the tab out and wire what happens inside it."""
    with gr.Row(elem_classes="cl-bar-row", equal_height=False):
        timeline.render()
        with gr.Row(elem_classes="cl-actions cl-end"):
            undo = gr.Button("Undo", elem_id="undo", size="md", min_width=120, scale=0)
            redo = gr.Button("Redo", elem_id="redo", size="md", min_width=120, scale=0)
            new = gr.Button("New timeline", elem_id="new-timeline", size="md", min_width=130, scale=0)
    with gr.Column(visible=False, variant="panel", elem_classes="cl-panel cl-ask", elem_id="ask-undo") as ask:
        question = gr.HTML()
        with gr.Row(elem_classes="cl-actions"):
            yes = gr.Button("Undo it", variant="stop", elem_id="undo-yes", size="md", min_width=120, scale=0)
            no = gr.Button("Leave it", elem_id="undo-no", size="md", min_width=120, scale=0)
    with gr.Column(visible=False, variant="panel", elem_classes="cl-panel cl-ask", elem_id="ask-name") as naming:
        naming_title = gr.HTML()
        name = gr.Textbox(label="Name", placeholder="for example: My family", max_lines=1, elem_id="new-name")
        with gr.Row(elem_classes="cl-actions"):
            create = gr.Button(
                "Create", variant="primary", elem_id="create-timeline", size="md", min_width=120, scale=0
            )
            forget = gr.Button("Cancel", elem_id="forget-timeline", size="md", min_width=120, scale=0)
    cards = gr.HTML(elem_id="cards", js_on_load=SEND)
    forgetting_map = gr.HTML(elem_id="forgetting-map")
    changes = [
        *_wire_undo(studio, timeline, (undo, redo, ask, question, yes, no), may_remove),
        _wire_new(studio, cards, timeline, (new, naming, naming_title, name, create, forget)),
    ]
    return TimelineTab(cards, [cards, forgetting_map, undo, redo, ask, naming], [ask, naming], changes)


def _wire_undo(studio: Studio, timeline: gr.Dropdown, parts: tuple[Any, ...], may_remove: bool) -> list[Any]:
    """Undo asks first; redo does not, for it takes nothing away. Returns the events that changed the timeline."""
    undo, redo, ask, question, yes, no = parts

    def asked(timeline_id: str) -> list[Any]:
        refuse_unless(may_remove)
        cards = studio.timeline(timeline_id).cards
        words = timeline_html.undo_question(cards[-1].name, len(cards) - 1) if cards else ""
        return [gr.update(visible=bool(cards)), words]

    def undone(timeline_id: str) -> None:
        refuse_unless(may_remove)
        studio.undo(timeline_id)

    def redone(timeline_id: str) -> None:
        refuse_unless(may_remove)
        studio.redo(timeline_id)

    undo.click(told(asked), timeline, [ask, question], **QUIET)
    no.click(lambda: gr.update(visible=False), None, ask, **QUIET)
    return [
        yes.click(told(undone), timeline, None, **QUIET),
        redo.click(told(redone), timeline, None, **QUIET),
    ]


def _wire_new(studio: Studio, cards: gr.HTML, timeline: gr.Dropdown, parts: tuple[Any, ...]) -> Any:
    """New timeline and branch share one small form: ``branch_at`` is -1 for new, else how many to take over."""
    new, naming, title, name, create, forget = parts
    branch_at = gr.State(-1)

    def branching(timeline_id: str, event: gr.EventData) -> list[Any]:
        act, value = picked(event)
        if act != "branch":
            return [gr.skip()] * 4
        view = studio.timeline(timeline_id)
        place = int(value)
        if place > len(view.cards):  # undone in another window meanwhile
            raise StoreError(f"{view.name!r} has {count(len(view.cards), 'concept')} by now. Reload the page.")
        proposed = f"{view.name}, branch {place}"
        return [gr.update(visible=True), timeline_html.branch_title(view, place), proposed, place]

    def created(timeline_id: str, wanted: str, place: int) -> Any:
        made = studio.branch(timeline_id, place, wanted) if place >= 0 else studio.new_timeline(wanted)
        return gr.update(choices=choices(studio), value=made)

    opened = [gr.update(visible=True), timeline_html.new_title(), "", -1]
    new.click(lambda: opened, None, [naming, title, name, branch_at], **QUIET)
    cards.click(told(branching), timeline, [naming, title, name, branch_at], **QUIET)
    forget.click(lambda: gr.update(visible=False), None, naming, **QUIET)
    return gr.on([create.click, name.submit], told(created), [timeline, name, branch_at], timeline, **QUIET)
