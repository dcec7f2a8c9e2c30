"""HTML of the dialog that exports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demo.html.parts import say
from demo.html.render import render

if TYPE_CHECKING:
    from clora_core.answers import JobView, TimelineView


def title(timeline: TimelineView) -> str:
    """What will be written."""
    return render("export_title", name=timeline.name, cards=timeline.cards)


def problem(text: str) -> str:
    """Why it cannot be."""
    return say(text, "bad")


def progress(job: JobView) -> str:
    """Where the job stands; what went wrong if it did; at the end whether the files are proved."""
    if not job.finished:
        return render(
            "drawing",
            words=f"{job.phase[:1].upper()}{job.phase[1:]}",
            share=job.step / max(job.total, 1),
            waiting=not job.step,
        )
    if job.exported is None:
        return say(job.message, "quiet" if job.state == "stopped" else "bad")
    return render("export_done", made=job.exported)


def archived(name: str) -> str:
    """Where the file of a whole timeline goes."""
    return say(
        f"Done. In the other C-LoRA Studio press New, then Bring one in; or type: clora timeline --import {name}"
    )


def usage(text: str) -> str:
    """How the files are used, with prompts to copy."""
    return render("export_usage", text=text)
