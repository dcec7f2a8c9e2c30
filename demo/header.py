"""The header: name, the timeline that all tabs show, the model, and the ways to settings and help."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr
from gradio.blocks import Block

from clora_core.disk import ASSETS
from demo.clicks import SEND
from demo.html import parts
from demo.new_timeline import NewTimeline, choices
from demo.panels.help import HelpPanel
from demo.panels.model import ModelPanel
from demo.panels.settings import SettingsPanel
from demo.pill import LearningPill

if TYPE_CHECKING:
    from clora_core.studio.studio import Studio

LOGO = ASSETS / "logo.svg"


class Header:
    """The header's components. Made first, for every tab asks ``timeline``.

    timeline: the one that is chosen, for all tabs.  questions: the dialogs that ask about it.  pill: what is learned.
    """

    def __init__(self, studio: Studio, may_remove: bool) -> None:
        self.studio = studio
        chosen = studio.first_timeline()  # makes one when there is none
        with gr.Row(elem_classes="cl-top", equal_height=False):
            gr.HTML(parts.header(LOGO), elem_id="header")
            with gr.Row(elem_classes="cl-chosen", equal_height=False):
                self.timeline = gr.Dropdown(
                    choices(studio),
                    value=chosen,
                    label="Timeline",
                    elem_id="timeline",
                    filterable=False,
                    container=False,
                    min_width=200,
                )
                self.new = gr.Button("New", elem_id="new-timeline", size="md", min_width=60, scale=0)
            with gr.Row(elem_classes="cl-chosen", equal_height=False):
                self.model = gr.HTML(
                    parts.model_state(studio.base.name, studio.ready, "", studio.base.draws),
                    elem_id="model",
                    js_on_load=SEND,
                )
                self.settings = gr.Button("Settings", elem_id="settings-open", size="md", min_width=60, scale=0)
                self.help = gr.Button("Help", elem_id="help-open", size="md", min_width=50, scale=0)
            self.pill = LearningPill()
        self.naming = NewTimeline(studio, self.timeline)
        self.naming.opened_by(self.new)
        self.models = ModelPanel(studio, self.model, may_remove)
        self.preferences = SettingsPanel(studio, self.settings, may_remove)
        HelpPanel(self.help)
        self.questions: list[Block] = [self.naming.asked]
