"""A learn job as HTML: what is happening, how far it is, what it looks like, what came of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from demo.html.curves import curve
from demo.html.render import render

if TYPE_CHECKING:
    from clora_core.answers import JobView, Preview
    from clora_core.concepts import TrainStep

TITLES = {
    "queued": "Waiting to learn",
    "running": "Learning",
    "paused": "Paused",
    "done": "Learned",
    "stopped": "Stopped",
    "failed": "Could not learn",
    "interrupted": "Interrupted",
}
TONES = {"done": "good", "failed": "bad", "interrupted": "bad"}
OUTCOMES = {  # of what was learned: title and tone
    "looks like them": ("Learned", "good"),
    "partly": ("Partly learned", "warn"),
    "does not look like them": ("Not like its pictures", "bad"),
    "diverged": ("Diverged", "bad"),
}
STRIP = 7  # of the earlier pictures, so many stand beside the newest


def job_head(job: JobView) -> Markup:
    """Name, bar, and the four numbers; at the end the verdict in words."""
    kept = job.state == "stopped" and job.concept_id
    title, tone = "Stopped early, kept" if kept else TITLES[job.state], TONES.get(job.state, "quiet")
    if job.finished and job.verdict and job.verdict.outcome:
        came, tone = OUTCOMES[job.verdict.outcome]
        title = title if kept else came
    return render("job_head", job=job, title=title, tone=tone)


def job_pictures(job: JobView) -> Markup | str:
    """The new concept taking shape, and each older one before and now, all from fixed seeds; nothing before there is
    anything to see."""
    growth = [preview for preview in job.previews if preview.is_new]
    older: dict[str, list[Preview]] = {}
    for preview in job.previews:
        if not preview.is_new:
            older.setdefault(preview.token, []).append(preview)
    pairs = [(views[0], views[-1]) for views in older.values() if views[0].step < views[-1].step]
    new = growth[-1] if growth else None
    if not (new or pairs):
        return ""
    front, label = (new.path, f"step {new.step}") if new else (None, "")
    if job.finished and job.concept_id and job.pictures:  # as it went into the timeline
        front, label = job.pictures[0], "as learned"
    return render(
        "job_pictures",
        new=new,
        front=front,
        label=label,
        real=job.real_picture,
        growth=_spread(growth[:-1], STRIP),
        older=pairs,
    )


def _spread(items: Sequence[Preview], most: int) -> list[Preview]:
    """At most ``most`` of the items, evenly spread, first and last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def learning_curves(learned: Sequence[TrainStep], total: int) -> Markup:
    """Loss and penalty over the steps; or why there is no penalty to show."""
    steps, penalties = [s.step for s in learned], [s.penalty for s in learned]
    loss = curve("Loss", "error on the new pictures, lower is better", steps, [s.loss for s in learned], total, "new")
    # the first step has no penalty in any case: nothing has changed yet
    free = len(penalties) > 1 and not any(penalties)
    guard = None if free else curve("Penalty", "cost of touching older concepts", steps, penalties, total, "older")
    return render("learning_curves", loss=loss, penalty=guard)
