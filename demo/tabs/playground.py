"""Playground: a prompt with token chips, a point in the timeline, pictures with a history."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.blocks import Block

from clora_core.concepts import TOKEN_IN_TEXT, tokens_in
from clora_core.errors import PictureError, SettingsError
from clora_core.jobs.requests import DrawRequest
from clora_core.settings.drawing import NEW_SEED, SamplingConfig, seed_drawn
from demo.clicks import INSERT, SAVE_ALL, SEND, picked, scroll_to
from demo.errors import told
from demo.events import QUEUED, QUIET, Changes, never_refuses, unchanged, whenever
from demo.fields import from_inputs, setting_inputs
from demo.html import playground as playground_html
from demo.job_buttons import JobButtons
from demo.tabs.grid import GridPanel
from demo.tabs.strengths import Strengths
from demo.uploads import PICTURE_TYPES, uploaded

if TYPE_CHECKING:
    from clora_core.answers import TimelineView
    from clora_core.studio.studio import Studio

HISTORY_LIMIT = 60  # each wish for more of the history brings as many
SEARCHED = 2000  # newest pictures among which those of a timeline are looked for
HERE, FAVOURITES, ALL = "This timeline", "Favourites", "All"
NOTHING = {  # what is said where the history has none of them
    HERE: "Nothing was drawn from this timeline yet.",
    FAVOURITES: "No favourites yet: open a picture, and press the star.",
    ALL: "Nothing was drawn yet.",
}
NOT_FOUND = "No prompt here has these words."
POLL_SECONDS = 0.25
COUNTS = (1, 2, 4, 8, 16)
FIRST_PROMPT = "a photo of {}"
IDEAS = (
    "a photo of {}",
    "a photo of {} at the beach",
    "a photo of {} wearing red clothes",
    "a pencil sketch of {}",
)
PROMPTS_KEY, PROMPTS_SALT = "clora-studio-prompts", "not secret: keeps the entry readable after a restart"
PROMPTS_KEPT = 50
VISIBLE_SETTINGS = ("seed", "pictures")  # have their own place, the others are under Advanced


def ready_prompt(timeline: TimelineView, plain: Sequence[str], first: str = "") -> str:
    """A prompt that works at once: ``first``, where all in it is learned; with the newest concept; a plain one where
    nothing is learned."""
    tokens = [card.token for card in timeline.cards]
    if first and set(tokens_in(first)) <= set(tokens):
        return first
    return FIRST_PROMPT.format(tokens[-1]) if tokens else next(iter(plain), "")


def ideas(timeline: TimelineView, plain: Sequence[str]) -> list[str]:
    """Prompts to try: each of IDEAS with another concept, the newest first; plain ones where nothing is learned."""
    tokens = [card.token for card in timeline.cards]
    if not tokens:
        return list(plain)
    prompts = [idea.format(tokens[-1 - i % len(tokens)]) for i, idea in enumerate(IDEAS)]
    return prompts + ([f"{tokens[0]} next to {tokens[-1]}"] if len(tokens) > 1 else [])


def with_token(prompt: str, token: str) -> str:
    """The prompt with ``token`` in the place of the only one it holds; without such a place, the first prompt for
    it."""
    found = set(TOKEN_IN_TEXT.findall(prompt))
    return prompt.replace(found.pop(), token) if len(found) == 1 else FIRST_PROMPT.format(token)


def _can_be(settings: SamplingConfig, name: str, value: Any) -> bool:
    """Whether a setting can have this value: a picture may come from anywhere."""
    try:
        return bool(settings.updated({name: value}))
    except SettingsError:
        return False


def _not_used(names: Sequence[str]) -> str:
    return f"Not used: {', '.join(names)}." if names else ""


class Gallery:
    """The pictures drawn in this home folder. A picture never changes, so its settings are read once."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._settings = lru_cache(maxsize=2 * SEARCHED)(studio.picture_settings)

    def settings(self, path: Path) -> dict[str, Any]:
        """What a picture says it was made with."""
        try:
            return self._settings(path)
        except PictureError:
            return {}  # half copied or broken: shown by its name, and read again the next time

    def fitting(self, timeline_id: str, prompt: str) -> list[str]:
        """The newest picture of this prompt in this timeline, as the value of ``Playground.shown``; none may fit."""
        asked = (timeline_id, prompt.strip())
        for path in self._studio.history(HISTORY_LIMIT):
            found = self.settings(path)
            if (found.get("timeline"), found.get("prompt")) == asked:
                return [str(path)]
        return []

    def wall(self, shown: Sequence[str], timeline_id: str, which: str, most: int, words: str = "") -> str:
        """The history as HTML: the newest ``most`` pictures of those WHICH says, the shown ones marked.

        words: only those whose prompts hold them all.
        """
        wanted = words.lower().split()
        favourites = self._studio.favourites()
        found: list[tuple[Path, dict[str, Any]]] = []
        everything = self._studio.history(SEARCHED)
        for path in everything:
            settings = self.settings(path) if which == HERE or wanted or len(found) < most else {}
            prompt = str(settings.get("prompt", "")).lower()
            if (
                (which == HERE and settings.get("timeline") != timeline_id)
                or (which == FAVOURITES and path.name not in favourites)
                or not all(word in prompt for word in wanted)
            ):
                continue
            found.append((path, settings))
            if len(found) > most:
                break
        front, more = [Path(name) for name in shown], len(found) > most
        nothing = NOT_FOUND if wanted else NOTHING[which] if everything else ""
        return playground_html.history(found[:most], front, favourites, more, nothing)

    def front(self, shown: Sequence[str], timeline_id: str, prompt: str) -> str:
        """The stage as HTML: the shown pictures, or what to do when there is none."""
        paths = [Path(name) for name in shown if Path(name).exists()]
        if not paths:
            timeline = self._studio.timeline(timeline_id)
            return playground_html.waiting_stage(timeline, prompt, ideas(timeline, self._studio.base.plain))
        return playground_html.stage(paths, self.settings(paths[0]))


