"""The help panel: the words of the app, how forgetting is measured, the keys."""

from __future__ import annotations

import gradio as gr

from clora_core import __version__
from demo.dialogs import close_button, dialog, wire_close
from demo.events import QUIET, never_refuses
from demo.html import panels, parts


class HelpPanel:
    """The panel as a dialog. asked: the dialog itself."""

    def __init__(self, button: gr.Button) -> None:
        """button: in the header; its click opens the panel, and so does the key ``?``."""
        with dialog("help-panel", wide=True) as self.asked:
            gr.HTML(parts.panel_title("Help"))
            gr.HTML(panels.help_page(__version__))
            with gr.Row(elem_classes="cl-actions"):
                self.leave = close_button("Close", "help-close")
        wire_close(self.leave, self.asked)
        button.click(never_refuses(lambda: gr.update(visible=True)), None, self.asked, **QUIET)
