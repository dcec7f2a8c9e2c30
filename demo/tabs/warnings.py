"""What is said of the pictures in the form before a lesson starts: far from what the model draws, or look-alikes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from demo.errors import told
from demo.events import QUEUED, Changes, whenever
from demo.html import parts

if TYPE_CHECKING:
    from clora_core.studio.studio import Studio


def wire_warnings(studio: Studio, paths: gr.State, timeline: gr.Dropdown, note: gr.HTML) -> None:
    """Say it in ``note`` whenever the pictures, or the timeline they are for, have changed. The form can be used
    meanwhile, and a lesson that runs goes on."""

    def warn(found: list[str], timeline_id: str) -> Changes:
        said = studio.likeness.warnings(timeline_id, found) if found else []
        return {note: parts.say(" ".join(said), "warn")}

    whenever([paths.change, timeline.change], told(warn), [paths, timeline], note, **QUEUED)
