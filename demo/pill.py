"""The pill in the header: what is learned, on every tab, in the title of the browser's tab, and as a notification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import gradio as gr

from demo.clicks import SEND
from demo.html import lessons as lessons_html

if TYPE_CHECKING:
    from clora_core.answers import JobView

ASK_TO_NOTIFY = """
() => {
  if (!window.Notification || Notification.permission !== 'default' || localStorage.getItem('clora-asked')) return;
  localStorage.setItem('clora-asked', 'yes');
  Notification.requestPermission();
}
"""
"""Asks once in this browser whether it may tell when a lesson has ended."""

TELL = """
const ours = document.title;
const look = () => {
  const pill = element.querySelector('[data-title]');
  const title = pill ? `${pill.dataset.title} · ${ours}` : ours;
  if (document.title !== title) document.title = title;
  const news = pill ? pill.dataset.news : '';
  if (!news || news === localStorage.getItem('clora-news')) return;
  localStorage.setItem('clora-news', news);
  if (window.Notification && Notification.permission === 'granted') new Notification(pill.dataset.told, {tag: news});
};
new MutationObserver(look).observe(element, {childList: true, subtree: true, attributes: true});
look();
"""


class LearningPill:
    """Its component, made in the header."""

    def __init__(self) -> None:
        self.shown = gr.HTML(elem_id="learning", js_on_load=SEND + TELL)

    def words(self, listed: Sequence[JobView]) -> str:
        """What it says of the lessons that this visitor is to see, as HTML."""
        return lessons_html.pill(listed)
