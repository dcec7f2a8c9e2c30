"""Compare: the same concepts, order and seeds under two methods; which side forgot."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from clora_core.errors import SettingsError
from clora_core.settings import METHOD_TITLES
from demo import compare_views, views
from demo.clicks import QUIET, SEND, picked, scroll_to
from demo.errors import told
from demo.sharing import refuse_unless
from demo.uploads import PICTURE_TYPES, uploaded

if TYPE_CHECKING:
    from clora_core.studio import Studio

LEARNABLE = [(title, name) for name, title in METHOD_TITLES.items()]


@dataclass
class CompareTab:
    """The components the page itself needs."""

    followers: list[Any]  # outputs of ``follow``, in its order
    given: list[Any]  # of the followers, pictures somebody gave and what is said of them
    progress: gr.HTML
    changes: list[Any]  # events after which the running job must be looked at


def follow(studio: Studio, timeline_id: str, other: str = "", chosen: str = "") -> list[Any]:
    """Values of ``followers`` for this timeline against ``other``, with one concept looked at closely."""
    mine, siblings = studio.timeline(timeline_id), studio.comparisons.siblings(timeline_id)
    titled = [(sibling, METHOD_TITLES.get(sibling.method, sibling.method)) for sibling in siblings]
    names = [(s.name if title in s.name else f"{title} · {s.name}", s.id) for s, title in titled]
    ids = [sibling.id for sibling in siblings]
    right_id = other if other in ids else next(iter(ids), "")
    choice = gr.update(label=f"{mine.name} against", choices=names, value=right_id or None, visible=bool(ids))
    pictures = studio.comparisons.pictures(timeline_id)
    without = [(card.name, card.token) for card in mine.cards if not pictures[card.token]]
    asking = [
        compare_views.missing([name for name, _ in without]),
        gr.update(choices=without, value=without[0][1] if without else None, visible=bool(without)),
        gr.update(visible=bool(without)),
        {},  # pictures given for another timeline are not for this one
        "",
    ]
    no_file = gr.update(value=None, visible=False)  # the picture of it all is made anew
    if not ids:
        nothing = compare_views.nothing_to_compare(enough=len(mine.cards) > 1)
        return [choice, nothing, "", "", gr.update(visible=False), "", "", no_file, *asking]
    shared = studio.comparisons.shared(timeline_id, right_id)
    left, right = (studio.comparisons.side(side, shared) for side in (timeline_id, right_id))
    if left.title == right.title:
        left, right = (replace(side, title=side.timeline.name) for side in (left, right))
    tokens = [card.token for card in left.timeline.cards]
    chosen = chosen if chosen in tokens else tokens[0]
    place = tokens.index(chosen)
    pair = tuple(
        str(side.timeline.cards[place].now_picture) if side.timeline.cards[place].now_picture else None
        for side in (left, right)
    )
    return [
        choice,
        compare_views.headline(left, right, [card.name for card in mine.cards[shared:]]),
        compare_views.versus(left, right, chosen),
        chosen,
        gr.update(value=pair, visible=True),
        compare_views.measures(left, right, left.timeline.cards[place].name),
        compare_views.maps(left, right),
        no_file,
        *asking,
    ]


def watch(studio: Studio) -> str:
    """How far the running comparison is, as HTML."""
    return compare_views.progress(*studio.comparisons.progress())


def build(studio: Studio, timeline: gr.Dropdown, may_remove: bool) -> CompareTab:
    """Lay the tab out and wire what happens inside it."""
    progress = gr.HTML(elem_id="compare-progress")
    with gr.Row(elem_classes="cl-bar-row", equal_height=False):
        other = gr.Dropdown(
            [], label="This timeline against", elem_id="against", filterable=False, visible=False
        )
        with gr.Row(elem_classes="cl-actions cl-end"):
            save = gr.Button(
                "Make a picture of it", elem_id="compare-picture", size="md", min_width=180, scale=0
            )
            download = gr.DownloadButton(
                "Download", elem_id="compare-download", size="md", min_width=120, scale=0, visible=False
            )
    headline = gr.HTML(elem_id="compare-headline")
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=340, variant="panel", elem_classes="cl-panel"):
            versus = gr.HTML(elem_id="versus", js_on_load=SEND)
        with gr.Column(scale=2, min_width=320, variant="panel", elem_classes=["cl-panel", "cl-beside"]):
            slider = gr.ImageSlider(elem_id="compare-slider", buttons=[], show_label=False)
            measures = gr.HTML(elem_id="measures")
    maps = gr.HTML(elem_id="maps")
    chosen = gr.State("")
    with gr.Accordion("Learn the same under other methods", open=False, elem_id="compare-start"):
        methods = gr.CheckboxGroup(
            LEARNABLE,
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
            start = gr.Button(
                "Learn and compare", variant="primary", elem_id="compare-go", min_width=200, scale=0
            )
            stop = gr.Button("Stop comparing", variant="stop", elem_id="compare-stop", min_width=160, scale=0)
    shown = [other, headline, versus, chosen, slider, measures, maps, download]
    followers = [*shown, note, whose, drop, given, told_given]
    _wire_look(studio, timeline, (other, versus, chosen, save, download), shown)
    started = _wire_start(studio, timeline, (methods, given, drop, whose, told_given, start))

    def stopping() -> None:
        refuse_unless(may_remove)
        studio.comparisons.stop()

    stopped = stop.click(told(stopping), None, None, **QUIET)
    return CompareTab(followers, [given, told_given], progress, [started, stopped])


def _wire_look(studio: Studio, timeline: gr.Dropdown, parts: tuple[Any, ...], shown: list[Any]) -> None:
    """Another sibling, another concept in the slider, and the picture of it all. ``shown`` are the first of the
    followers: pictures that were given already are kept."""
    other, versus, chosen, save, download = parts

    def look(timeline_id: str, other_id: str, token: str) -> list[Any]:
        return follow(studio, timeline_id, other_id, token)[: len(shown)]

    def look_closer(timeline_id: str, other_id: str, event: gr.EventData) -> list[Any]:
        act, token = picked(event)
        return look(timeline_id, other_id, token) if act == "pick" else [gr.skip()] * len(shown)

    def drawn(timeline_id: str, other_id: str | None) -> Any:
        if not other_id:
            raise SettingsError(
                "There is nothing to compare with yet. Learn the same under another method first."
            )
        path = studio.comparisons.picture(timeline_id, other_id)
        return gr.update(value=str(path), visible=True)

    other.input(told(look), [timeline, other, chosen], shown, **QUIET)
    closer = versus.click(told(look_closer), [timeline, other], shown, **QUIET)
    closer.success(None, js=scroll_to("compare-slider"), api_visibility="private")
    save.click(told(drawn), [timeline, other], download, **QUIET)


def _wire_start(studio: Studio, timeline: gr.Dropdown, parts: tuple[Any, ...]) -> Any:
    """Pictures that were not kept are collected by token; Start queues every learning at once."""
    methods, given, drop, whose, note, start = parts

    def collected(files: list[Any] | None, token: str, so_far: dict[str, list[str]]) -> list[Any]:
        so_far = {**so_far, token: uploaded(files or [])} if token else so_far
        words = ", ".join(f"{token}: {len(paths)}" for token, paths in so_far.items() if paths)
        return [so_far, views.say(f"Pictures given: {words}.", "good") if words else "", None]

    def begin(timeline_id: str, chosen: list[str], so_far: dict[str, list[str]]) -> dict[str, list[str]]:
        paths = {token: [Path(path) for path in found] for token, found in so_far.items()}
        studio.comparisons.start(timeline_id, chosen, paths)
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
