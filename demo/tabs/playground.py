"""Playground: a prompt with token chips, a point in the timeline, pictures with a history."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from clora_core.concepts import TOKEN_IN_TEXT, tokens_in
from clora_core.errors import PictureError
from clora_core.jobs.requests import DrawRequest
from demo.clicks import INSERT, QUIET, SEND, picked, scroll_to
from demo.errors import told
from demo.fields import from_inputs, setting_inputs
from demo.html import playground as playground_html

if TYPE_CHECKING:
    from clora_core.answers import TimelineView
    from clora_core.settings.drawing import SamplingConfig
    from clora_core.studio.studio import Studio

HISTORY_LIMIT = 60
LARGEST_SEED = 2**31 - 1
POLL_SECONDS = 0.25
COUNTS = (1, 2, 4)
FIRST_PROMPT = "a photo of {}"
IDEAS = (
    "a photo of {}",
    "a photo of {} at the beach",
    "a photo of {} wearing red clothes",
    "a pencil sketch of {}",
)
VISIBLE_SETTINGS = ("seed", "pictures")  # have their own place, the others are under Advanced


@dataclass
class Playground:
    """The components other tabs and the page itself need."""

    prompt: gr.Textbox
    as_of: gr.Slider
    followers: list[Any]  # outputs of ``follow``, in its order
    shown: gr.State
    stage: gr.HTML
    history: gr.HTML
    gallery: Gallery
    kept: list[Any]  # prompt, seed, lock: what the browser remembers


def stage_px(resolution: int) -> int:
    """CSS pixels a picture is shown at: 256 while it is small (twice an embedded one), never above 512."""
    return min(512, max(256, resolution))


def ready_prompt(timeline: TimelineView) -> str:
    """A prompt that works at once: the newest concept, or nothing in an empty timeline."""
    return FIRST_PROMPT.format(timeline.cards[-1].token) if timeline.cards else ""


def with_token(prompt: str, token: str) -> str:
    """The prompt with ``token`` in the place of the only one it holds; without such a place, the first prompt for
    it."""
    found = set(TOKEN_IN_TEXT.findall(prompt))
    return prompt.replace(found.pop(), token) if len(found) == 1 else FIRST_PROMPT.format(token)


def follow(
    studio: Studio, timeline_id: str, prompt: str, keep_prompt: bool = True, as_of: float | None = None
) -> list[Any]:
    """Values of ``followers`` for this timeline: chips, slider, its words, ideas, prompt, notes.

    A kept prompt is not written again, for somebody may be typing. keep_prompt: even where it holds a token that is
    not this timeline's. as_of: where the slider stays; None = at the end.
    """
    timeline, written = studio.timeline(timeline_id), gr.skip()
    last = len(timeline.cards)
    point = last if as_of is None else min(int(as_of), last)
    tokens = [card.token for card in timeline.cards]
    if not prompt.strip() or not (keep_prompt or set(tokens_in(prompt)) <= set(tokens)):
        prompt = written = ready_prompt(timeline)
    prompts = [idea.format(tokens[-1 - i % len(tokens)]) for i, idea in enumerate(IDEAS)] if tokens else []
    if len(tokens) > 1:
        prompts.append(f"{tokens[0]} next to {tokens[-1]}")
    return [
        playground_html.chips(timeline, point),
        gr.update(maximum=max(last, 1), value=point, visible=last > 0),
        playground_html.point(timeline, point),
        playground_html.ideas(prompts) if prompts else "",
        written,
        notes(studio, timeline_id, prompt, point),
    ]


def notes(studio: Studio, timeline_id: str, prompt: str, as_of: float) -> str:
    """What will not work in this prompt, as HTML."""
    unknown = studio.unknown_words(prompt) if prompt.strip() else []
    return playground_html.prompt_notes(prompt, studio.timeline(timeline_id), int(as_of), unknown)


class Gallery:
    """The pictures drawn in this home folder. A picture never changes, so its settings are read once."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._settings = lru_cache(maxsize=4 * HISTORY_LIMIT)(studio.picture_settings)

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            return self._settings(path)
        except PictureError:
            return {}  # half copied or broken: shown by its name, and read again the next time

    def find(self, name: str) -> tuple[Path, dict[str, Any]]:
        """A picture of the history by its file name. Raises PictureError when it is gone."""
        path = next((path for path in self._studio.history(HISTORY_LIMIT) if path.name == name), None)
        if path is None:
            raise PictureError(f"The picture {name} is no longer there. Reload the page.")
        return path, self._read(path)

    def newest(self) -> list[str]:
        """The newest picture, as the value of ``Playground.shown``."""
        return [str(path) for path in self._studio.history(1)]

    def wall(self, shown: Sequence[str]) -> str:
        """The history as HTML, with the shown pictures marked."""
        items = [(path, self._read(path)) for path in self._studio.history(HISTORY_LIMIT)]
        return playground_html.history(items, [Path(name) for name in shown])

    def front(self, shown: Sequence[str], timeline_id: str, prompt: str) -> str:
        """The stage as HTML: the shown pictures, or what to do when there is none."""
        paths = [Path(name) for name in shown if Path(name).exists()]
        if not paths:
            return playground_html.waiting_stage(self._studio.timeline(timeline_id), prompt)
        return playground_html.stage(paths, self._read(paths[0]), stage_px(self._studio.base.resolution))


