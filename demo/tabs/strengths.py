"""How strongly the concepts of the prompt are drawn: a slider for each token that it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import gradio as gr
from gradio.blocks import Block

from clora_core.concepts import tokens_in
from clora_core.settings.strength import MAX_STRENGTH
from demo.events import Changes
from demo.html.parts import say

if TYPE_CHECKING:
    from clora_core.settings.methods import MethodRow
    from clora_core.studio.studio import Studio

SLIDERS = 4  # for so many tokens of a prompt
ONE_SET = (
    "This method trains one set of weights on and on: a strength scales what the lesson of that concept changed in it, "
    "and what later lessons built on that stays."
)


class Strengths:
    """The sliders, their tokens, and what was set for tokens that are out of the prompt for now.

    Made inside its accordion. given: what ``follow`` takes after timeline and prompt.  parts: what it may change.
    """

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self.note = gr.HTML(elem_id="strength-note")
        self.sliders = [
            gr.Slider(0, MAX_STRENGTH, 1, step=0.05, visible=False, elem_id=f"strength-{place}", buttons=["reset"])
            for place in range(1, SLIDERS + 1)
        ]
        self.tokens, self.known = gr.State([]), gr.State({})
        self.given: list[Block] = [self.tokens, self.known, *self.sliders]
        self.parts: list[Block] = [self.note, *self.given]

    def follow(
        self,
        timeline_id: str,
        prompt: str,
        tokens: Sequence[str] = (),
        known: Mapping[str, float] | None = None,
        *values: float,
    ) -> Changes:
        """The sliders of a prompt that was changed; a token that comes back has the strength it had."""
        known = {**(known or {}), **self.read(tokens, values)}
        return self._shown(timeline_id, prompt, known, tokens)

    def bring(self, timeline_id: str, prompt: str, strengths: Mapping[str, float]) -> Changes:
        """The sliders as a picture had them."""
        return self._shown(timeline_id, prompt, strengths, None)

    def read(self, tokens: Sequence[str], values: Sequence[float]) -> dict[str, float]:
        """The strengths as they are set, by token."""
        return dict(zip(tokens, values, strict=False))

    def _shown(
        self, timeline_id: str, prompt: str, known: Mapping[str, float], before: Sequence[str] | None
    ) -> Changes:
        timeline = self._studio.timeline(timeline_id)
        learned = {card.token for card in timeline.cards}
        row = self._studio.methods.find(timeline.method)
        tokens = [token for token in tokens_in(prompt) if token in learned][:SLIDERS]
        changes: Changes = {self.note: _note(row, tokens), self.known: dict(known)}
        if row and row.weightless:
            tokens = []
        if before is None or tokens != list(before):  # else somebody may be dragging one
            changes[self.tokens] = tokens
            for place, slider in enumerate(self.sliders):
                token = tokens[place] if place < len(tokens) else ""
                changes[slider] = gr.update(
                    visible=bool(token), label=f"Strength of {token}", value=known.get(token, 1)
                )
        return changes


def _note(row: MethodRow | None, tokens: Sequence[str]) -> str:
    """Where strengths mean less than they say."""
    if not row or not tokens:
        return ""
    if row.weightless:
        return say(f"{row.title} learns no weights to scale. Write ({tokens[0]}:0.7) in the prompt.", "quiet")
    return say(ONE_SET, "quiet") if row.continues else ""
