"""HTML of the dialog that brings in what another programme has learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clora_core.answers import what_is_left
from demo.html.parts import say
from demo.html.render import render

if TYPE_CHECKING:
    from clora_core.answers import JobView, LoraContents


def title() -> str:
    """What can be brought in, and what comes of it."""
    return render("bring_title")


def found(contents: LoraContents) -> str:
    """What a LoRA file holds, and what of it a concept cannot."""
    return render("bring_found", found=contents, left=what_is_left(contents.left_out))


def progress(job: JobView) -> str:
    """Where the job stands; what went wrong if it did."""
    if not job.finished:
        return render("drawing", words=f"{job.phase[:1].upper()}{job.phase[1:]}", share=0.0, waiting=True)
    return say(job.message, {"done": "good", "stopped": "quiet"}.get(job.state, "bad"))
