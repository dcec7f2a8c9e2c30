"""The page: header, tabs, and what ties the tabs together."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr

from clora_core.disk import ASSETS
from demo.api import Api
from demo.clicks import QUIET, picked
from demo.errors import told
from demo.html import parts
from demo.tabs import (
    add as add_tab,
)
from demo.tabs import (
    compare as compare_tab,
)
from demo.tabs import (
    playground as playground_tab,
)
from demo.tabs import (
    timeline as timeline_tab,
)

if TYPE_CHECKING:
    from clora_core.studio.studio import Studio

LOGO = ASSETS / "logo.svg"
UPLOADS_SECONDS = (3600, 86_400)  # look every hour, delete uploads older than a day
POLL_SECONDS = 1.0
BROWSER_KEY, BROWSER_SALT = "clora-studio", "not secret: keeps the entry readable after a restart"
NOTHING_KEPT: dict[str, Any] = {"prompt": "", "seed": 0, "locked": False, "timeline": "", "watched": ""}


def build_demo(studio: Studio, may_remove: bool = True) -> gr.Blocks:
    """The whole page for an open studio. Theme and style sheet are given to ``launch``.

    Args:
        may_remove: False where others can reach the page without a password: what takes something away is refused.
    """
    with gr.Blocks(title="C-LoRA Studio", analytics_enabled=False, delete_cache=UPLOADS_SECONDS) as demo:
        chosen = studio.default_timeline()  # makes one when there is none
        timeline = gr.Dropdown(
            timeline_tab.choices(studio),
            value=chosen,
            label="Timeline",
            elem_id="timeline",
            filterable=False,
            render=False,
        )
        kept = gr.BrowserState(NOTHING_KEPT, storage_key=BROWSER_KEY, secret=BROWSER_SALT)
        with gr.Row(elem_classes="cl-top"):
            gr.HTML(parts.header(LOGO), elem_id="header")
            model = gr.HTML(parts.model_state(studio.base.name, studio.ready, ""), elem_id="model")
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as tabs:
            with gr.Tab("Playground", id="playground"):
                playground = playground_tab.build(studio, timeline)
            with gr.Tab("Add concept", id="add") as add_page:
                add = add_tab.build(studio, timeline, may_remove)
            with gr.Tab("Timeline", id="timeline"):
                history = timeline_tab.build(studio, timeline, may_remove)
            with gr.Tab("Compare", id="compare"):
                compare = compare_tab.build(studio, timeline, may_remove)
        Api(studio, may_remove).publish()
        page = Page(studio, timeline, kept, tabs, playground, add, history, compare, model)
        page.wire(demo, add_page)
    return demo


class Page:
    """What ties the tabs together: one timeline for all, one clock, and the ways from tab to tab."""

    def __init__(
        self,
        studio: Studio,
        timeline: gr.Dropdown,
        kept: gr.BrowserState,
        tabs: gr.Tabs,
        playground: playground_tab.Playground,
        add: add_tab.AddTab,
        history: timeline_tab.TimelineTab,
        compare: compare_tab.CompareTab,
        model: gr.HTML,
    ) -> None:
        self.studio, self.timeline, self.kept, self.tabs = studio, timeline, kept, tabs
        self.playground, self.add, self.history, self.compare = playground, add, history, compare
        self.timer = gr.Timer(POLL_SECONDS, active=False)
        self.model_seen, self.landed = gr.State(""), gr.State("")
        tabs_follow = (playground.followers, add.followers, history.followers, compare.followers)
        self.everywhere = [timeline, *itertools.chain(*tabs_follow)]
        self.clock_in = [
            add.seen,
            self.model_seen,
            kept,
            add.begun,
            self.landed,
            timeline,
            playground.prompt,
            playground.as_of,
            *compare.chosen,
        ]
        self.clock = [
            *add.job_parts,
            self.timer,
            model,
            self.model_seen,
            kept,
            add.begun,
            compare.progress,
            self.landed,
        ]

    # -- handlers ----------------------------------------------------------------------------------

    def follow(
        self,
        timeline_id: str,
        prompt: str,
        keep_prompt: bool = True,
        as_of: float | None = None,
        compared: Sequence[Any] = (),
    ) -> list[Any]:
        """Values of ``everywhere`` for a timeline.

        as_of: where the slider stays; None = at the end.  compared: values of Compare's ``chosen``, to be kept.
        """
        return [
            gr.update(choices=timeline_tab.choices(self.studio), value=timeline_id),
            *playground_tab.follow(self.studio, timeline_id, prompt, keep_prompt, as_of),
            *add_tab.follow(self.studio, timeline_id),
            *timeline_tab.follow(self.studio, timeline_id),
            *compare_tab.follow(self.studio, timeline_id, *compared, private=self.compare.private),
        ]

    def follow_landed(
        self, job_id: str, timeline_id: str, prompt: str, as_of: float, compared: Sequence[Any]
    ) -> list[Any]:
        """The same when the concept of a job lands: what somebody is in the middle of stays as it is, the slider, too,
        unless it stood at the end."""
        job = self.studio.job(job_id)
        here = job is not None and job.timeline_id == timeline_id
        end = len(self.studio.timeline(timeline_id).cards) - here
        page = self.follow(timeline_id, prompt, as_of=as_of if as_of < end else None, compared=compared)
        for part in (*self.history.questions, *self.compare.given):
            page[self.everywhere.index(part)] = gr.skip()
        return page

    def look(self, seen: tuple[Any, ...], model_seen: str, kept: dict[str, Any] | None, begun: str = "") -> list[Any]:
        """Values of ``clock``; the timer rests when nothing runs and the model stands.

        begun: a job started here, to be watched even if it has ended before anybody looked.
        """
        studio = self.studio
        job = studio.job()
        kept, remembered = NOTHING_KEPT | (kept or {}), gr.skip()
        running = job is not None and not job.finished
        watched = begun or (job.id if job is not None and running else kept["watched"])
        if watched != kept["watched"]:
            kept = remembered = kept | {"watched": watched}
        state = parts.model_state(studio.base.name, studio.ready, studio.model_problem)
        return [
            *add_tab.watch(studio, tuple(seen), kept["watched"]),
            gr.Timer(active=running or not (studio.ready or studio.model_problem)),
            state if state != model_seen else gr.skip(),
            state,
            remembered,
            "",
            compare_tab.watch(studio),
            studio.landed(),
        ]

    def tick(
        self,
        seen: tuple[Any, ...],
        model_seen: str,
        kept: dict[str, Any] | None,
        begun: str,
        landed: str,
        timeline_id: str,
        prompt: str,
        as_of: float,
        *compared: Any,
    ) -> list[Any]:
        """Values of ``clock`` and, when a concept has just landed in a timeline, of ``everywhere``."""
        clock = self.look(seen, model_seen, kept, begun)
        now = clock[self.clock.index(self.landed)]
        if now not in ("", landed):
            return [*clock, *self.follow_landed(now, timeline_id, prompt, as_of, compared)]
        return [*clock, *[gr.skip()] * len(self.everywhere)]

    def load(self, kept: dict[str, Any] | None) -> list[Any]:
        """First look, or a reload: the truth comes from the studio, the prompt from the browser."""
        kept = NOTHING_KEPT | (kept or {})
        chosen = self.studio.default_timeline()
        if kept["timeline"] in [summary.id for summary in self.studio.timelines() if summary.usable]:
            chosen = kept["timeline"]
        page, gallery = self.follow(chosen, kept["prompt"]), self.playground.gallery
        place, newest = self.everywhere.index(self.playground.prompt), gallery.newest()
        if kept["prompt"].strip():
            page[place] = kept["prompt"]
        prompt = page[place]
        return [
            *page,
            kept["seed"],
            kept["locked"],
            newest,
            gallery.front(newest, chosen, prompt),
            gallery.wall(newest),
            *self.look((), "", kept),
        ]

    def to_playground(self, timeline_id: str, prompt: str, token: str, new: bool = False) -> list[Any]:
        """The Playground in front, and values of ``everywhere`` with this token in the prompt, today. new: the
        timeline was chosen just now, so that the other tabs have to follow, too."""
        prompt = playground_tab.with_token(prompt, token)
        page = [gr.skip()] * len(self.everywhere)
        if new:
            page = self.follow(timeline_id, prompt)
        else:
            values = playground_tab.follow(self.studio, timeline_id, prompt)
            page[1 : 1 + len(values)] = values
        page[self.everywhere.index(self.playground.prompt)] = prompt
        return [gr.Tabs(selected="playground"), *page]

    # -- wiring ------------------------------------------------------------------------------------

    def wire(self, demo: gr.Blocks, add_page: gr.Tab) -> None:
        """Connect the handlers."""
        prompt, seed, locked = self.playground.kept
        front = [self.playground.shown, self.playground.stage, self.playground.history]
        demo.load(told(self.load), self.kept, [*self.everywhere, seed, locked, *front, *self.clock], **QUIET)
        changes = [*self.add.changes, *self.compare.changes]
        for event in (self.timer.tick, add_page.select, *(change.success for change in changes)):
            event(told(self.tick), self.clock_in, [*self.clock, *self.everywhere], **QUIET)
        self.timeline.input(
            told(lambda t, p: self.follow(t, p, keep_prompt=False)),
            [self.timeline, prompt],
            self.everywhere,
            **QUIET,
        )
        for change in self.history.changes:
            change.success(told(self.follow), [self.timeline, prompt], self.everywhere, **QUIET)
        self._wire_ways(prompt)
        gr.on(
            [prompt.blur, prompt.submit, seed.change, locked.change, self.timeline.change],
            lambda kept, p, s, k, t: NOTHING_KEPT | (kept or {}) | {"prompt": p, "seed": s, "locked": k, "timeline": t},
            [self.kept, prompt, seed, locked, self.timeline],
            self.kept,
            **QUIET,
        )

    def _wire_ways(self, prompt: gr.Textbox) -> None:
        """Verdict -> Playground, card -> Playground, verdict -> form."""

        elsewhere = [self.tabs, *self.everywhere]
        nothing = [gr.skip()] * len(elsewhere)

        def used(timeline_id: str, prompt: str, event: gr.EventData) -> list[Any]:
            act, token = picked(event)
            return self.to_playground(timeline_id, prompt, token) if act == "use" else nothing

        def dismissed(kept: dict[str, Any] | None) -> dict[str, Any]:
            return NOTHING_KEPT | (kept or {}) | {"watched": ""}

        def chosen(verdict: str, timeline_id: str) -> list[Any]:
            job = self.studio.job(verdict) if verdict else None
            if job is None or job.timeline_id == timeline_id:
                return [gr.skip(), False]
            return [gr.update(choices=timeline_tab.choices(self.studio), value=job.timeline_id), True]

        def tried(verdict: str, timeline_id: str, prompt: str, new: bool) -> list[Any]:
            job = self.studio.job(verdict) if verdict else None
            return self.to_playground(timeline_id, prompt, job.token, new) if job else nothing

        self.history.cards.click(told(used), [self.timeline, prompt], elsewhere, **QUIET)
        new, verdict = gr.State(False), self.add.verdict
        # the timeline first, alone: what changes with the rest asks for its notes by the timeline that is chosen then
        at_home = self.add.try_it.click(told(chosen), [verdict, self.timeline], [self.timeline, new], **QUIET).then(
            told(tried), [verdict, self.timeline, prompt, new], elsewhere, **QUIET
        )
        for done in (at_home.then, self.add.another.click):
            done(told(dismissed), self.kept, self.kept, **QUIET).then(
                told(self.tick), self.clock_in, [*self.clock, *self.everywhere], **QUIET
            )