class Playground:
    """The tab's components and what they do. Made inside its ``gr.Tab``.

    followers: what ``follow`` may change.  presets: what ``of_model`` changes.  kept: prompt, seed and lock, which the
    browser remembers.  marked: changes when a picture becomes a favourite.
    """

    def __init__(self, studio: Studio, timeline: gr.Dropdown, marked: gr.State) -> None:
        self.studio, self.timeline, self.marked, self.gallery = studio, timeline, marked, Gallery(studio)
        self._lay_out()
        self.front: list[Block] = [self.shown, self.stage, self.drawn]
        self.followers: list[Block] = [
            *(self.chips, self.as_of, self.point, self.ideas, self.prompt, self.notes),
            *self.front,
        ]
        self.presets: list[Block] = list(self.settings.values())
        self.kept = (self.prompt, self.seed, self.locked)
        self._wire_prompt()
        self._wire_draw()
        self._wire_history()
        self.grid.wire(self)

    # -- what is shown -----------------------------------------------------------------------------

    def follow(self, timeline_id: str, prompt: str, keep_prompt: bool = True, as_of: float | None = None) -> Changes:
        """Chips, slider, its words, ideas and notes of this timeline.

        A kept prompt is not written again, for somebody may be typing. keep_prompt: even where it holds a token that
        is not this timeline's; otherwise what is in front fits timeline and prompt, too. as_of: where the slider
        stays; None = at the end.
        """
        timeline, base = self.studio.timeline(timeline_id), self.studio.base
        written: Changes = {}
        last = len(timeline.cards)
        point = last if as_of is None else min(int(as_of), last)
        tokens = [card.token for card in timeline.cards]
        if not prompt.strip() or not (keep_prompt or set(tokens_in(prompt)) <= set(tokens)):
            prompt = ready_prompt(timeline, base.plain, base.first.prompt)
            written = {self.prompt: prompt}
        if not keep_prompt:
            written |= self.show(self.gallery.fitting(timeline_id, prompt), timeline_id, prompt)
        prompts = ideas(timeline, base.plain)
        return written | {
            self.chips: playground_html.chips(timeline, point),
            self.as_of: gr.update(maximum=max(last, 1), value=point, visible=last > 0),
            self.point: playground_html.point(timeline, point),
            self.ideas: playground_html.ideas(prompts),
            self.notes: self._notes(timeline_id, prompt, point),
        }

    def of_model(self) -> Changes:
        """The open model's own settings in their inputs."""
        values = self.studio.base.sampling.to_json()
        return {field: values[name] for name, field in self.settings.items()}

    def show(self, pictures: Sequence[str], timeline_id: str, prompt: str) -> Changes:
        """These pictures in front; the history follows by itself."""
        return {
            self.shown: pictures,
            self.stage: self.gallery.front(pictures, timeline_id, prompt),
            self.drawn: time.monotonic(),
        }

    def _notes(self, timeline_id: str, prompt: str, as_of: float) -> str:
        """What will not work in this prompt, as HTML."""
        return playground_html.prompt_notes(self.studio.prompt_notes(prompt, timeline_id, int(as_of)))

    # -- layout ------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        """What is asked for on the left, what came of it on the right; on a phone one below the other."""
        with gr.Row(equal_height=False, elem_id="play-row"):
            with gr.Column(min_width=320, variant="panel", elem_classes="cl-panel", elem_id="play-asked"):
                self._lay_out_prompt()
                self.as_of = gr.Slider(0, 1, value=0, step=1, label="As of", elem_id="as-of", buttons=[])
                self.point = gr.HTML(elem_id="point")
                self._lay_out_seed()
                with gr.Accordion("Advanced", open=False, elem_id="sampling-advanced"):
                    self.strengths = Strengths(self.studio)
                    self.settings = setting_inputs(self.studio.base.sampling, VISIBLE_SETTINGS)
            with gr.Column(min_width=320, elem_id="play-drawn"):
                with gr.Column(variant="panel", elem_classes="cl-panel", elem_id="stage"):
                    self.status = gr.HTML(elem_id="draw-status")
                    self.stage = gr.HTML(elem_id="stage-pictures", js_on_load=INSERT + SAVE_ALL)
                self.grid = GridPanel(self.studio)
                with gr.Row(elem_id="history-head", elem_classes="cl-actions"):
                    gr.HTML("<h2>History</h2>")
                    self.words = gr.Textbox(
                        label="Find in prompts",
                        placeholder="Find in prompts",
                        show_label=False,
                        container=False,
                        max_lines=1,
                        min_width=120,
                        elem_id="find-history",
                    )
                    self.which = gr.Radio(
                        [HERE, FAVOURITES, ALL],
                        value=HERE,
                        label="History",
                        show_label=False,
                        container=False,
                        elem_id="which-history",
                    )
                self.history = gr.HTML(elem_id="history", js_on_load=SEND)
        self.shown = gr.State([])
        self.buttons = JobButtons(self.studio, self.draw, self.cancel)
        self.drawn = gr.State(0.0)  # changes when the history has to follow
        self.most = gr.State(playground_html.NEWEST)

    def _lay_out_prompt(self) -> None:
        with gr.Row(elem_id="prompt-menus"):
            self.recent = gr.HTML(elem_id="recent", js_on_load=INSERT)
            self.ideas = gr.HTML(elem_id="ideas", js_on_load=INSERT)
            self.dropped = gr.UploadButton(
                "From a picture", file_types=PICTURE_TYPES, elem_id="settings-picture", size="sm", min_width=0
            )
        self.prompts = gr.BrowserState([], storage_key=PROMPTS_KEY, secret=PROMPTS_SALT)
        self.prompt = gr.Textbox(
            label="Prompt",
            elem_id="prompt",
            lines=1,
            max_lines=6,
            autofocus=True,
            placeholder="What to draw, for example: a photo of <rex> at the beach",
        )
        self.notes = gr.HTML(elem_id="prompt-notes")
        self.chips = gr.HTML(elem_id="chips", js_on_load=INSERT)
        with gr.Row(elem_id="draw-row"):
            self.draw = gr.Button("Draw", variant="primary", elem_id="draw", min_width=140)
            self.cancel = gr.Button("Cancel", variant="stop", elem_id="cancel-draw", visible=False, min_width=140)
            self.pictures = gr.Radio(list(COUNTS), value=1, label="Pictures", elem_id="pictures", container=False)

    def _lay_out_seed(self) -> None:
        with gr.Row(elem_classes="cl-tight", elem_id="seed-row"):
            self.seed = gr.Number(0, label="Seed", precision=0, elem_id="seed", min_width=120)
            self.locked = gr.Checkbox(False, label="Keep this seed", elem_id="lock-seed", min_width=140)
        # in the browser, so that Draw sees it at once: a seed that somebody types is meant
        self.seed.input(None, None, self.locked, js="() => true", api_visibility="private")

    # -- prompt ------------------------------------------------------------------------------------

    def _wire_prompt(self) -> None:
        """Notes follow the prompt, and settings in it go to their inputs; chips, words and notes follow the slider."""
        place: list[Block] = [self.timeline, self.prompt, self.as_of]
        strengths = self.strengths
        # "change", not "input": Gradio's "input" misses chips, pasting by mouse and settings brought back
        typed = [self.notes, *self._brought().values(), self.locked, *strengths.parts]
        # one handler for both, so that none shows the sliders of a prompt that has changed meanwhile
        changed = [self.prompt.change, self.timeline.change]
        whenever(changed, told(self._typed), [*place, *strengths.given], typed, **QUEUED)
        moved = [self.chips, self.point, self.notes]
        whenever([self.as_of.change], told(self._moved), place, moved, **QUEUED)

        self.dropped.upload(
            told(self._drop),
            [self.dropped, self.timeline, self.prompt],
            self._inputs,
            **QUEUED,
        )
        asked = [self.draw.click, self.prompt.submit]
        gr.on(asked, self._remember, [self.prompts, self.prompt], [self.prompts, self.recent], **QUIET)

    @never_refuses
    def _remember(self, prompts: list[str] | None, prompt: str) -> Changes:
        """A prompt that is drawn comes first among the recent ones, which the browser keeps."""
        before = [text for text in prompts or [] if text != prompt]
        now = [prompt, *before][:PROMPTS_KEPT] if prompt.strip() else before
        return {self.prompts: now, self.recent: playground_html.recent(now)}

    def _drop(self, file: str, timeline_id: str, prompt: str) -> Changes:
        """The settings inside a picture from anywhere into the inputs; what cannot be used is said."""
        path = next((Path(name) for name in uploaded([file])), Path())
        found = self.studio.picture_settings(path)
        if not self._bring(found):
            raise PictureError(
                "This picture carries no settings. Pictures drawn here, by A1111 and its followers, and plain ones of "
                "ComfyUI do, unless somebody saved them anew."
            )
        changes = self._bring_all(found, timeline_id, prompt)
        fields = {**self._brought(), "as_of": self.as_of}
        used = [name for name in found if name in ("strengths", "axes") or fields.get(name) in changes]
        unused = [f"{name} {value}" for name, value in found.items() if name not in used and value != ""]
        words = f"Taken: {', '.join(used)}. " + _not_used([*unused, *self.studio.unread_settings(path)])
        gr.Info(escape(words.replace("_", " ")), title="Settings of the picture")
        return changes

    def _typed(self, timeline_id: str, prompt: str, as_of: float, *strengths: Any) -> Changes:
        found = self.studio.pasted_settings(prompt)
        if found:
            gr.Info("The text held settings: they are in their fields now.", title="Prompt")
        prompt = found.get("prompt", prompt)
        changes = self._bring(found) | {self.notes: self._notes(timeline_id, prompt, as_of)}
        if "strengths" in found:
            return changes | self.strengths.bring(timeline_id, prompt, found["strengths"])
        return changes | self.strengths.follow(timeline_id, prompt, *strengths)

    def _brought(self) -> dict[str, Block]:
        """The inputs that settings of a picture or of a pasted text go to, by name."""
        return {"prompt": self.prompt, "seed": self.seed, **self.settings}

    def _bring(self, found: Mapping[str, Any]) -> Changes:
        """Settings into their inputs, those that can be drawn with; a seed is kept."""
        fits = {name for name in found if name == "prompt" or _can_be(self.studio.base.sampling, name, found[name])}
        changes: Changes = {field: found[name] for name, field in self._brought().items() if name in fits}
        return changes | ({self.locked: True} if "seed" in fits else {})

    def _bring_all(self, found: Mapping[str, Any], timeline_id: str, prompt: str) -> Changes:
        """Those, strengths and grid, and the point in time where they are of this timeline and it still has it."""
        changes, as_of = self._bring(found), found.get("as_of")
        here = found.get("timeline") == timeline_id
        if here and isinstance(as_of, int) and as_of <= len(self.studio.timeline(timeline_id).cards):
            changes[self.as_of] = as_of
        if found:
            changes |= self.strengths.bring(timeline_id, found.get("prompt", prompt), found.get("strengths", {}))
        return changes | self.grid.bring(found.get("axes", {}))

    def _moved(self, timeline_id: str, prompt: str, as_of: float) -> Changes:
        view = self.studio.timeline(timeline_id)
        return {
            self.chips: playground_html.chips(view, int(as_of)),
            self.point: playground_html.point(view, int(as_of)),
            self.notes: self._notes(timeline_id, prompt, as_of),
        }

    # -- drawing -----------------------------------------------------------------------------------

    def _wire_draw(self) -> None:
        """Enter or Draw queues a job and follows it; Cancel stops it. The job itself lives in the studio."""
        asked = [self.draw.click, self.prompt.submit]
        gr.on(
            asked,
            told(self._start),
            self.asked,
            [self.status, *self.buttons.parts, self.seed, self.locked, *self.front],
            trigger_mode="once",
            **QUEUED,
        )
        gr.on(asked, None, js=scroll_to("stage"), api_visibility="private")

    def _start(self, given: Changes) -> Iterator[Changes]:
        """given: the values of the inputs."""
        request = self.request(given)
        timeline_id, prompt = request.timeline_id, request.prompt
        job_id = self.studio.draw(request)
        # a new seed is said once, at the start: somebody may be typing the next one by the end
        new = {} if self._keeps_seed(given) else {self.seed: request.settings.seed, self.locked: False}
        yield self.buttons.running(job_id) | new
        there = 0
        try:
            for job in self.buttons.follow(job_id, POLL_SECONDS):
                if job.finished:
                    break
                yield {self.status: playground_html.drawing(job)}
                if len(job.pictures) > there:  # those that are done are shown as they come
                    there = len(job.pictures)
                    yield self.show([str(path) for path in job.pictures], timeline_id, prompt)
            drawn = [str(path) for path in job.pictures]
            found = self.show(drawn, timeline_id, prompt) if drawn else {}
        except Exception:  # not "finally": a visitor who has left is not to be told anything
            yield self.buttons.running("") | {self.status: ""}
            raise
        yield self.buttons.running("") | {self.status: playground_html.drawing(job)} | found

    @property
    def asked(self) -> set[Block]:
        """The inputs that say what is to be drawn."""
        place = {self.timeline, self.prompt, self.as_of, self.seed, self.locked, self.pictures}
        return {*place, *self.settings.values(), *self.strengths.given}

    def request(self, given: Changes) -> DrawRequest:
        """What the inputs ask for, by their values. Raises SettingsError."""
        chosen = {name: given[field] for name, field in self.settings.items()}
        first = self.studio.base.first
        new = first.seed if given[self.prompt].strip() == first.prompt and not self.studio.history(1) else NEW_SEED
        seed = int(given[self.seed]) if self._keeps_seed(given) else new
        chosen |= {"seed": seed, "pictures": int(given[self.pictures])}
        settings = from_inputs(self.studio.base.sampling, seed_drawn(chosen))
        timeline_id, as_of = given[self.timeline], int(given[self.as_of])
        last = len(self.studio.timeline(timeline_id).cards)
        values = [given[slider] for slider in self.strengths.sliders]
        strengths = self.strengths.read(given[self.strengths.tokens], values)
        return DrawRequest(timeline_id, given[self.prompt], settings, as_of if as_of < last else None, strengths)

    def _keeps_seed(self, given: Changes) -> bool:
        return bool(given[self.locked]) and given[self.seed] not in (None, NEW_SEED)

    # -- history -----------------------------------------------------------------------------------

    def _wire_history(self) -> None:
        """The history follows what is drawn, chosen and marked."""
        follows = (self.drawn, self.which, self.most, self.marked, self.words)
        whenever(
            [each.change for each in follows],
            told(self.gallery.wall),
            [self.shown, self.timeline, self.which, self.most, self.words],
            self.history,
            **QUEUED,
        )
        self.history.click(told(self._more), self.most, self.most, **QUEUED)

    def _more(self, most: int, event: gr.EventData) -> Changes:
        return {self.most: most + HISTORY_LIMIT} if picked(event)[0] == "more" else unchanged()

    @property
    def _inputs(self) -> list[Block]:
        """What ``_bring_all`` may change."""
        return [*self._brought().values(), self.as_of, self.locked, *self.strengths.parts, *self.grid.fields]

    @property
    def brought(self) -> list[Block]:
        """What ``restored`` may change."""
        return [*self._inputs, *self.front]

    def restored(self, path: Path, timeline_id: str, prompt: str) -> Changes:
        """A picture in front, its settings in the inputs, the seed kept."""
        changes = {self.locked: False} | self._bring_all(self.gallery.settings(path), timeline_id, prompt)
        return changes | self.show([str(path)], timeline_id, prompt)
