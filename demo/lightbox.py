"""Any picture of the page, large: what made it, and what can be done with it.

Whatever carries ``data-look`` opens it, with the pictures of its ``data-looks`` around it for neighbours: see
``html/parts.html``. Showing, zooming and comparing happen in the browser, in ``lightbox.js``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from demo.clicks import SEND, picked
from demo.errors import told
from demo.events import QUEUED, Changes, unchanged
from demo.html import lightbox as lightbox_html
from demo.sharing import refuse_unless

if TYPE_CHECKING:
    from clora_core.studio.studio import Studio

SCRIPT = Path(__file__).with_name("lightbox.js").read_text(encoding="utf-8")


class Lightbox:
    """Its components and what they do.

    acts: where a click on one of its buttons is heard.  marked: changes when a picture becomes or ceases to be a
    favourite.  removed: changes when one is deleted or brought back.
    """

    def __init__(self, studio: Studio, may_remove: bool) -> None:
        self.studio, self.may_remove = studio, may_remove
        with gr.Column(elem_id="lightbox"):
            self.view = gr.HTML(lightbox_html.view(), elem_id="look-view", js_on_load=SCRIPT)
            self.acts = gr.HTML(elem_id="look-acts", js_on_load=SEND)
        self.marked, self.removed = gr.State(0), gr.State(0)
        self.view.click(told(self._look), None, self.acts, trigger_mode="multiple", **QUEUED)
        self.acts.click(told(self._mark), self.marked, [self.acts, self.marked], **QUEUED)
        self.acts.click(told(self._remove), self.removed, [self.acts, self.removed], **QUEUED)

    def _look(self, event: gr.EventData) -> Changes:
        act, path = picked(event)
        return {self.acts: self._looked(self.studio.picture(path))} if act == "look" else unchanged()

    def _looked(self, path: Path) -> str:
        settings, favourite = self.studio.picture_settings(path), self.studio.favourite(path)
        names = {summary.id: summary.name for summary in self.studio.timelines()}
        return lightbox_html.looked(path, settings, favourite, names)

    def _mark(self, marked: int, event: gr.EventData) -> Changes:
        act, name = picked(event)
        if act != "favourite":
            return unchanged()
        path = self.studio.picture(name)
        self.studio.set_favourite(path, not self.studio.favourite(path))
        return {self.acts: self._looked(path), self.marked: marked + 1}

    def _remove(self, removed: int, event: gr.EventData) -> Changes:
        """Deleting asks nothing, for it can be undone at once."""
        act, value = picked(event)
        if act not in ("delete", "restore"):
            return unchanged()
        refuse_unless(self.may_remove)
        if act == "delete":
            shown = str(lightbox_html.deleted(self.studio.trash.delete_picture(self.studio.picture(value))))
        else:
            path = self.studio.trash.restore(value).picture
            shown = self._looked(path) if path else ""
        return {self.acts: shown, self.removed: removed + 1}
