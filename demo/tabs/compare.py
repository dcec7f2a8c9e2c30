"""Compare: the same concepts, order and seeds under two methods or more; which of them forgot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.blocks import Block

from clora_core.errors import SettingsError
from clora_core.jobs.requests import CompareRequest
from demo.clicks import SEND, picked, scroll_to
from demo.errors import told
from demo.events import QUEUED, Changes, unchanged
from demo.html import compare as compare_html
from demo.html.parts import say
from demo.sharing import refuse_unless
from demo.uploads import PICTURE_TYPES, uploaded

if TYPE_CHECKING:
    from clora_core.answers import Side, TimelineSummary, TimelineView
    from clora_core.settings.methods import Methods
    from clora_core.studio.studio import Studio

Looked = dict[str, Any]
"""What somebody looks at: "token" and "right" (a timeline), the concept and the other side of the slider, and
"known", the timelines there were to choose from."""
Pictures = dict[str, tuple[Path, ...]]
"""By token, those that were kept."""


def _selected(
    siblings: Sequence[TimelineSummary], others: Sequence[str], looked: Looked, methods: Methods
) -> list[str]:
    """Ids, in the order of the methods."""
    known = looked.get("known")
    found = [s for s in siblings if s.id in others or (known is not None and s.id not in known)]
    if siblings and not found:
        latest = siblings[0]
        found = [s for s in siblings if s is latest or s.comparison and s.comparison == latest.comparison]
    order = {name: place for place, name in enumerate(methods.names)}
    return [s.id for s in sorted(found, key=lambda s: order.get(s.method, len(order)))]


def _told_apart(sides: Sequence[Side]) -> list[Side]:
    """With the timeline's name for a title where two have the same method."""
    titles = Counter(side.title for side in sides)
    return [replace(s, title=s.timeline.name) if titles[s.title] > 1 else s for s in sides]


