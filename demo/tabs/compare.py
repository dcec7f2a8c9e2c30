"""Compare: the same concepts, order and seeds under two methods or more; which of them forgot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from clora_core.errors import SettingsError
from clora_core.jobs.requests import CompareRequest
from demo.clicks import QUIET, SEND, picked, scroll_to
from demo.errors import told
from demo.html import compare as compare_html
from demo.html.parts import say
from demo.sharing import refuse_unless
from demo.uploads import PICTURE_TYPES, uploaded

if TYPE_CHECKING:
    from clora_core.answers import Side, TimelineSummary
    from clora_core.settings.methods import Methods
    from clora_core.studio.studio import Studio

Looked = dict[str, Any]
"""What somebody looks at: "token" and "right" (a timeline), the concept and the other side of the slider, and
"known", the timelines there were to choose from."""


@dataclass
class CompareTab:
    """The components the page itself needs."""

    followers: list[Any]  # outputs of ``follow``, in its order
    chosen: list[Any]  # of the followers, which timelines are compared and what is looked at closely
    given: list[Any]  # of the followers, pictures somebody gave and what is said of them
    progress: gr.HTML
    changes: list[Any]  # events after which the running job must be looked at
    private: bool  # nobody else reaches the page without a password


def follow(
    studio: Studio,
    timeline_id: str,
    others: Sequence[str] = (),
    looked: Looked | None = None,
    *,
    private: bool,
) -> list[Any]:
    """Values of ``followers`` for this timeline against the ``others`` and those that came since; without any,
    against the method learned last and those learned with it.

    private: whether pictures that were kept are shown, and not only those of samples.
    """
    looked = looked or {}
    mine, siblings = studio.timeline(timeline_id), studio.comparisons.siblings(timeline_id)
    titled = [(sibling, studio.methods.title(sibling.method)) for sibling in siblings]
    names = [(s.name if title in s.name else f"{title} · {s.name}", s.id) for s, title in titled]
    selected = _selected(siblings, others, looked, studio.methods)
    choice = gr.update(label=f"{mine.name} against", choices=names, value=selected, visible=bool(siblings))
    pictures = studio.comparisons.pictures(timeline_id)
    without = [(card.name, card.token) for card in mine.cards if not pictures[card.token]]
    asking = [
        compare_html.missing([name for name, _ in without]),
        gr.update(choices=without, value=without[0][1] if without else None, visible=bool(without)),
        gr.update(visible=bool(without)),
        {},  # pictures given for another timeline are not for this one
        "",
    ]
    no_file = gr.update(value=None, visible=False)  # the picture of it all is made anew
    if not selected:
        nothing = compare_html.nothing_to_compare(enough=len(mine.cards) > 1)
        return [choice, nothing, "", {}, gr.update(visible=False), "", "", no_file, *asking]
    sides = _told_apart(studio.comparisons.sides([timeline_id, *selected]))
    tokens = [card.token for card in sides[0].timeline.cards]
    token = looked["token"] if looked.get("token") in tokens else tokens[0]
    right = next((side for side in sides if side.timeline.id == looked.get("right")), sides[1])
    cards = [side.timeline.cards[tokens.index(token)] for side in (sides[0], right)]
    real = studio.comparisons.one_of_each(pictures, kept=private)
    return [
        choice,
        compare_html.headline(sides, [card.name for card in mine.cards[len(tokens) :]]),
        compare_html.versus(sides, token, right, real),
        {"token": token, "right": right.timeline.id, "known": [sibling.id for sibling in siblings]},
        gr.update(value=tuple(str(c.now_picture) if c.now_picture else None for c in cards), visible=True),
        compare_html.measures(sides, right, cards[0].name),
        compare_html.maps(sides),
        no_file,
        *asking,
    ]


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


def watch(studio: Studio) -> str:
    """How far the running comparison is, as HTML."""
    return compare_html.progress(*studio.comparisons.progress())


def build(studio: Studio, timeline: gr.Dropdown, may_remove: bool) -> CompareTab:
    """Lay the tab out and wire what happens inside it."""
    progress = gr.HTML(elem_id="compare-progress")
    with gr.Row(elem_classes="cl-bar-row", equal_height=False):
        others = gr.Dropdown(
            [],
            label="This timeline against",
            elem_id="against",
            multiselect=True,
            filterable=False,
            visible=False,
        )
        with gr.Row(elem_classes="cl-actions cl-end"):
            save = gr.Button("Make a picture of it", elem_id="compare-picture", size="md", min_width=180, scale=0)
            download = gr.DownloadButton(
                "Download", elem_id="compare-download", size="md", min_width=120, scale=0, visible=False
            )
    headline = gr.HTML(elem_id="compare-headline")
    with gr.Row(equal_height=False, elem_id="compare-row"):
        with gr.Column(scale=3, min_width=340, variant="panel", elem_classes="cl-panel"):
            versus = gr.HTML(elem_id="versus", js_on_load=SEND)
        with gr.Column(scale=2, min_width=320, variant="panel", elem_classes=["cl-panel", "cl-beside"]):
            slider = gr.ImageSlider(elem_id="compare-slider", buttons=[], show_label=False)
            measures = gr.HTML(elem_id="measures")
    maps = gr.HTML(elem_id="maps")
    looked = gr.State({})
    asking, started = _start_form(studio, timeline, may_remove)
    shown = [others, headline, versus, looked, slider, measures, maps, download]
    _wire_look(studio, timeline, (others, versus, looked, save, download), shown, private=may_remove)
    return CompareTab([*shown, *asking], [others, looked], asking[-2:], progress, started, may_remove)


def _start_form(studio: Studio, timeline: gr.Dropdown, may_remove: bool) -> tuple[list[Any], list[Any]]:
    """Which methods to learn, pictures that were not kept, start and stop. Returns what follows the timeline, and the
    events after which the running job must be looked at."""
    with gr.Accordion("Learn the same under other methods", open=False, elem_id="compare-start"):
        methods = gr.CheckboxGroup(
            [(f"{row.title}: {row.sentence}", row.name) for row in studio.methods],
            value=["sequential"],
            label="Methods",
            elem_id="compare-methods",
            info="Each learns every concept of this timeline again, in a new timeline. Takes as long as they did.",
        )
        note = gr.HTML()
        whose = gr.Dropdown([], label="Pictures of", elem_id="compare-whose", visible=False)
        drop = gr.File(
            label="Pictures",
            file_count="multiple",
            file_types=PICTURE_TYPES,
            elem_id="compare-drop",
            visible=False,
        )
        given = gr.State({})
        told_given = gr.HTML()
        with gr.Row(elem_classes="cl-actions"):
            start = gr.Button("Learn and compare", variant="primary", elem_id="compare-go", min_width=200, scale=0)
            stop = gr.Button("Stop comparing", variant="stop", elem_id="compare-stop", min_width=160, scale=0)
    started = _wire_start(studio, timeline, (methods, given, drop, whose, told_given, start))

    def stopping() -> None:
        refuse_unless(may_remove)
        studio.comparisons.stop()

    stopped = stop.click(told(stopping), None, None, **QUIET)
    return [note, whose, drop, given, told_given], [started, stopped]


def _wire_look(studio: Studio, timeline: gr.Dropdown, parts: tuple[Any, ...], shown: list[Any], private: bool) -> None:
    """Other siblings, another concept or side in the slider, and the picture of it all. ``shown`` are the first of the
    followers: pictures that were given already are kept."""
    others, versus, looked, save, download = parts

    def look(timeline_id: str, other_ids: list[str], at: Looked) -> list[Any]:
        return follow(studio, timeline_id, other_ids, at, private=private)[: len(shown)]

    def look_closer(timeline_id: str, other_ids: list[str], at: Looked, event: gr.EventData) -> list[Any]:
        act, value = picked(event)
        if act not in ("token", "right"):
            return [gr.skip()] * len(shown)
        return look(timeline_id, other_ids, {**at, act: value})

    def drawn(timeline_id: str, other_ids: list[str]) -> Any:
        if not other_ids:
            raise SettingsError("There is nothing to compare with yet. Learn the same under another method first.")
        path = studio.comparisons.picture([timeline_id, *other_ids], kept=private)
        return gr.update(value=str(path), visible=True)

    others.input(told(look), [timeline, others, looked], shown, **QUIET)
    closer = versus.click(told(look_closer), [timeline, others, looked], shown, **QUIET)
    closer.success(None, js=scroll_to("compare-slider"), api_visibility="private")
    save.click(told(drawn), [timeline, others], download, **QUIET)


def _wire_start(studio: Studio, timeline: gr.Dropdown, parts: tuple[Any, ...]) -> Any:
    """Pictures that were not kept are collected by token; Start queues every learning at once."""
    methods, given, drop, whose, note, start = parts

    def collected(files: list[Any] | None, token: str, so_far: dict[str, list[str]]) -> list[Any]:
        so_far = {**so_far, token: uploaded(files or [])} if token else so_far
        words = ", ".join(f"{token}: {len(paths)}" for token, paths in so_far.items() if paths)
        return [so_far, say(f"Pictures given: {words}.", "good") if words else "", None]

    def begin(timeline_id: str, chosen: list[str], so_far: dict[str, list[str]]) -> dict[str, list[str]]:
        pictures = {token: tuple(map(Path, found)) for token, found in so_far.items()}
        studio.comparisons.start(CompareRequest(timeline_id, tuple(chosen), pictures))
        return {}

    drop.upload(
        told(collected),
        [drop, whose, given],
        [given, note, drop],
        api_visibility="private",
        show_progress="minimal",
    )
    return start.click(
        told(begin),
        [timeline, methods, given],
        given,
        show_progress="minimal",
        trigger_mode="once",
        api_visibility="private",
        concurrency_limit=None,
    )
