"""What a click inside our own HTML does.

Learned concepts, samples, pictures and cards are drawn as plain HTML buttons that carry ``data-act`` and
``data-value``; one listener per ``gr.HTML`` hands them to Python as event data. Token chips need no
server: they write into the prompt where the cursor stands, and can be searched.
"""

from __future__ import annotations

from pathlib import Path

import gradio as gr

KEYS = Path(__file__).with_name("keys.js").read_text(encoding="utf-8")
"""The keyboard; runs once, when the page has loaded."""

SEND = """
element.addEventListener('click', event => {
  const button = event.target.closest('[data-act]');
  if (button) trigger('click', {act: button.dataset.act, value: button.dataset.value || ''});
});
"""

SAVE_ALL = """
element.addEventListener('click', event => {
  if (!event.target.closest('[data-save]')) return;
  for (const link of element.querySelectorAll('a[download]')) link.click();
});
"""

INSERT = """
element.addEventListener('click', event => {
  const chip = event.target.closest('[data-insert]');
  const idea = event.target.closest('[data-prompt]');
  const box = document.querySelector('#prompt textarea, #prompt input');
  if (!box || !(chip || idea)) return;
  if (idea) {
    box.value = idea.dataset.prompt;
    idea.closest('details')?.removeAttribute('open');
  } else {
    const token = chip.dataset.insert;
    const start = box.selectionStart, end = box.selectionEnd;
    const before = start > 0 && !/\\s/.test(box.value[start - 1]) ? ' ' : '';
    const after = end < box.value.length && !/[\\s,.]/.test(box.value[end]) ? ' ' : '';
    box.setRangeText(before + token + after, start, end, 'end');
  }
  box.dispatchEvent(new Event('input', {bubbles: true}));
  box.focus();
});
element.addEventListener('input', event => {
  if (!event.target.matches('.cl-find')) return;
  const words = event.target.value.trim().toLowerCase();
  for (const chip of element.querySelectorAll('[data-find]')) chip.hidden = !chip.dataset.find.includes(words);
});
"""


def script(name: str) -> str:
    """The code of ``NAME.js``, for what is more than a few lines."""
    return Path(__file__).with_name(f"{name}.js").read_text(encoding="utf-8")


def picked(event: gr.EventData) -> tuple[str, str]:
    """(act, value) of the button that was clicked; ("", "") for anything else."""
    return str(getattr(event, "act", "")), str(getattr(event, "value", ""))


def scroll_to(element_id: str) -> str:
    """JavaScript that brings an element into view; it changes no value."""
    return (
        f"() => setTimeout(() => document.getElementById('{element_id}')"
        "?.scrollIntoView({block: 'nearest', behavior: 'smooth'}), 60)"
    )
