"""The page: header, tabs, and what ties the tabs together."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.blocks import Block

from demo.api import Api
from demo.clicks import KEYS, picked, scroll_to
from demo.dialogs import closed
from demo.errors import told
from demo.events import QUEUED, QUIET, Changes, never_refuses, unchanged, whenever
from demo.first_run import FirstRun
from demo.header import Header
from demo.html import lessons as lessons_html
from demo.html import parts
from demo.html import playground as playground_html
from demo.lightbox import Lightbox
from demo.new_timeline import choices
from demo.sharing import Owners
from demo.tabs.add import AddTab
from demo.tabs.compare import CompareTab
from demo.tabs.lesson import LessonPanel, Seen, looked_at
from demo.tabs.playground import Playground, with_token
from demo.tabs.timeline import TimelineTab
from demo.tools import HIDDEN, Tools
from demo.uploads import upload_folder

if TYPE_CHECKING:
    from clora_core.answers import JobView
    from clora_core.studio.studio import Studio

UPLOADS_SECONDS = (3600, 86_400)  # look every hour, delete uploads older than a day
POLL_SECONDS = 1.0
IDLE_SECONDS = 5.0  # while nothing runs: somebody else may begin a lesson or open another model
TO_STAGE = "() => document.body.hasAttribute('data-looking') || scrollTo({top: 0, behavior: 'smooth'})"
"""After the settings of a picture were taken, which closes it: to the top, where they and the picture stand."""
BROWSER_KEY, WATCHED_KEY = "clora-studio", "clora-studio-lessons"
BROWSER_SALT = "not secret: keeps the entry readable after a restart"
Kept = dict[str, Any]
"""What the browser remembers."""
NOTHING_KEPT: Kept = {"prompt": "", "seed": 0, "locked": False, "timelines": {}}
"""timelines: the one chosen last, by base model."""


def build_demo(studio: Studio, may_remove: bool = True, tools: bool = False) -> gr.Blocks:
    """The whole page for an open studio. Theme and style sheet are given to ``launch``.

    Args:
        may_remove: False where others can reach the page without a password: what takes something away is refused.
        tools: with what assistants call (``demo.tools``).
    """
    upload_folder()
    demo = gr.Blocks(title="C-LoRA Studio", analytics_enabled=False, delete_cache=UPLOADS_SECONDS)
    with demo:
        Page(studio, may_remove).wire(demo)
        Api(studio, may_remove).publish(undocumented=HIDDEN if tools else ())
        if tools:
            Tools(studio).publish()
    return demo


class Page:
    """What ties the tabs together: one timeline for all, one clock, and the ways from tab to tab."""

    def __init__(self, studio: Studio, may_remove: bool) -> None:
        self.studio = studio
        self._lay_out(may_remove)
        tabs_follow = (self.playground, self.add, self.history, self.compare)
        followers = (part for tab in tabs_follow for part in tab.followers)
        self.everywhere: list[Block] = [self.timeline, self.here, *self.header.questions, *followers]
        said = [self.said, self.model, self.pill.shown, self.compare.progress]
        self.clock: list[Block] = [*self.lesson.watchers, self.add.begun, self.timer, self.watched, self.landed, *said]
        self.clock.append(self.opened)
        self.presets: list[Block] = [*self.playground.presets, *self.add.advanced.shown]

    def _lay_out(self, may_remove: bool) -> None:
        studio = self.studio
        self.kept = gr.BrowserState(NOTHING_KEPT, storage_key=BROWSER_KEY, secret=BROWSER_SALT)
        # ids of the lessons that were seen here before they ended; apart, for the clock writes it while people type
        self.watched = gr.BrowserState([], storage_key=WATCHED_KEY, secret=BROWSER_SALT)
        self.header = Header(studio, may_remove)
        self.timeline, self.model, self.pill = self.header.timeline, self.header.model, self.header.pill
        self.lightbox = Lightbox(studio, may_remove)
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as self.tabs:
            with gr.Tab("Playground", id="playground"):
                self.playground = Playground(studio, self.timeline, self.lightbox.marked)
            with gr.Tab("Add concept", id="add") as self.add_page:
                owners = Owners(may_remove)
                self.lesson = LessonPanel(studio, may_remove, owners)
                self.add = AddTab(studio, self.timeline, may_remove, owners)
                self.lesson.wire(self.add)
            with gr.Tab("Timeline", id="timeline") as self.timeline_page:
                naming, emptying = self.header.naming, self.header.preferences.emptying
                self.history = TimelineTab(studio, self.timeline, naming, emptying, may_remove)
            with gr.Tab("Compare", id="compare") as self.compare_page:
                self.compare = CompareTab(studio, self.timeline, may_remove)
        for part in self.add.memory:
            part.render()
        self.first_run = FirstRun(self.tabs)
        self.timer = gr.Timer(POLL_SECONDS, active=False)
        self.said = gr.State({})  # what the clock said last, by component
        self.landed = gr.Textbox(visible="hidden")  # id of the job whose concept landed last
        self.followed = gr.State("")  # the landed job that the tabs show
        self.here = gr.State("")  # id of the timeline that they show
        self.opened = gr.Textbox(visible="hidden")  # path of the model that stands in memory
        self.shown_model = gr.State("")  # the model that the tabs show

    # -- handlers ----------------------------------------------------------------------------------

    def follow(
        self,
        timeline_id: str,
        prompt: str,
        keep_prompt: bool = True,
        as_of: float | None = None,
        compared: Sequence[Any] | None = (),
    ) -> Changes:
        """Everything that follows the timeline.

        as_of: where the slider stays; None = at the end.  compared: values of Compare's ``looks``, to be kept; None
        leaves that tab as it is.
        """
        return {
            self.timeline: gr.update(choices=choices(self.studio), value=timeline_id),
            self.here: timeline_id,
            **closed(*self.header.questions),
            **self.playground.follow(timeline_id, prompt, keep_prompt, as_of),
            **self.add.follow(timeline_id),
            **self.history.follow(timeline_id),
            **(self.compare.follow(timeline_id, *compared) if compared is not None else {}),
        }

    def follow_chosen(self, timeline_id: str, prompt: str, here: str) -> Changes:
        """The same when a timeline is chosen or has changed. here: the one that the tabs show."""
        return self.follow(timeline_id, prompt, keep_prompt=timeline_id == here)

    def follow_landed(
        self, landed: str, followed: str, timeline_id: str, prompt: str, as_of: float, *compared: Any
    ) -> Changes:
        """The same when the concept of a job lands: what somebody is in the middle of stays as it is, the slider, too,
        unless it stood at the end."""
        if landed in ("", followed):
            return unchanged()
        job = self.studio.job(landed)
        here = job is not None and job.timeline_id == timeline_id
        end = len(self.studio.timeline(timeline_id).cards) - here
        opened = compared if compared[-1] else None  # else it shows what there is when it is opened
        changes = self.follow(timeline_id, prompt, as_of=as_of if as_of < end else None, compared=opened)
        for part in (*self.header.questions, *self.history.questions, *self.compare.given):
            changes.pop(part, None)
        return changes | {self.followed: landed}

    def follow_pictures(self, shown: list[str], timeline_id: str, prompt: str) -> Changes:
        """The same when a picture was deleted or came back."""
        return self.playground.show(shown, timeline_id, prompt) | self.history.in_trash()

    def follow_model(self, opened: str, shown: str, kept: Kept | None, prompt: str) -> Changes:
        """The same when another base model was opened, here or by somebody else: its timelines and its presets."""
        if opened in ("", shown):
            return unchanged()
        chosen = self._chosen(kept)
        gr.Info(
            f"The base model is {escape(self.studio.base.name)} now. The timelines of the other one are kept, and are "
            "there again when that is opened.",
            title="Another model",
        )
        return self.follow(chosen, prompt, keep_prompt=False) | self.of_model(chosen) | {self.shown_model: opened}

    def of_model(self, timeline_id: str) -> Changes:
        """The open model's presets in their inputs."""
        return self.playground.of_model() | self.add.advanced.of_model(timeline_id)

    def _chosen(self, kept: Kept | None) -> str:
        """The timeline that this visitor chose last; for a new one the example."""
        last = (NOTHING_KEPT | (kept or {}))["timelines"].get(self.studio.base.id, "")
        usable = [summary.id for summary in self.studio.timelines() if summary.usable]
        return last if last in usable else self.studio.first_timeline()

    @never_refuses
    def tick(
        self, seen: Seen | None, said: dict[str, str], watched: list[str] | None, begun: str = "", chosen: str = ""
    ) -> Changes:
        """The clock: the lessons and the model as they stand; the timer is slow while nothing is learned and the model
        stands.

        begun: a job started here, to be watched even if it has ended before anybody looked.  chosen: the lesson that
        somebody looks at.
        """
        studio = self.studio
        listed = self._listed([*(watched or []), begun])
        running = any(not job.finished for job in listed)
        changes: Changes = self.lesson.watch(listed, seen, "" if begun else chosen)
        if begun:
            changes[self.lesson.chosen] = ""
        now = [job.id for job in listed if not job.resumable]
        if now != watched:
            changes[self.watched] = now
        words = {
            self.pill.shown: self.pill.words(listed),
            self.lesson.line: lessons_html.line(
                listed, looked_at(listed, "" if begun else chosen), self._timelines_of(listed)
            ),
            self.model: parts.model_state(studio.base.name, studio.ready, studio.model_problem, studio.base.draws),
            self.compare.progress: self.compare.watch(),
        }
        changes |= {part: text for part, text in words.items() if text != said.get(str(part.elem_id))}
        if studio.ready:
            changes[self.opened] = studio.base.path
        busy = running or not (studio.ready or studio.model_problem)
        return changes | {
            self.timer: gr.Timer(POLL_SECONDS if busy else IDLE_SECONDS, active=True),
            self.said: {str(part.elem_id): text for part, text in words.items()},
            self.add.begun: "",
            self.landed: studio.landed(),
        }

    def _listed(self, watched: Sequence[str]) -> list[JobView]:
        """The lessons that a visitor is to see: the line, then what waits for a decision, then what was ``watched`` and
        has ended since, newest first; what was discarded is gone."""
        now = self.studio.lessons.all()
        ids = {job.id for job in now}
        ended = self.studio.lessons.views([job_id for job_id in watched if job_id and job_id not in ids])
        stored = (job for job in ended if job.concept_id or job.state == "failed")
        return [*now, *sorted(stored, key=lambda job: -job.ended)]

    def _timelines_of(self, listed: Sequence[JobView]) -> dict[str, str]:
        """Names of the timelines that lessons are for, by id; {} where they are all for one."""
        ids = {job.timeline_id for job in listed}
        named = {summary.id: summary.name for summary in self.studio.timelines()} if len(ids) > 1 else {}
        return {timeline_id: named[timeline_id] for timeline_id in ids if timeline_id in named}

    def load(self, kept: Kept | None, watched: list[str] | None, prompts: list[str] | None) -> Changes:
        """First look, or a reload: the truth comes from the studio, the prompt from the browser."""
        kept = NOTHING_KEPT | (kept or {})
        chosen = self._chosen(kept)
        changes: Changes = {self.playground.prompt: kept["prompt"]}
        changes |= self.follow(chosen, kept["prompt"], keep_prompt=False, compared=None)
        changes |= {self.playground.seed: kept["seed"], self.playground.locked: kept["locked"]}
        changes[self.playground.recent] = playground_html.recent(prompts or [])
        changes |= self.tick(None, {}, watched) | self.of_model(chosen)
        return changes | {self.followed: changes[self.landed], self.shown_model: self.studio.base.path}

    def to_playground(
        self, timeline_id: str, prompt: str, token: str, new: bool = False, as_of: int | None = None
    ) -> Changes:
        """The Playground in front with this token in the prompt. new: the timeline was chosen just now, so that the
        other tabs have to follow, too.  as_of: after so many concepts; None = today."""
        prompt = with_token(prompt, token)
        changes = self.follow(timeline_id, prompt) if new else self.playground.follow(timeline_id, prompt, as_of=as_of)
        changes |= self.playground.show(self.playground.gallery.fitting(timeline_id, prompt), timeline_id, prompt)
        return changes | {self.tabs: gr.Tabs(selected="playground"), self.playground.prompt: prompt}

    # -- wiring ------------------------------------------------------------------------------------

    def wire(self, demo: gr.Blocks) -> None:
        """Connect the handlers."""
        prompt, seed, locked = self.playground.kept
        recent = self.playground.recent
        first = [*self.everywhere, seed, locked, recent, *self.clock, self.followed, self.shown_model]
        kept: list[Block] = [self.kept, self.watched, self.playground.prompts]
        loaded = demo.load(told(self.load), kept, [*first, *self.presets], **QUEUED)
        demo.load(None, None, None, js=KEYS, api_visibility="private")
        self.header.preferences.wire(demo)
        self.add.wire_memory(loaded)
        advanced = self.add.advanced
        self.header.preferences.wire_defaults(
            self.playground.settings, advanced.method, advanced.settings, self.timeline, self.of_model, self.presets
        )
        self._wire_first_run(demo)
        clock: list[Block] = [self.lesson.seen, self.said, self.watched, self.add.begun, self.lesson.chosen]
        changes = [self.add.started, *self.lesson.changes, *self.compare.changes]
        for event in (self.timer.tick, self.add_page.select, *(change.success for change in changes)):
            event(self.tick, clock, self.clock, **QUIET)
        seen = [self.timeline, *self.compare.looks]
        opened = self.compare_page.select(told(self.compare.open), seen, self.compare.followers, **QUEUED)
        for event in (loaded, opened):  # whichever ends last
            event.success(told(self.compare.catch_up), seen, self.compare.followers, **QUEUED)
        self.compare.teach.click(self._to_add, None, self.tabs, **QUIET)
        whenever(
            [self.landed.change],
            told(self.follow_landed),
            [self.landed, self.followed, self.timeline, prompt, self.playground.as_of, *self.compare.looks],
            [*self.everywhere, self.followed],
            **QUEUED,
        )
        self.header.models.done.success(self.tick, clock, self.clock, **QUIET)
        self.opened.change(
            told(self.follow_model),
            [self.opened, self.shown_model, self.kept, prompt],
            [*self.everywhere, *self.presets, self.shown_model],
            **QUEUED,
        )
        changes = [self.header.naming.created(), self.header.naming.taken_in(), *self.history.changes]
        for change in (self.timeline.input, *(change.success for change in changes)):
            change(told(self.follow_chosen), [self.timeline, prompt, self.here], self.everywhere, **QUEUED)
        for change in (self.lightbox.removed.change, self.history.picture_back.change):
            change(
                told(self.follow_pictures),
                [self.playground.shown, self.timeline, prompt],
                [*self.playground.front, *self.history.trashed],
                **QUEUED,
            )
        self._wire_ways(prompt, clock)
        whenever(  # else what changes while the last change is kept is not
            [prompt.blur, prompt.submit, seed.change, locked.change, self.timeline.change],
            self.remember,
            [self.kept, prompt, seed, locked, self.timeline],
            self.kept,
            **QUIET,
        )

    def _wire_first_run(self, demo: gr.Blocks) -> None:
        """Begun, learned, drawn, a second one learned, looked at."""
        self.first_run.wire(demo)
        self.first_run.after(self.add.started.success, {0: 1})
        self.first_run.after(self.landed.change, {0: 2, 1: 2, 3: 4}, changed=(self.landed, self.followed))
        self.first_run.after(self.playground.shown.change, {2: 3})
        self.first_run.after(self.timeline_page.select, {4: 5})

    @never_refuses
    def remember(self, kept: Kept | None, prompt: str, seed: float, locked: bool, timeline_id: str) -> Changes:
        """What the browser keeps for the next visit."""
        before = NOTHING_KEPT | (kept or {})
        chosen = {**before["timelines"], self.studio.base.id: timeline_id}  # one for each base model
        now = {"prompt": prompt, "seed": seed, "locked": locked, "timelines": chosen}
        return {self.kept: before | now}

    def _wire_ways(self, prompt: gr.Textbox, clock: list[Block]) -> None:
        """Verdict -> Playground, card -> Playground, card -> form, verdict -> form, pill -> lessons."""
        to_lessons = self.pill.shown.click(
            never_refuses(lambda: {self.tabs: gr.Tabs(selected="add")}), None, self.tabs, **QUIET
        )
        to_lessons.then(None, js=scroll_to("live"), api_visibility="private")
        elsewhere = [self.tabs, *self.everywhere]
        advanced = self.add.advanced
        beyond = [*elsewhere, *advanced.shown, advanced.box]
        self.history.cards.click(told(self._use), [self.timeline, prompt], beyond, **QUEUED)
        used = [self.tabs, *self.playground.brought]
        brought = self.lightbox.acts.click(told(self._use_settings), [self.timeline, prompt], used, **QUEUED)
        brought.success(None, js=TO_STAGE, api_visibility="private")
        new, verdict = gr.State(False), self.lesson.verdict

        def chosen(verdict: str, timeline_id: str) -> Changes:
            job = self.studio.job(verdict) if verdict else None
            if job is None or job.timeline_id == timeline_id:
                return {new: False}
            return {
                self.timeline: gr.update(choices=choices(self.studio), value=job.timeline_id),
                new: True,
            }

        # the timeline first, alone: what changes with the rest asks for its notes by the timeline that is chosen then
        at_home = self.lesson.try_it.click(told(chosen), [verdict, self.timeline], [self.timeline, new], **QUEUED).then(
            told(self._try), [verdict, self.timeline, prompt, new], elsewhere, **QUEUED
        )
        for done in (at_home.then, self.lesson.another.click):
            done(self.dismiss, None, self.watched, **QUIET).then(self.tick, clock, self.clock, **QUIET)
        cleared = self.lesson.line.click(self.dismissed, None, self.watched, **QUIET)
        cleared.then(self.tick, clock, self.clock, **QUIET)

    @never_refuses
    def _to_add(self) -> Changes:
        return {self.tabs: gr.Tabs(selected="add")}

    def _use(self, timeline_id: str, prompt: str, event: gr.EventData) -> Changes:
        act, value = picked(event)
        if act == "use":
            return self.to_playground(timeline_id, prompt, value)
        if act == "settings":
            changes = self.add.advanced.of_card(self.history.card(timeline_id, value))
            return changes | {self.tabs: gr.Tabs(selected="add")}
        if act != "day":
            return unchanged()
        day = int(value)
        tokens = [card.token for card in self.studio.timeline(timeline_id).cards[:day]]
        return self.to_playground(timeline_id, prompt, tokens[-1], as_of=day) if 0 < len(tokens) == day else unchanged()

    def _use_settings(self, timeline_id: str, prompt: str, event: gr.EventData) -> Changes:
        """Of the picture that is looked at."""
        act, name = picked(event)
        if act not in ("use", "vary"):
            return unchanged()
        changes = self.playground.restored(self.studio.picture(name), timeline_id, prompt)
        if act == "vary":
            changes[self.playground.locked] = False
        return {self.tabs: gr.Tabs(selected="playground")} | changes

    def _try(self, verdict: str, timeline_id: str, prompt: str, new: bool) -> Changes:
        job = self.studio.job(verdict) if verdict else None
        return self.to_playground(timeline_id, prompt, job.token, new) if job else unchanged()

    @never_refuses
    def dismiss(self) -> Changes:
        """What has ended has been seen."""
        return {self.watched: []}

    @never_refuses
    def dismissed(self, event: gr.EventData) -> Changes:
        """The same by a click in the line of lessons."""
        return self.dismiss() if picked(event)[0] == "dismiss" else unchanged()
