"""The question before the trash is emptied, asked from the Timeline and from the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from demo.dialogs import close_button, closed, dialog, wire_close
from demo.errors import told
from demo.events import QUEUED, Changes
from demo.html import parts
from demo.sharing import refuse_unless

if TYPE_CHECKING:
    from clora_core.studio.studio import Studio


class EmptyTrash:
    """The question as a dialog. asked: the dialog itself.  emptied: the event after which nothing is in the trash."""

    def __init__(self, studio: Studio, may_remove: bool) -> None:
        self.studio, self.may_remove = studio, may_remove
        with dialog("ask-empty") as self.asked:
            gr.HTML(parts.empty_question())
            with gr.Row(elem_classes="cl-actions"):
                yes = gr.Button(
                    "Delete for good", variant="stop", elem_id="empty-yes", size="md", min_width=140, scale=0
                )
                no = close_button("Cancel", "empty-no")
        wire_close(no, self.asked)
        self.emptied = yes.click(told(self._empty), None, self.asked, **QUEUED)

    def ask(self) -> Changes:
        """The question open."""
        refuse_unless(self.may_remove)
        return {self.asked: gr.update(visible=True)}

    def _empty(self) -> Changes:
        refuse_unless(self.may_remove)
        self.studio.trash.empty()
        return closed(self.asked)
