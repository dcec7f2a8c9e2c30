"""Add concept: pictures, a name, Start; then the running job, the same in every tab and after a reload."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from clora_core.concepts import Concept
from clora_core.data.pictures import MAX_PICTURES, MIN_PICTURES
from clora_core.errors import ConceptError, StoreError
from clora_core.jobs.requests import LearnRequest
from demo.clicks import QUIET, SEND, picked, scroll_to
from demo.errors import told
from demo.fields import from_inputs, input_facts, setting_inputs
from demo.html import add as add_html
from demo.html import job as job_html
from demo.html import parts
from demo.sharing import refuse_unless
from demo.uploads import PICTURE_TYPES, uploaded

if TYPE_CHECKING:
    from clora_core.answers import JobView
    from clora_core.studio.studio import Studio

PARTS = range(11)  # places in ``AddTab.job_parts``


@dataclass
class AddTab:
    """The components the page itself needs."""

    followers: list[Any]  # outputs of ``follow``, in its order
    job_parts: list[Any]  # outputs of ``watch``, in its order
    seen: gr.State  # what ``watch`` showed last
    begun: gr.State  # id of the job that was started here since the clock last ticked; "" = none
    verdict: gr.State  # id of the job whose verdict is shown; "" while there is none
    try_it: gr.Button
    another: gr.Button
    changes: list[Any]  # events after which the job must be looked at


@dataclass
class Form:
    """The inputs of the form."""

    samples: gr.HTML
    drop: gr.File
    pictures: gr.State
    checked: gr.HTML
    name: gr.Textbox
    token: gr.Textbox
    token_note: gr.HTML
    proposed: gr.State
    start: gr.Button
    keep: gr.Checkbox
    settings: dict[str, Any]


def follow(studio: Studio, timeline_id: str) -> list[Any]:
    """Values of ``followers`` for this timeline: what is coming, samples with those learned ticked."""
    timeline = studio.timeline(timeline_id)
    return [
        add_html.coming(timeline, protected=protects(studio, timeline.method)),
        add_html.samples(studio.samples(), [card.token for card in timeline.cards]),
    ]


def protects(studio: Studio, method: str) -> bool:
    """Whether the method adds a penalty that protects earlier concepts."""
    row = studio.methods.find(method)
    return bool(row and row.penalised)


def watch(studio: Studio, seen: tuple[Any, ...], watched: str) -> list[Any]:
    """Values of ``job_parts``: only what changed since ``seen``, so that nothing flickers.

    A running job is shown to everybody; one that has ended only where it was watched (until dismissed),
    so that a new visitor finds the form. An interrupted one waits for a decision and is always shown.
    """
    job = studio.job()
    if job is None or (job.finished and not job.resumable and job.id != watched):
        now: tuple[Any, ...] = ("form",)
        return [now, *_visible(None), *[gr.skip()] * 3, ""] if now != seen else [gr.skip()] * len(PARTS)
    now = (job.id, job.state, job.phase, job.step, len(job.previews), len(job.curve))
    if now == seen:
        return [gr.skip()] * len(PARTS)
    same = len(seen) == len(now) and seen[:2] == now[:2]
    drawn = gr.skip() if same and seen[4] == now[4] else job_html.job_pictures(job)
    curves = (
        gr.skip()
        if same and seen[5] == now[5] and seen[3] == now[3]
        else job_html.learning_curves(job.curve, job.total)
    )
    visible = [gr.skip()] * 6 if same else _visible(job)
    verdict = job.id if job.finished and job.concept_id else ""
    return [now, *visible, job_html.job_head(job), drawn, curves, verdict]


def shown_job(seen: tuple[Any, ...]) -> str:
    """Id of the job that ``watch`` showed last. Raises StoreError when the programme was started anew since."""
    if not seen:
        raise StoreError("The programme was started anew. Reload the page to see the job as it stands.")
    return str(seen[0])


def _visible(job: JobView | None) -> list[Any]:
    """Form, live panel, then the rows of buttons: running, interrupted, ended; and "Try it" among the last."""
    if job is None:
        return [gr.update(visible=shown) for shown in (True, False, False, False, False, False)]
    ended = job.finished and not job.resumable
    rows = (False, True, not job.finished, job.resumable, ended, ended and bool(job.concept_id))
    return [gr.update(visible=shown) for shown in rows]


def build(studio: Studio, timeline: gr.Dropdown, may_remove: bool) -> AddTab:
    """Lay the tab out and wire what happens inside it."""
    with gr.Row(equal_height=False) as form_row:
        with gr.Column(scale=5, min_width=320, variant="panel", elem_classes="cl-panel"):
            form = _form(studio, studio.timeline(timeline.value).method)
        with gr.Column(scale=3, min_width=300):
            coming = gr.HTML(elem_id="coming")
    with gr.Column(visible=False, elem_id="live") as live:
        with gr.Column(variant="panel", elem_classes="cl-panel"):
            head = gr.HTML(elem_id="job")
            with gr.Row(elem_classes="cl-actions", visible=False) as stops:
                keep = gr.Button("Stop and keep", elem_id="stop-keep", size="md", min_width=150, scale=0)
                drop = gr.Button(
                    "Stop and discard",
                    variant="stop",
                    elem_id="stop-discard",
                    size="md",
                    min_width=150,
                    scale=0,
                )
            with gr.Row(elem_classes="cl-actions", visible=False) as choice:
                resume = gr.Button("Go on learning", variant="primary", elem_id="resume", min_width=160, scale=0)
                give_up = gr.Button("Give it up", variant="stop", elem_id="give-up", min_width=120, scale=0)
            with gr.Row(elem_classes="cl-actions", visible=False) as ends:
                try_it = gr.Button(
                    "Try it in the Playground", variant="primary", elem_id="try-it", min_width=220, scale=0
                )
                another = gr.Button("Teach another", elem_id="another", min_width=160, scale=0)
        with gr.Row(equal_height=False):
            with gr.Column(scale=1, min_width=320, variant="panel", elem_classes="cl-panel"):
                pictures = gr.HTML(elem_id="previews")
            with gr.Column(scale=1, min_width=320, variant="panel", elem_classes="cl-panel"):
                curves = gr.HTML(elem_id="curves")
    seen, begun, verdict = gr.State(()), gr.State(""), gr.State("")
    parts = [seen, form_row, live, stops, choice, ends, try_it, head, pictures, curves, verdict]
    _wire_pictures(studio, form, timeline)
    _wire_name(studio, form, timeline)
    _wire_method(studio, form, timeline)
    changes = [
        _wire_start(studio, form, timeline, begun),
        *_wire_stop(studio, seen, (keep, drop, resume, give_up), may_remove),
    ]
    return AddTab([coming, form.samples], parts, seen, begun, verdict, try_it, another, changes)


def _form(studio: Studio, method: str) -> Form:
    if studio.samples():
        gr.HTML(parts.step("Try a sample person", "one click fills everything in"))
    samples = gr.HTML(elem_id="samples", js_on_load=SEND)
    gr.HTML(parts.step("Or show your own pictures", f"{MIN_PICTURES} to {MAX_PICTURES} of one person or thing"))
    drop = gr.File(
        label="Your own pictures",
        file_count="multiple",
        file_types=PICTURE_TYPES,
        elem_id="drop",
        show_label=False,
    )
    checked = gr.HTML(elem_id="checked", js_on_load=SEND)
    with gr.Row(elem_classes="cl-tight"):
        name = gr.Textbox(label="Name", placeholder="Ilva Maron", max_lines=1, elem_id="concept-name", min_width=180)
        token = gr.Textbox(
            label="Token", placeholder="<ilva-maron>", max_lines=1, elem_id="concept-token", min_width=180
        )
    token_note = gr.HTML(elem_id="token-note")
    start = gr.Button("Start learning", variant="primary", elem_id="start")
    with gr.Accordion("Advanced", open=False, elem_id="train-advanced"):
        keep = gr.Checkbox(
            False,
            label="Keep my pictures with the concept",
            elem_id="keep-pictures",
            info="Not needed: C-LoRA learns without replaying old pictures.",
        )
        chosen = gr.Dropdown(
            [(f"{row.title}: {row.sentence}", row.name) for row in studio.methods],
            value=method,
            label="Method",
            info="How earlier concepts are protected.",
            elem_id="setting-method",
        )
        settings = {"method": chosen, **method_inputs(studio, method)}
    return Form(samples, drop, gr.State([]), checked, name, token, token_note, gr.State(""), start, keep, settings)


def method_inputs(studio: Studio, method: str) -> dict[str, Any]:
    """One input for each setting of any method; those that ``method`` does not read are hidden."""
    presets = {row.name: studio.base.train_with({"method": row.name}) for row in studio.methods}
    inputs = setting_inputs(presets[method])
    for preset in presets.values():
        inputs |= setting_inputs(preset, skip=list(inputs), visible=False)
    return inputs


def _wire_pictures(studio: Studio, form: Form, timeline: gr.Dropdown) -> None:
    """Dropped files and sample people end in one list; each thumbnail can be taken out again."""

    def look(paths: list[str]) -> list[Any]:
        return [paths, add_html.checked_pictures(studio.check_pictures(paths))]

    def dropped(files: list[Any] | None, paths: list[str]) -> list[Any]:
        return [None, *look(paths + [p for p in uploaded(files or []) if p not in paths])]

    def removed(paths: list[str], event: gr.EventData) -> list[Any]:
        act, value = picked(event)
        if act == "clear":
            return look([])
        if act == "remove" and value.isdigit():
            return look([p for i, p in enumerate(paths) if i != int(value)])
        return [gr.skip(), gr.skip()]

    def sampled(timeline_id: str, event: gr.EventData) -> list[Any]:
        _, token = picked(event)
        sample = next((s for s in studio.samples() if s.token == token), None)
        if sample is None:
            return [gr.skip()] * 6
        note = token_note(studio, sample.token, timeline_id)
        return [*look([str(p) for p in sample.pictures]), sample.name, sample.token, note, sample.token]

    form.drop.upload(
        told(dropped),
        [form.drop, form.pictures],
        [form.drop, form.pictures, form.checked],
        api_visibility="private",
        show_progress="minimal",
    )
    form.checked.click(told(removed), form.pictures, [form.pictures, form.checked], **QUIET)
    form.samples.click(
        told(sampled),
        timeline,
        [form.pictures, form.checked, form.name, form.token, form.token_note, form.proposed],
        **QUIET,
    )


def token_note(studio: Studio, token: str, timeline_id: str) -> str:
    """Whether this token will do, said at once."""
    if not token.strip():
        return ""
    try:
        studio.check_token(token.strip(), timeline_id)
    except ConceptError as error:
        return parts.say(str(error), "bad")
    return parts.say(f"{token.strip()} is free. It stands for this concept in every prompt.", "good")


def _wire_name(studio: Studio, form: Form, timeline: gr.Dropdown) -> None:
    """The name proposes the token until the user writes one of their own."""

    known = {(sample.name, sample.token) for sample in studio.samples()}

    def named(name: str, token: str, proposed: str) -> list[Any]:
        if token.strip() not in ("", proposed) or (name, token) in known:
            return [gr.skip(), gr.skip(), gr.skip()]
        try:
            new = studio.propose_token(name) if name.strip() else ""
        except ConceptError as error:
            return ["", parts.say(str(error), "bad"), ""]
        return [new, gr.skip(), new]

    # "change", not "input": Gradio's "input" misses pasting by mouse and autofill
    form.name.change(
        told(named),
        [form.name, form.token, form.proposed],
        [form.token, form.token_note, form.proposed],
        trigger_mode="always_last",
        **QUIET,
    )
    form.token.change(
        told(lambda token, timeline_id: token_note(studio, token, timeline_id)),
        [form.token, timeline],
        form.token_note,
        trigger_mode="always_last",
        **QUIET,
    )


def _wire_method(studio: Studio, form: Form, timeline: gr.Dropdown) -> None:
    """A timeline gives its method, and a method its own preset."""
    method, names = form.settings["method"], list(form.settings)

    def preset(chosen: str) -> list[Any]:
        config = studio.base.train_with({"method": chosen})
        values, specs = config.to_json(), config.specs()
        shown = {
            name: gr.update(value=values[name], visible=True, **input_facts(spec.metadata))
            for name, spec in specs.items()
        }
        return [shown.get(name, gr.update(visible=False)) for name in names if name != "method"]

    def on_timeline(timeline_id: str, chosen: str) -> list[Any]:
        view = studio.timeline(timeline_id)
        known = studio.methods.find(view.method) is not None and view.method != chosen
        return [view.method, *preset(view.method)] if known else [gr.skip()] * len(names)

    fields = list(form.settings.values())
    method.input(told(preset), method, fields[1:], **QUIET)
    timeline.change(told(on_timeline), [timeline, method], fields, **QUIET)


def _wire_start(studio: Studio, form: Form, timeline: gr.Dropdown, begun: gr.State) -> Any:
    """Start hands the concept to the studio's worker and empties the form."""
    names = list(form.settings)

    def start(timeline_id: str, paths: list[str], name: str, token: str, keep: bool, *values: Any) -> list[Any]:
        chosen = studio.base.train_with({"method": values[names.index("method")]})
        config = from_inputs(chosen, names, values)
        concept = Concept(name.strip(), token.strip(), tuple(Path(p) for p in paths))
        job_id = studio.learn(LearnRequest(timeline_id, concept, config, keep))
        return [[], "", "", "", "", "", job_id]

    started = gr.on(
        [form.start.click, form.name.submit, form.token.submit],
        told(start),
        [timeline, form.pictures, form.name, form.token, form.keep, *form.settings.values()],
        [form.pictures, form.checked, form.name, form.token, form.token_note, form.proposed, begun],
        show_progress="minimal",
        show_progress_on=form.start,
        trigger_mode="once",
        api_visibility="private",
        concurrency_limit=None,
    )
    started.success(None, js=scroll_to("tabs"), api_visibility="private")
    return started


def _wire_stop(studio: Studio, seen: gr.State, buttons: tuple[gr.Button, ...], may_remove: bool) -> list[Any]:
    """Stop and keep, stop and discard; go on with an interrupted job, or give it up: the job that is shown, which
    need not be the one that runs by now."""
    keep, drop, resume, give_up = buttons

    def stop(seen: tuple[Any, ...], keeping: bool) -> None:
        if not keeping:
            refuse_unless(may_remove)
        studio.stop(shown_job(seen), keep=keeping)

    def discard(seen: tuple[Any, ...]) -> None:
        stop(seen, keeping=False)

    def go_on(seen: tuple[Any, ...]) -> None:
        studio.resume(shown_job(seen))

    return [
        keep.click(told(lambda seen: stop(seen, keeping=True)), seen, None, **QUIET),
        drop.click(told(discard), seen, None, **QUIET),
        resume.click(told(go_on), seen, None, **QUIET),
        give_up.click(told(discard), seen, None, **QUIET),
    ]