def build(studio: Studio, timeline: gr.Dropdown) -> Playground:
    """Lay the tab out and wire what happens inside it."""
    with gr.Row(equal_height=False, elem_id="play-row"):
        with gr.Column(scale=5, min_width=320, variant="panel", elem_classes="cl-panel"):
            prompt = gr.Textbox(
                label="Prompt",
                elem_id="prompt",
                lines=1,
                max_lines=4,
                autofocus=True,
                placeholder="What to draw, for example: a photo of <rex> at the beach",
            )
            prompt_notes = gr.HTML(elem_id="prompt-notes")
            chips = gr.HTML(elem_id="chips", js_on_load=INSERT)
            with gr.Row(elem_classes="cl-actions"):
                draw = gr.Button("Draw", variant="primary", elem_id="draw", min_width=140, scale=0)
                cancel = gr.Button(
                    "Cancel", variant="stop", elem_id="cancel-draw", visible=False, min_width=140, scale=0
                )
            ideas = gr.HTML(elem_id="ideas", js_on_load=INSERT)
        with gr.Column(scale=3, min_width=300, variant="panel", elem_classes="cl-panel", elem_id="play-settings"):
            as_of = gr.Slider(
                0,
                1,
                value=0,
                step=1,
                label="As of",
                info="Draw as the model was at this point.",
                elem_id="as-of",
                buttons=[],
            )
            point = gr.HTML(elem_id="point")
            pictures = gr.Radio(list(COUNTS), value=1, label="Pictures", elem_id="pictures")
            seed, locked = _seed_row()
            with gr.Accordion("Advanced", open=False, elem_id="sampling-advanced"):
                inputs = setting_inputs(studio.base.sampling, VISIBLE_SETTINGS)
    with gr.Column(variant="panel", elem_classes="cl-panel", elem_id="stage"):
        status = gr.HTML(elem_id="draw-status")
        stage = gr.HTML(elem_id="stage-pictures")
    history = gr.HTML(elem_id="history", js_on_load=SEND)
    shown, job_id = gr.State([]), gr.State("")

    tab = Playground(
        prompt,
        as_of,
        [chips, as_of, point, ideas, prompt, prompt_notes],
        shown,
        stage,
        history,
        Gallery(studio),
        [prompt, seed, locked],
    )
    _wire_prompt(studio, tab, timeline, chips, point, prompt_notes)
    _wire_draw(studio, tab, timeline, (seed, locked, pictures), inputs, (draw, cancel, status, job_id))
    _wire_history(studio, tab, timeline, (seed, locked), inputs)
    return tab


def _seed_row() -> tuple[gr.Number, gr.Checkbox]:
    with gr.Row(elem_classes="cl-tight"):
        seed = gr.Number(0, label="Seed", precision=0, minimum=0, elem_id="seed", min_width=120)
        locked = gr.Checkbox(
            False,
            label="Keep this seed",
            elem_id="lock-seed",
            min_width=140,
            info="Or each drawing gets a new one.",
        )
    # in the browser, so that Draw sees it at once: a seed that somebody types is meant
    seed.input(None, None, locked, js="() => true", api_visibility="private")
    return seed, locked


def _wire_prompt(
    studio: Studio,
    tab: Playground,
    timeline: gr.Dropdown,
    chips: gr.HTML,
    point: gr.HTML,
    prompt_notes: gr.HTML,
) -> None:
    """Notes follow the prompt; chips, words and notes follow the slider."""

    def moved(timeline_id: str, prompt: str, as_of: float) -> tuple[str, str, str]:
        view = studio.timeline(timeline_id)
        return (
            playground_html.chips(view, int(as_of)),
            playground_html.point(view, int(as_of)),
            notes(studio, timeline_id, prompt, as_of),
        )

    # "change", not "input": Gradio's "input" misses chips, pasting by mouse and settings brought back
    tab.prompt.change(
        told(lambda t, p, k: notes(studio, t, p, k)),
        [timeline, tab.prompt, tab.as_of],
        prompt_notes,
        trigger_mode="always_last",
        **QUIET,
    )
    tab.as_of.change(
        told(moved),
        [timeline, tab.prompt, tab.as_of],
        [chips, point, prompt_notes],
        trigger_mode="always_last",
        **QUIET,
    )


