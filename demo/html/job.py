"""A learn job as HTML: what is happening, how far it is, what it looks like, what came of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from demo.html.curves import curve
from demo.html.parts import duration, empty, image

if TYPE_CHECKING:
    from clora_core.answers import JobView, Preview
    from clora_core.concepts import TrainStep

TITLES = {
    "queued": "Getting ready to learn",
    "running": "Learning",
    "done": "Learned",
    "stopped": "Stopped",
    "failed": "Could not learn",
    "interrupted": "Interrupted",
}


def job_head(job: JobView) -> str:
    """Name, bar, and the four numbers; at the end the verdict in words."""
    state = "stopped and kept" if job.state == "stopped" and job.concept_id else job.state
    title = "Stopped early, kept" if state == "stopped and kept" else TITLES[job.state]
    share = 100 * job.step / job.total if job.total else 0
    rate = f"{job.steps_per_second:.1f}" if job.steps_per_second else "&ndash;"
    left = duration(job.seconds_left) if job.seconds_left is not None and not job.finished else "&ndash;"
    numbers = [
        ("step", f"{job.step} <small>of {job.total or '?'}</small>"),
        ("steps a second", rate),
        ("time so far", duration(job.seconds)),
        ("time left", left),
    ]
    if job.finished:
        numbers = [numbers[0], numbers[1], ("it took", duration(job.seconds))]
    tiles = "".join(f"<div><dt>{label}</dt><dd>{value}</dd></div>" for label, value in numbers)
    tone = {"done": "good", "failed": "bad", "interrupted": "bad"}.get(job.state, "quiet")
    words = f'<p class="cl-verdict cl-{tone}" role="status">{escape(job.message)}</p>' if job.message else ""
    phase = (
        "" if job.finished or job.phase == "learning" else f'<p class="cl-phase" role="status">{escape(job.phase)}</p>'
    )
    bar = (
        ""
        if job.finished
        else (
            f'<div class="cl-bar{"" if job.total else " cl-waiting"}" role="progressbar" aria-label="Progress" '
            f'aria-valuemin="0" aria-valuemax="100" aria-valuenow="{share:.0f}"><i style="width:{share:.1f}%"></i></div>'
        )
    )
    return (
        f'<div class="cl-job"><h2>{title} <em>{escape(job.name)}</em> <code>{escape(job.token)}</code></h2>'
        f"{phase}{words}{bar}<dl class='cl-numbers'>{tiles}</dl></div>"
    )


def job_pictures(job: JobView) -> str:
    """The new concept taking shape, and each older one before and now, all from fixed seeds."""
    new = [p for p in job.previews if p.is_new]
    older: dict[str, list[Preview]] = {}
    for preview in job.previews:
        if not preview.is_new:
            older.setdefault(preview.token, []).append(preview)
    if not job.previews:
        text = "The first picture appears within the first steps." if not job.finished else "None were drawn."
        return empty("No previews yet", text)
    parts = []
    if new:
        last = new[-1]
        front, label = last.path, f"step {last.step}"
        if job.finished and job.concept_id and job.pictures:  # as it went into the timeline
            front, label = job.pictures[0], "as learned"
        strip = "".join(
            f'<span class="cl-shot">{image(p.path, f"{p.name} at step {p.step}")}<small>{p.step}</small></span>'
            for p in _spread(new[:-1], 7)
        )
        parts.append(
            f'<section><h3>{escape(last.name)} <span class="cl-tag cl-new">new</span></h3><div class="cl-growth">'
            f'<span class="cl-shot cl-big">{image(front, f"{last.name}, {label}")}'
            f'<small>{label}</small></span><div class="cl-strip">{strip}</div></div></section>'
        )
    for views in older.values():
        first, last = views[0], views[-1]
        parts.append(
            f'<section><h3>{escape(last.name)} <span class="cl-tag cl-older">learned earlier</span></h3>'
            f'<div class="cl-pair"><span class="cl-shot cl-mid">{image(first.path, "before")}<small>before</small></span>'
            f'<span class="cl-shot cl-mid">{image(last.path, "now")}<small>step {last.step}</small></span></div></section>'
        )
    return f'<div class="cl-previews">{"".join(parts)}</div>'


def _spread(items: Sequence[Preview], most: int) -> list[Preview]:
    """At most ``most`` of the items, evenly spread, first and last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def learning_curves(learned: Sequence[TrainStep], total: int) -> str:
    """Loss and penalty over the steps; or why there is no penalty to show."""
    steps = [s.step for s in learned]
    loss = curve("Loss", "error on the new pictures, lower is better", steps, [s.loss for s in learned], total, "new")
    penalties = [s.penalty for s in learned]
    # the first step has no penalty in any case: nothing has changed yet
    if len(penalties) > 1 and not any(penalties):
        return (
            f'<div class="cl-curves">{loss}<p class="cl-quiet">There is no penalty: the first concept has no older ones '
            "to protect, and methods other than C-LoRA and EWC protect none this way.</p></div>"
        )
    guard = curve("Penalty", "cost of touching older concepts", steps, penalties, total, "older")
    return f'<div class="cl-curves">{loss}{guard}</div>'
