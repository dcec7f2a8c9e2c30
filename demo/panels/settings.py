"""The settings panel: look, defaults, home folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import gradio as gr
from gradio.blocks import Block

from clora_core.settings.drawing import SamplingConfig
from clora_core.settings.learning import TrainConfig
from demo.clicks import SEND, picked
from demo.dialogs import close_button, dialog, wire_close
from demo.emptying import EmptyTrash
from demo.errors import told
from demo.events import QUEUED, Changes
from demo.fields import from_inputs
from demo.html import panels, parts
from demo.html.words import size
from demo.sharing import NO_SETTINGS, refuse_unless
from demo.uploads import clear_uploads, uploads_use

if TYPE_CHECKING:
    from clora_core.studio.studio import Studio

THEMES = [("as the system", "system"), ("light", "light"), ("dark", "dark")]
KEEP_THEME = "look => window.cloraLook(look)"
KEPT_THEME = "() => localStorage.getItem('clora-theme') || 'system'"


class SettingsPanel:
    """The panel as a dialog. asked: the dialog itself.  emptying: the question before the trash is emptied."""

    def __init__(self, studio: Studio, button: gr.Button, may_remove: bool) -> None:
        """button: in the header; its click opens the panel."""
        self.studio, self.may_remove = studio, may_remove
        with dialog("settings-panel", wide=True) as self.asked:
            gr.HTML(parts.panel_title("Settings"))
            self.theme = gr.Radio(
                THEMES, value="system", label="Look", info="Kept in this browser.", elem_id="settings-theme"
            )
            self.preferred = gr.HTML(elem_id="settings-preferred")
            with gr.Row(elem_classes="cl-actions"):
                self.keep_drawing = gr.Button(
                    "Keep the Playground's settings", elem_id="keep-drawing", size="md", min_width=120, scale=0
                )
                self.keep_learning = gr.Button(
                    "Keep those of Add concept", elem_id="keep-learning", size="md", min_width=120, scale=0
                )
                self.own = gr.Button("Back to the model's own", elem_id="own-preset", size="md", min_width=120, scale=0)
            self.disk = gr.HTML(elem_id="settings-disk", js_on_load=SEND)
            with gr.Row(elem_classes="cl-actions"):
                self.leave = close_button("Close", "settings-close")
        self.emptying = EmptyTrash(studio, may_remove)  # made last, for it opens in front
        wire_close(self.leave, self.asked)
        parts_shown: list[Block] = [self.asked, self.preferred, self.disk]
        button.click(told(self._ask), None, parts_shown, **QUEUED)
        self.disk.click(told(self._clean), None, [self.disk, self.emptying.asked], **QUEUED)
        self.emptying.emptied.success(told(lambda: {self.disk: self._shown()}), None, self.disk, **QUEUED)
        self.theme.input(None, self.theme, None, js=KEEP_THEME, api_visibility="private")

    def wire(self, demo: gr.Blocks) -> None:
        """The look that this browser keeps, whenever the page is loaded."""
        demo.load(None, None, self.theme, js=KEPT_THEME, api_visibility="private")

    def wire_defaults(
        self,
        drawing: Mapping[str, Block],
        method: Block,
        learning: Mapping[str, Block],
        timeline: Block,
        presets: Callable[[str], Changes],
        shown: Sequence[Block],
    ) -> None:
        """Keep the settings of these inputs, by name, as the home's defaults.

        presets: the defaults in their inputs, as a timeline has them.  shown: what that changes.
        """

        def keep_drawing(given: Changes) -> Changes:
            chosen = {name: given[field] for name, field in drawing.items()}
            return self._prefer(from_inputs(self.studio.base.sampling, chosen))

        def keep_learning(given: Changes) -> Changes:
            chosen = {name: given[field] for name, field in learning.items()}
            return self._prefer(from_inputs(self.studio.base.train_with({"method": given[method]}), chosen))

        def own(timeline_id: str) -> Changes:
            return self._prefer(None) | presets(timeline_id)

        self.keep_drawing.click(told(keep_drawing), set(drawing.values()), self.preferred, **QUEUED)
        self.keep_learning.click(told(keep_learning), {method, *learning.values()}, self.preferred, **QUEUED)
        self.own.click(told(own), timeline, [self.preferred, *shown], **QUEUED)

    def _prefer(self, chosen: SamplingConfig | TrainConfig | None) -> Changes:
        refuse_unless(self.may_remove, NO_SETTINGS)
        self.studio.prefer(chosen)
        gr.Info("This model's own preset is the default again." if chosen is None else "Kept in the home folder.")
        return {self.preferred: panels.preferred(self.studio.preferred())}

    def _ask(self) -> Changes:
        return {
            self.asked: gr.update(visible=True),
            self.preferred: panels.preferred(self.studio.preferred()),
            self.disk: self._shown(),
        }

    def _shown(self) -> str:
        kinds = [*self.studio.housekeeping.kinds(), uploads_use()]
        home = str(self.studio.housekeeping.home)
        return panels.disk_use(home if self.may_remove else "", kinds, len(self.studio.trash.items()))

    def _clean(self, event: gr.EventData) -> Changes | None:
        act, kind = picked(event)
        if act == "empty":
            return self.emptying.ask()
        if act != "clean":
            return gr.skip()  # type: ignore[no-any-return]
        refuse_unless(self.may_remove)
        freed = clear_uploads() if kind == "uploads" else self.studio.housekeeping.clean(kind)
        gr.Info(f"{size(freed)} are free again.", title="Cleaned")
        return {self.disk: self._shown()}
