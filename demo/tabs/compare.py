"""Compare: the same concepts, order and seeds under two methods or more; what changed, and what still looks like the
real ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.blocks import Block

from clora_core.data.by_concept import pictures_by_concept
from clora_core.data.gathered import ZIP_SUFFIX, unpack
from clora_core.errors import PictureError, SettingsError
from clora_core.jobs.requests import CompareRequest
from demo.clicks import SEND, picked, scroll_to
from demo.errors import told
from demo.events import QUEUED, Changes, unchanged
from demo.html import compare as compare_html
from demo.html.parts import quiet, say
from demo.html.words import roughly
from demo.sharing import refuse_unless
from demo.uploads import PICTURE_TYPES, uploaded

if TYPE_CHECKING:
    from clora_core.answers import Side, TimelineSummary, TimelineView
    from clora_core.settings.methods import Methods
    from clora_core.studio.studio import Studio

Looked = dict[str, Any]
"""What somebody looks at: "token" and "right" (a timeline), the concept and the other side of the slider, and
"known", the timelines there were to choose from; "of", the timeline that is compared. Empty while the tab has not been
open."""
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
    given: those of them that somebody may be in the middle of filling in.  changes: events after which the running job
    must be looked at.  teach: the button that leads to Add concept, which the page binds.  private: nobody else reaches
    the page without a password, so that kept pictures are shown, and not only those of samples.
    """

    def __init__(self, studio: Studio, timeline: gr.Dropdown, may_remove: bool) -> None:
        self.studio, self.timeline, self.private = studio, timeline, may_remove
        self._lay_out()
        self._lay_out_start()
        self.looks = [self.others, self.looked]
        self.given: list[Block] = [self.pictures, self.told_pictures, self.methods, self.whose, self.start]
        slider = [self.slider, self.measures]
        saving: list[Block] = [self.save, self.download]
        self._shown: list[Block] = [*self.looks, self.headline, self.pair, self.versus, *slider, self.maps, *saving]
        self.followers: list[Block] = [*self._shown, self.begin, self.note, self.drop, *self.given, self.teach]
        self._wire_look()
        self.changes = self._wire_start()

    # -- what is shown -----------------------------------------------------------------------------

    def follow(self, timeline_id: str, others: Sequence[str] = (), looked: Looked | None = None) -> Changes:
        """This timeline against the ``others`` and those that came since; without any, against the method learned
        last and those learned with it."""
        mine, pictures = self.studio.timeline(timeline_id), self.studio.comparisons.pictures(timeline_id)
        siblings = self.studio.comparisons.siblings(timeline_id)
        shown = self._show(mine, siblings, pictures, others, looked or {})
        return shown | self._offer(mine, siblings) | self._ask(mine, pictures)

    def open(self, timeline_id: str, others: Sequence[str], looked: Looked) -> Changes:
        """The tab comes to the front: what has not been shown yet, for it costs the page seconds before that."""
        return unchanged() if looked.get("of") == timeline_id else self.follow(timeline_id, others)

    def catch_up(self, timeline_id: str, others: Sequence[str], looked: Looked) -> Changes:
        """Where the tab was opened before the page knew which timeline this visitor had chosen last."""
        return self.open(timeline_id, (), looked) if looked else unchanged()

    def watch(self) -> str:
        """How far the running comparison is, as HTML."""
        return compare_html.progress(*self.studio.comparisons.progress())

    def _show(
        self,
        mine: TimelineView,
        siblings: Sequence[TimelineSummary],
        pictures: Pictures,
        others: Sequence[str],
        looked: Looked,
    ) -> Changes:
        """The comparison itself."""
        titled = [(sibling, self.studio.methods.title(sibling.method)) for sibling in siblings]
        names = [(s.name if title in s.name else f"{title} · {s.name}", s.id) for s, title in titled]
        selected = _selected(siblings, others, looked, self.studio.methods)
        changes: Changes = {
            self.others: gr.update(label=f"{mine.name} against", choices=names, value=selected, visible=bool(siblings)),
            self.download: gr.update(value=None, visible=False),  # the picture of it all is made anew
        }
        changes |= {part: gr.update(visible=bool(selected)) for part in (self.pair, self.save)}
        if not selected:
            title = self.studio.methods.title(mine.method)
            nothing = compare_html.nothing_to_compare(title if len(mine.cards) > 1 else "")
            changes |= {self.headline: nothing, self.looked: {"of": mine.id, "known": []}, self.slider: None}
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
            self.looked: {
                "of": mine.id,
                "token": token,
                "right": right.timeline.id,
                "known": [s.id for s in siblings],
            },
            self.slider: now,
            self.measures: compare_html.measures(sides, right, cards[0].name, self.studio.methods),
            self.maps: compare_html.maps(sides),
        }

    def _offer(self, mine: TimelineView, siblings: Sequence[TimelineSummary]) -> Changes:
        """Which methods it may be learned under, and how long that takes: in front where there is nothing to see
        yet."""
        enough = mine.usable and len(mine.cards) > 1
        rows = [row for row in self.studio.methods if row.name != mine.method]
        known = {sibling.method for sibling in siblings}
        chosen = next(([row.name] for row in rows if row.name not in known), [])
        return {
            self.begin: gr.update(visible=enough, open=not siblings),
            self.methods: gr.update(choices=[(f"{row.title}\n{row.sentence}", row.name) for row in rows], value=chosen),
            self.start: self._start_button(mine.id, chosen, {}) if enough else gr.update(interactive=False),
            self.teach: gr.update(visible=not enough),
        }

    def _start_button(self, timeline_id: str, methods: Sequence[str], given: Mapping[str, Sequence[str]]) -> gr.Button:
        """What it does and how long that takes; not to be pressed where no method is chosen, or pictures are not there:
        ``given`` by token, and not kept."""
        titles = [self.studio.methods.title(method) for method in methods]
        if not titles:
            return gr.Button("Choose a method first", interactive=False)
        brought = [card.name for card in self.studio.timeline(timeline_id).cards if card.brought]
        if brought:
            return gr.Button(f"{brought[0]} came without pictures, from elsewhere", interactive=False)
        pictures = self.studio.comparisons.pictures(timeline_id)
        if any(not (found or given.get(token)) for token, found in pictures.items()):
            return gr.Button("Give the pictures first", interactive=False)
        named = titles[0] if len(titles) == 1 else f"{len(titles)} methods"
        seconds = self.studio.comparisons.seconds(timeline_id, methods)
        return gr.Button(f"Learn under {named} and compare: {roughly(seconds)}", interactive=True)

    def _ask(self, mine: TimelineView, pictures: Pictures) -> Changes:
        """For the pictures that were not kept; those given for another timeline are not for this one."""
        without = [(card.name, card.token) for card in mine.cards if not (pictures[card.token] or card.brought)]
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
        with gr.Row(elem_id="compare-running"):
            self.progress = gr.HTML(elem_id="compare-progress")
            self.stop = gr.Button(
                "Stop comparing", variant="stop", elem_id="compare-stop", size="md", min_width=160, scale=0
            )
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
                self.save = gr.Button(
                    "Save as a picture",
                    elem_id="compare-picture",
                    size="md",
                    min_width=180,
                    scale=0,
                    visible=False,
                )
                self.download = gr.DownloadButton(
                    "Download", elem_id="compare-download", size="md", min_width=120, scale=0, visible=False
                )
        self.headline = gr.HTML(quiet("Looking at the pictures ..."), elem_id="compare-headline")
        self.teach = gr.Button("Teach a concept", variant="primary", elem_id="compare-teach", visible=False)
        with gr.Row(equal_height=False, elem_id="compare-row", visible=False) as self.pair:
            with gr.Column(scale=3, min_width=340, variant="panel", elem_classes="cl-panel"):
                self.versus = gr.HTML(elem_id="versus", js_on_load=SEND)
            with gr.Column(scale=2, min_width=320, variant="panel", elem_classes=["cl-panel", "cl-beside"]):
                self.slider = gr.ImageSlider(elem_id="compare-slider", buttons=[], show_label=False)
                self.measures = gr.HTML(elem_id="measures")
        self.maps = gr.HTML(elem_id="maps")
        self.looked = gr.State({})

    def _lay_out_start(self) -> None:
        """Which methods to learn, pictures that were not kept, start and stop."""
        with gr.Accordion(
            "Learn the same under other methods", open=False, elem_id="compare-start", visible=False
        ) as self.begin:
            with gr.Row(elem_classes="cl-actions"):
                self.start = gr.Button(
                    "Learn and compare", variant="primary", elem_id="compare-go", min_width=200, scale=0
                )
            self.note = gr.HTML(elem_id="compare-note")
            self.whose = gr.Dropdown([], label="Pictures of", elem_id="compare-whose", visible=False)
            self.drop = gr.File(
                label="Pictures",
                file_count="multiple",
                file_types=[*PICTURE_TYPES, ZIP_SUFFIX],
                elem_id="compare-drop",
                visible=False,
            )
            self.pictures = gr.State({})  # token -> paths of the pictures somebody gave
            self.told_pictures = gr.HTML(elem_id="compare-given")
            self.methods = gr.CheckboxGroup(
                [],
                label="Methods",
                elem_id="compare-methods",
                info="Each learns every concept of this timeline again, in a new timeline, with as many steps and with "
                "the rates tuned for it.",
            )

    # -- looking -----------------------------------------------------------------------------------

    def _wire_look(self) -> None:
        """Other siblings, another concept or side in the slider, and the picture of it all."""
        looked = [self.timeline, self.others, self.looked]
        self.others.input(told(self._look), looked, self._shown, **QUEUED)
        closer = self.versus.click(told(self._look_closer), looked, self._shown, **QUEUED)
        closer.success(None, js=scroll_to("compare-slider"), api_visibility="private")
        self.save.click(told(self._draw), [self.timeline, self.others], self.download, **QUEUED)

    def _look(self, timeline_id: str, others: list[str], looked: Looked) -> Changes:
        comparisons = self.studio.comparisons
        siblings, pictures = comparisons.siblings(timeline_id), comparisons.pictures(timeline_id)
        return self._show(self.studio.timeline(timeline_id), siblings, pictures, others, looked)

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
        self.methods.input(told(self._start_button), [self.timeline, self.methods, self.pictures], self.start, **QUEUED)
        self.drop.upload(
            told(self._collect),
            [self.drop, self.whose, self.pictures, self.timeline, self.methods],
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

    def _collect(
        self, files: list[str] | None, token: str, pictures: dict[str, list[str]], timeline_id: str, methods: list[str]
    ) -> Changes:
        """Keep what was given for one concept, or in a zip for several, and ask for the next."""
        paths, names = uploaded(files or []), {c.token: c.name for c in self.studio.timeline(timeline_id).cards}
        kept = self.studio.comparisons.pictures(timeline_id)
        for zipped in (Path(path) for path in paths if path.lower().endswith(ZIP_SUFFIX)):
            place = zipped.with_suffix("")  # beside the upload, and deleted with it
            unpack(zipped, place)
            found = pictures_by_concept(place, {token: names[token] for token in kept if not kept[token]})
            if not found:
                raise PictureError(
                    f"{zipped.name} has no folder that is called like a concept: {', '.join(names.values())}."
                )
            pictures = {**pictures, **{token: list(map(str, of)) for token, of in found.items()}}
        if plain := [path for path in paths if not path.lower().endswith(ZIP_SUFFIX)]:
            pictures = {**pictures, token: plain}
        missing = [token for token, found in kept.items() if not (found or pictures.get(token))]
        words = ", ".join(f"{token}: {len(paths)}" for token, paths in pictures.items() if paths)
        said = say(f"Pictures given: {words}.") if words else ""
        return {
            self.pictures: pictures,
            self.told_pictures: said,
            self.drop: None,
            self.whose: missing[0] if missing else token,
            self.start: self._start_button(timeline_id, methods, pictures),
        }

    def _start(self, timeline_id: str, methods: list[str], pictures: dict[str, list[str]]) -> Changes:
        paths = {token: tuple(map(Path, found)) for token, found in pictures.items()}
        self.studio.comparisons.start(CompareRequest(timeline_id, tuple(methods), paths))
        return {self.pictures: {}}

    def _stop(self) -> None:
        refuse_unless(self.private)
        self.studio.comparisons.stop()