def _wire_draw(
    studio: Studio,
    tab: Playground,
    timeline: gr.Dropdown,
    controls: tuple[gr.Number, gr.Checkbox, gr.Radio],
    inputs: dict[str, Any],
    parts: tuple[gr.Button, gr.Button, gr.HTML, gr.State],
) -> None:
    """Enter or Draw queues a job and follows it; Cancel stops it. The job itself lives in the studio."""
    draw, cancel, status, job_id = parts
    names = list(inputs)

    def start(
        timeline_id: str,
        prompt: str,
        as_of: float,
        seed: float | None,
        locked: bool,
        pictures: int,
        *values: Any,
    ) -> Iterator[list[Any]]:
        keep = locked and seed is not None
        used = int(seed or 0) if keep else random.randrange(LARGEST_SEED)
        settings: SamplingConfig = from_inputs(
            studio.base.sampling, [*names, "seed", "pictures"], [*values, used, int(pictures)]
        )
        last = len(studio.timeline(timeline_id).cards)
        started = studio.draw(DrawRequest(timeline_id, prompt, settings, int(as_of) if as_of < last else None))
        drawing, idle = ([gr.update(visible=ready), gr.update(visible=not ready)] for ready in (False, True))
        # a new seed is said once, at the start: somebody may be typing the next one by the end
        yield [gr.skip(), *drawing, started, gr.skip() if keep else used, *[gr.skip()] * 3]
        before = None
        try:
            while not (job := studio.wait(started, POLL_SECONDS)).finished:
                if (now := (job.state, job.step, job.phase)) != before:
                    before = now
                    yield [playground_html.drawing(job), *[gr.skip()] * 7]
            shown = [str(path) for path in job.pictures]
            found = [shown, tab.gallery.front(shown, timeline_id, prompt), tab.gallery.wall(shown)]
        except Exception:  # not "finally": a visitor who has left is not to be told anything
            yield ["", *idle, "", *[gr.skip()] * 4]
            raise
        yield [playground_html.drawing(job), *idle, "", gr.skip(), *(found if shown else [gr.skip()] * 3)]

    seed, locked, pictures = controls
    gr.on(
        [draw.click, tab.prompt.submit],
        told(start),
        [timeline, tab.prompt, tab.as_of, seed, locked, pictures, *inputs.values()],
        [status, draw, cancel, job_id, seed, tab.shown, tab.stage, tab.history],
        show_progress="hidden",
        concurrency_limit=None,
        trigger_mode="once",
        api_visibility="private",
    )
    gr.on([draw.click, tab.prompt.submit], None, js=scroll_to("stage"), api_visibility="private")
    cancel.click(told(lambda job: studio.stop(job, keep=False) if job else None), job_id, None, **QUIET)


def _wire_history(
    studio: Studio,
    tab: Playground,
    timeline: gr.Dropdown,
    seeds: tuple[gr.Number, gr.Checkbox],
    inputs: dict[str, Any],
) -> None:
    """A click on an old picture brings it to the front and its settings into the inputs, seed locked."""
    names = list(inputs)

    def restore(timeline_id: str, prompt: str, event: gr.EventData) -> list[Any]:
        _, name = picked(event)
        path, found = tab.gallery.find(name)
        last = len(studio.timeline(timeline_id).cards)
        same = found.get("timeline") == timeline_id and isinstance(found.get("as_of"), int)
        shown = [str(path)]
        return [
            found.get("prompt", prompt),
            min(found["as_of"], last) if same else gr.skip(),
            found.get("seed", gr.skip()),
            "seed" in found,
            *[found.get(n, gr.skip()) for n in names],
            shown,
            tab.gallery.front(shown, timeline_id, prompt),
            tab.gallery.wall(shown),
        ]

    outputs = [tab.prompt, tab.as_of, *seeds, *inputs.values(), tab.shown, tab.stage, tab.history]
    restored = tab.history.click(told(restore), [timeline, tab.prompt], outputs, **QUIET)
    restored.then(None, js=scroll_to("stage"), api_visibility="private")
