"""The Playground as HTML: chips, the point in time, pictures in front, the history. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clora_core.concepts import tokens_in
from demo.html.parts import empty, image, picture_url, say

if TYPE_CHECKING:
    from clora_core.answers import JobView, TimelineView


def chips(timeline: TimelineView, as_of: int) -> str:
    """The tokens as buttons along the timeline; those learned after ``as_of`` are dimmed."""
    if not timeline.cards:
        return empty(
            "Nobody learned in this timeline yet",
            "You can draw with the base model, or teach someone in Add concept first.",
        )
    parts = []
    for card in timeline.cards:
        later = card.index > as_of
        hint = "not learned yet at this point" if later else "put into the prompt"
        parts.append(
            f'<button type="button" class="cl-chip{" cl-later" if later else ""}" data-insert="{escape(card.token)}" '
            f'title="{escape(card.name)}: {hint}" aria-label="{escape(card.name)}, {escape(card.token)}: {hint}">'
            f"{image(card.learned_picture, '')}<code>{escape(card.token)}</code></button>"
        )
    return f'<div class="cl-chips" role="group" aria-label="Learned concepts">{"".join(parts)}</div>'


def point(timeline: TimelineView, as_of: int) -> str:
    """The slider's place in words."""
    if not timeline.cards:
        return ""
    if as_of <= 0:
        return '<p class="cl-point">Before anything was learned: the base model alone.</p>'
    card = timeline.cards[min(as_of, len(timeline.cards)) - 1]
    when = "Today" if as_of >= len(timeline.cards) else "On the day"
    verb = "everything up to" if as_of >= len(timeline.cards) else "right after"
    return f'<p class="cl-point">{when}: {verb} <b>{escape(card.name)}</b> in {escape(timeline.name)}</p>'


def prompt_notes(prompt: str, timeline: TimelineView, as_of: int, unknown: Sequence[str]) -> str:
    """What about this prompt will not work: words the model does not know, tokens not learned (yet)."""
    places = {card.token.lower(): card for card in timeline.cards}
    notes = []
    for token in tokens_in(prompt):
        card = places.get(token)
        if card is None:
            notes.append(f"{token} is not a token of this timeline.")
        elif card.index > as_of:
            notes.append(f"{token} is learned later: move “As of” to {card.index} or beyond.")
    if unknown:
        words = ", ".join(f"“{word}”" for word in unknown)
        notes.append(f"This model was never taught {words}: {'it' if len(unknown) == 1 else 'they'} will hardly show.")
    return say(" ".join(notes), "warn")


def drawing(job: JobView) -> str:
    """Where a drawing stands: a bar and words; what went wrong if it did."""
    if job.state in ("failed", "interrupted"):
        return say(job.message or "The picture could not be drawn.", "bad")
    if job.finished:
        return say(job.message, "quiet") if job.state == "stopped" else ""
    share = 100 * job.step / job.total if job.total else 0
    words = f"{job.phase}: step {job.step} of {job.total}" if job.total and job.step else job.phase
    return (
        f'<div class="cl-drawing" role="status"><p>{escape(words[:1].upper() + words[1:])}</p>'
        f'<div class="cl-bar{"" if job.step else " cl-waiting"}" role="progressbar" aria-label="Progress" '
        f'aria-valuemin="0" aria-valuemax="100" aria-valuenow="{share:.0f}"><i style="width:{share:.1f}%"></i></div></div>'
    )


def stage(shown: Sequence[Path], settings: Mapping[str, Any], px: int) -> str:
    """The pictures in front, ``px`` CSS pixels wide each, with what made them and a download for each."""
    figures = "".join(
        f'<figure><img src="{escape(picture_url(path))}" alt="{escape(str(settings.get("prompt", "")))}">'
        f'<a href="{escape(picture_url(path))}" download="{escape(path.name)}" aria-label="Save picture {i}">Save</a></figure>'
        for i, path in enumerate(shown, 1)
    )
    across = f"--px:{px}px;--across:{min(len(shown), max(1, 1048 // px))}"
    return f'<div class="cl-stage"><div class="cl-shown" style="{across}">{figures}</div>{made_by(settings)}</div>'


def made_by(settings: Mapping[str, Any]) -> str:
    """Prompt and settings of a picture in one or two lines."""
    if not settings:
        return '<div class="cl-made"><p class="cl-quiet">This picture carries no settings.</p></div>'
    facts = []
    for key, words in (
        ("seed", "seed {}"),
        ("steps", "{} steps"),
        ("guidance_scale", "guidance {:g}"),
        ("as_of", "as of {}"),
        ("model", "{}"),
    ):
        if settings.get(key) not in (None, ""):
            facts.append(words.format(settings[key]))
    negative = f" Without: {settings['negative_prompt']}." if settings.get("negative_prompt") else ""
    return (
        f'<div class="cl-made"><p class="cl-prompt">{escape(str(settings.get("prompt", "")))}</p>'
        f'<p class="cl-quiet">{escape(" · ".join(facts) + "." + negative)}</p></div>'
    )


def waiting_stage(timeline: TimelineView, prompt: str) -> str:
    """Before the first picture: what the people look like, and that Enter draws."""
    faces = "".join(image(c.learned_picture, c.name) for c in timeline.cards[:4])
    shown = f'<div class="cl-faces">{faces}</div>' if faces else ""
    what = f"<p>The prompt is ready: <q>{escape(prompt)}</q></p>" if prompt else "<p>Write what to draw above.</p>"
    return f'<div class="cl-empty cl-hero">{shown}<b>Press Enter, and see your first picture</b>{what}</div>'


def ideas(prompts: Sequence[str]) -> str:
    """Ready prompts; a click puts one into the prompt box."""
    buttons = "".join(
        f'<button type="button" class="cl-idea" data-prompt="{escape(p)}">{escape(p)}</button>' for p in prompts
    )
    return f'<div class="cl-ideas" role="group" aria-label="Prompt ideas"><span>Try</span>{buttons}</div>'


def history(items: Sequence[tuple[Path, Mapping[str, Any]]], shown: Sequence[Path] = ()) -> str:
    """Every picture drawn here, newest first; a click brings its settings back."""
    if not items:
        return ""
    front = {path.name for path in shown}
    buttons = []
    for path, settings in items:
        prompt = str(settings.get("prompt", "")) or path.name
        label = f"{prompt}, seed {settings['seed']}" if "seed" in settings else prompt
        buttons.append(
            f'<button type="button" data-act="restore" data-value="{escape(path.name)}" title="{escape(label)}" '
            f'aria-label="Bring back: {escape(label)}"{" aria-current=true" if path.name in front else ""}>'
            f"{image(path, '')}</button>"
        )
    return (
        '<div class="cl-history"><h3>History <small>click a picture to bring its settings back</small></h3>'
        f'<div class="cl-wall">{"".join(buttons)}</div></div>'
    )