class CompareTab:
    """The tab's components and what they do. Made inside its ``gr.Tab``.

    followers: what ``follow`` may change.  looks: those of them that choose what is compared and looked at closely.
    given: those of them with pictures somebody gave.  changes: events after which the running job must be looked at.
    private: nobody else reaches the page without a password, so that kept pictures are shown, and not only those of
    samples.
    """

    def __init__(self, studio: Studio, timeline: gr.Dropdown, may_remove: bool) -> None:
        self.studio, self.timeline, self.private = studio, timeline, may_remove
        self._lay_out()
        self._lay_out_start()
        self.looks = [self.others, self.looked]
        self.given: list[Block] = [self.pictures, self.told_pictures]
        slider = [self.slider, self.measures]
        self._shown: list[Block] = [*self.looks, self.headline, self.versus, *slider, self.maps, self.download]
        self.followers: list[Block] = [*self._shown, self.note, self.whose, self.drop, *self.given]
        self._wire_look()
        self.changes = self._wire_start()

    # -- what is shown -----------------------------------------------------------------------------

    def follow(self, timeline_id: str, others: Sequence[str] = (), looked: Looked | None = None) -> Changes:
        """This timeline against the ``others`` and those that came since; without any, against the method learned
        last and those learned with it."""
        mine, pictures = self.studio.timeline(timeline_id), self.studio.comparisons.pictures(timeline_id)
        return self._show(mine, pictures, others, looked or {}) | self._ask(mine, pictures)

    def watch(self) -> str:
        """How far the running comparison is, as HTML."""
        return compare_html.progress(*self.studio.comparisons.progress())

    def _show(self, mine: TimelineView, pictures: Pictures, others: Sequence[str], looked: Looked) -> Changes:
        """The comparison itself."""
        siblings = self.studio.comparisons.siblings(mine.id)
        titled = [(sibling, self.studio.methods.title(sibling.method)) for sibling in siblings]
        names = [(s.name if title in s.name else f"{title} · {s.name}", s.id) for s, title in titled]
        selected = _selected(siblings, others, looked, self.studio.methods)
        changes: Changes = {
            self.others: gr.update(label=f"{mine.name} against", choices=names, value=selected, visible=bool(siblings)),
            self.download: gr.update(value=None, visible=False),  # the picture of it all is made anew
        }
        if not selected:
            nothing = compare_html.nothing_to_compare(enough=len(mine.cards) > 1)
            changes |= {self.headline: nothing, self.looked: {}, self.slider: gr.update(visible=False)}
            return changes | dict.fromkeys((self.versus, self.measures, self.maps), "")
        sides = _told_apart(self.studio.comparisons.sides([mine.id, *selected]))
        tokens = [card.token for card in sides[0].timeline.cards]
        token = looked["token"] if looked.get("token") in tokens else tokens[0]
        right = next((side for side in sides if side.timeline.id == looked.get("right")), sides[1])
        cards = [side.timeline.cards[tokens.index(token)] for side in (sides[0], right)]
        now = tuple(str(card.now_picture) if card.now_picture else None for card in cards)
        real = self.studio.comparisons.one_of_each(pictures, kept=self.private)
        return changes | {
            self.headline: compare_html.headline(sides, [card.name for card in mine.cards[len(tokens) :]]),
            self.versus: compare_html.versus(sides, token, right, real),
            self.looked: {"token": token, "right": right.timeline.id, "known": [s.id for s in siblings]},
            self.slider: gr.update(value=now, visible=True),
            self.measures: compare_html.measures(sides, right, cards[0].name),
            self.maps: compare_html.maps(sides),
        }

    def _ask(self, mine: TimelineView, pictures: Pictures) -> Changes:
        """For the pictures that were not kept; those given for another timeline are not for this one."""
        without = [(card.name, card.token) for card in mine.cards if not pictures[card.token]]
        first = without[0][1] if without else None
        return {
            self.note: compare_html.missing([name for name, _ in without]),
            self.whose: gr.update(choices=without, value=first, visible=bool(without)),
            self.drop: gr.update(visible=bool(without)),
            self.pictures: {},
            self.told_pictures: "",
        }

    # -- layout ------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self.progress = gr.HTML(elem_id="compare-progress")
        with gr.Row(elem_classes="cl-bar-row", equal_height=False):
            self.others = gr.Dropdown(
                [],
                label="This timeline against",
                elem_id="against",
                multiselect=True,
                filterable=False,
                visible=False,
            )
            with gr.Row(elem_classes="cl-actions cl-end"):
                self.save = gr.Button("Save as a picture", elem_id="compare-picture", size="md", min_width=180, scale=0)
                self.download = gr.DownloadButton(
                    "Download", elem_id="compare-download", size="md", min_width=120, scale=0, visible=False
                )
        self.headline = gr.HTML(elem_id="compare-headline")
        with gr.Row(equal_height=False, elem_id="compare-row"):
            with gr.Column(scale=3, min_width=340, variant="panel", elem_classes="cl-panel"):
                self.versus = gr.HTML(elem_id="versus", js_on_load=SEND)
            with gr.Column(scale=2, min_width=320, variant="panel", elem_classes=["cl-panel", "cl-beside"]):
                self.slider = gr.ImageSlider(elem_id="compare-slider", buttons=[], show_label=False)
                self.measures = gr.HTML(elem_id="measures")
        self.maps = gr.HTML(elem_id="maps")
        self.looked = gr.State({})

    def _lay_out_start(self) -> None:
        """Which methods to learn, pictures that were not kept, start and stop."""
        with gr.Accordion("Learn the same under other methods", open=False, elem_id="compare-start"):
            self.methods = gr.CheckboxGroup(
                [(f"{row.title}: {row.sentence}", row.name) for row in self.studio.methods],
                value=["sequential"],
                label="Methods",
                elem_id="compare-methods",
                info="Each learns every concept of this timeline again, in a new one, with as many steps. "
                "Takes about as long as they did.",
            )
            self.note = gr.HTML()
            self.whose = gr.Dropdown([], label="Pictures of", elem_id="compare-whose", visible=False)
            self.drop = gr.File(
                label="Pictures",
                file_count="multiple",
                file_types=PICTURE_TYPES,
                elem_id="compare-drop",
                visible=False,
            )
            self.pictures = gr.State({})  # token -> paths of the pictures somebody gave
            self.told_pictures = gr.HTML()
            with gr.Row(elem_classes="cl-actions"):
                self.start = gr.Button(
                    "Learn and compare", variant="primary", elem_id="compare-go", min_width=200, scale=0
                )
                self.stop = gr.Button("Stop comparing", variant="stop", elem_id="compare-stop", min_width=160, scale=0)

    # -- looking -----------------------------------------------------------------------------------

    def _wire_look(self) -> None:
        """Other siblings, another concept or side in the slider, and the picture of it all."""
        looked = [self.timeline, self.others, self.looked]
        self.others.input(told(self._look), looked, self._shown, **QUEUED)
        closer = self.versus.click(told(self._look_closer), looked, self._shown, **QUEUED)
        closer.success(None, js=scroll_to("compare-slider"), api_visibility="private")
        self.save.click(told(self._draw), [self.timeline, self.others], self.download, **QUEUED)

    def _look(self, timeline_id: str, others: list[str], looked: Looked) -> Changes:
        pictures = self.studio.comparisons.pictures(timeline_id)
        return self._show(self.studio.timeline(timeline_id), pictures, others, looked)

    def _look_closer(self, timeline_id: str, others: list[str], looked: Looked, event: gr.EventData) -> Changes:
        act, value = picked(event)
        if act not in ("token", "right"):
            return unchanged()
        return self._look(timeline_id, others, {**looked, act: value})

    def _draw(self, timeline_id: str, others: list[str]) -> Changes:
        if not others:
            raise SettingsError("There is nothing to compare with yet. Learn the same under another method first.")
        path = self.studio.comparisons.picture([timeline_id, *others], kept=self.private)
        return {self.download: gr.update(value=str(path), visible=True)}

    # -- learning ----------------------------------------------------------------------------------

    def _wire_start(self) -> list[Any]:
        """Pictures that were not kept are collected by token; Start queues every learning at once. Returns the events
        after which the running job must be looked at."""
        self.drop.upload(
            told(self._collect),
            [self.drop, self.whose, self.pictures],
            [*self.given, self.drop],
            api_visibility="private",
            show_progress="minimal",
        )
        return [
            self.start.click(
                told(self._start),
                [self.timeline, self.methods, self.pictures],
                self.pictures,
                trigger_mode="once",
                **{**QUEUED, "show_progress": "minimal"},
            ),
            self.stop.click(told(self._stop), None, None, **QUEUED),
        ]

    def _collect(self, files: list[str] | None, token: str, pictures: dict[str, list[str]]) -> Changes:
        if token:
            pictures = {**pictures, token: uploaded(files or [])}
        words = ", ".join(f"{token}: {len(paths)}" for token, paths in pictures.items() if paths)
        said = say(f"Pictures given: {words}.") if words else ""
        return {self.pictures: pictures, self.told_pictures: said, self.drop: None}

    def _start(self, timeline_id: str, methods: list[str], pictures: dict[str, list[str]]) -> Changes:
        paths = {token: tuple(map(Path, found)) for token, found in pictures.items()}
        self.studio.comparisons.start(CompareRequest(timeline_id, tuple(methods), paths))
        return {self.pictures: {}}

    def _stop(self) -> None:
        refuse_unless(self.private)
        self.studio.comparisons.stop()
