"""Small views that several tabs share. Pure: no Gradio, no state."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from clora_core.settings.learning import TrainConfig
from clora_core.settings.methods import Methods
from demo.html.render import render


def empty(title: str, text: str) -> Markup:
    """An empty state: what is missing and what to do."""
    return render("empty", title=title, text=text)


def say(text: str, tone: str = "good") -> str:
    """One line under a field: tone "good", "bad", "warn" or "quiet"; nothing for an empty text."""
    return render("say", text=text, tone=tone) if text else ""


def quiet(text: str) -> Markup:
    """A sentence in grey."""
    return render("quiet", text=text)


def step(title: str, hint: str) -> Markup:
    """A heading inside the form."""
    return render("step", title=title, hint=hint)


def panel_title(title: str, hint: str = "") -> Markup:
    """The heading of a dialog."""
    return render("panel_title", title=title, hint=hint)


def empty_question() -> Markup:
    """What emptying the trash does, before it is done."""
    return render("empty_question")


def header(logo: Path) -> Markup:
    """Logo, name, promise. logo: an SVG file."""
    return render("header", logo="data:image/svg+xml;base64," + base64.b64encode(logo.read_bytes()).decode())


def model_state(name: str, ready: bool, problem: str, draws: str = "") -> Markup:
    """A quiet pill in the header: which model, whether it stands in memory, and what it draws (``BaseModel.draws``)."""
    tone, words = ("bad", problem) if problem else ("good", "ready") if ready else ("wait", "loading")
    return render("model_state", name=name, tone=tone, words=words, draws=draws)


def setting_rows(settings: Mapping[str, Any], methods: Methods) -> list[tuple[str, str]]:
    """(label, value in words) of the method and what it reads, its own first; of all that was stored, by name, where it
    is not known here."""
    row = methods.find(settings.get("method", ""))
    if row is None:
        return [(name, _plain(value)) for name, value in settings.items()]
    labels = {name: str(spec.metadata["label"]) for name, spec in TrainConfig(row).specs().items()}
    return [
        ("Method", row.title),
        *((label, _plain(settings[name])) for name, label in labels.items() if name in settings),
    ]


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
