"""What the page asks or shows in front of everything else.

``page.js`` gives a dialog the focus, closes it by Esc, and gives the focus back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr
from gradio.blocks import Block

from demo.events import QUIET, Changes, never_refuses

CLOSES = "cl-close"
"""Class of the one button of a dialog that closes it and does nothing else."""


@contextmanager
def dialog(elem_id: str, wide: bool = False) -> Iterator[gr.Column]:
    """A dialog, hidden: components made while the block is open stand in it. Its ``visible`` opens and closes it."""
    with gr.Column(visible=False, elem_id=elem_id, elem_classes="cl-dialog") as outer:
        size = ["cl-wide"] if wide else []
        with gr.Column(variant="panel", elem_classes=["cl-panel", "cl-ask", *size]):
            yield outer


def close_button(words: str, elem_id: str) -> gr.Button:
    """The button that closes the dialog that is open while it is made."""
    return gr.Button(words, elem_id=elem_id, elem_classes=CLOSES, size="md", min_width=120, scale=0)


def closed(*dialogs: Block) -> Changes:
    """These dialogs closed."""
    return {each: gr.update(visible=False) for each in dialogs}


def wire_close(button: gr.Button, outer: gr.Column) -> Any:
    """Have the button close its dialog; returns the event."""
    return button.click(never_refuses(lambda: closed(outer)), None, outer, **QUIET)
