"""The model panel: which base model is open, and another one in its place."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import gradio as gr
from gradio.blocks import Block

from clora_core.errors import SettingsError
from demo.dialogs import close_button, closed, dialog, wire_close
from demo.errors import told
from demo.events import QUEUED, Changes
from demo.html import parts
from demo.html.panels import opening
from demo.sharing import NO_SETTINGS, refuse_unless

if TYPE_CHECKING:
    from clora_core.studio.studio import Studio

LOOK_SECONDS = 0.5


class ModelPanel:
    """The panel as a dialog. asked: the dialog itself. done: the event after which the page must look at the model."""

    def __init__(self, studio: Studio, model: gr.HTML, may_remove: bool) -> None:
        """model: the pill in the header, whose click opens the panel."""
        self.studio, self.may_remove = studio, may_remove
        with dialog("model-panel", wide=True) as self.asked:
            gr.HTML(parts.panel_title("Base model", "What is learned belongs to the model it was learned on."))
            self.known = gr.Radio([], label="Opened before", elem_id="model-known")
            self.typed = gr.Textbox(
                label="Or another",
                info="Stable Diffusion 1.x, 2.x or XL, or PixArt-Sigma: a Hub id (owner/name or owner/name@revision), "
                "or a .safetensors file or diffusers folder on the computer that runs this page.",
                placeholder="stable-diffusion-v1-5/stable-diffusion-v1-5",
                max_lines=1,
                elem_id="model-typed",
            )
            self.state = gr.HTML(elem_id="model-opening")
            with gr.Row(elem_classes="cl-actions"):
                self.open = gr.Button(
                    "Open", variant="primary", elem_id="model-open", min_width=120, size="md", scale=0
                )
                self.leave = close_button("Close", "model-close")
        wire_close(self.leave, self.asked)
        parts_shown: list[Block] = [self.asked, self.known, self.typed, self.state]
        model.click(told(self._ask), None, parts_shown, **QUEUED)
        self.done = gr.on(
            [self.open.click, self.typed.submit],
            told(self._open),
            [self.known, self.typed],
            parts_shown,
            trigger_mode="once",
            **QUEUED,
        )

    def _ask(self) -> Changes:
        """The panel open, with the models to choose from."""
        models = [(model.name, model.path) for model in self.studio.models()]
        here = self.studio.base.path
        if here not in [path for _, path in models]:
            models.insert(0, (self.studio.base.name, here))
        return {
            self.asked: gr.update(visible=True),
            self.known: gr.update(choices=models, value=here),
            self.typed: "",
            self.state: parts.say(self.studio.not_opened, "bad"),
        }

    def _open(self, known: str | None, typed: str) -> Iterator[Changes]:
        """Load the model in the worker, and say how far it is until it is there."""
        refuse_unless(self.may_remove, NO_SETTINGS)
        studio, wanted = self.studio, typed.strip() or known or ""
        if studio.ready and wanted == studio.base.path:
            raise SettingsError(f"{studio.base.name} is open already.")
        studio.open_model(wanted)
        began, before = time.monotonic(), ""
        while not (studio.ready or studio.model_problem):
            words = opening(studio.base.name, time.monotonic() - began, studio.downloaded())
            if words != before:
                before = words
                yield {self.state: words}
            time.sleep(LOOK_SECONDS)
        problem = studio.not_opened or studio.model_problem
        yield {self.state: parts.say(problem, "bad")} if problem else closed(self.asked)
