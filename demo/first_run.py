"""The guided first run: five steps from a sample person to what a second one changed, in a bar at the foot of the page.

How far somebody is, is kept in the browser; a bar that was skipped or is done does not come back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.blocks import Block

from demo.clicks import SEND, picked
from demo.events import QUIET, Changes, never_refuses, unchanged
from demo.html import panels

SKIPPED = len(panels.FIRST_STEPS)
READ = "() => localStorage.getItem('clora-first-run') || '0'"
KEEP = "place => { if (place) localStorage.setItem('clora-first-run', place); }"


class FirstRun:
    """The bar. ``after`` says which events bring somebody on."""

    def __init__(self, tabs: gr.Tabs) -> None:
        self.tabs = tabs
        self.bar = gr.HTML(elem_id="first-run", js_on_load=SEND)
        self.place = gr.Textbox(visible="hidden")  # how many steps are done, as text; "" = not read yet
        self.bar.click(self._clicked, self.place, [self.tabs, self.place, self.bar], **QUIET)
        self.place.change(None, self.place, None, js=KEEP, api_visibility="private")

    def wire(self, demo: gr.Blocks) -> None:
        """Show the bar where the browser says that it is not done."""
        read = demo.load(None, None, self.place, js=READ, api_visibility="private")
        read.then(never_refuses(self._show), self.place, self.bar, **QUIET)

    def after(
        self, event: Callable[..., Any], steps: dict[int, int], changed: tuple[Block, Block] | tuple[()] = ()
    ) -> None:
        """After this event, somebody who had done ``key`` steps has done ``value`` of them.

        changed: only where the values of these two differ.
        """

        def go_on(place: str, *pair: str) -> Changes:
            if not place.isdigit() or int(place) not in steps or (pair and pair[0] == pair[1]):
                return unchanged()
            now = str(steps[int(place)])
            return {self.place: now, self.bar: self._show(now)}

        event(never_refuses(go_on), [self.place, *changed], [self.place, self.bar], trigger_mode="multiple", **QUIET)

    def _show(self, place: str) -> str:
        """The bar after so many steps; nothing once it is done."""
        done = int(place) if place.isdigit() else SKIPPED
        return panels.first_run(done) if done < SKIPPED else ""

    @never_refuses
    def _clicked(self, place: str, event: gr.EventData) -> Changes:
        act, value = picked(event)
        if act == "go":
            return {self.tabs: gr.Tabs(selected=value)}
        return {self.place: str(SKIPPED), self.bar: ""} if act == "skip" else unchanged()
