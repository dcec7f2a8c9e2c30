"""The Playground as HTML: chips, the point in time, pictures in front, the history. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import ceil, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clora_core.concepts import tokens_in
from demo.html.parts import empty, say
from demo.html.render import render

if TYPE_CHECKING:
    from clora_core.answers import JobView, TimelineView

FACTS = (  # of what made a picture, and how it is said below it
    ("seed", "seed {}"),
    ("steps", "{} steps"),
    ("guidance_scale", "guidance {:g}"),
    ("sampler", "{}"),
    ("as_of", "as of {}"),
    ("model", "{}"),
)
MANY = 8  # concepts from which on the chips can be searched
FACES = 2  # before the first picture, so many of those in the prompt are shown
NEWEST = 24  # of the history's pictures that are there with the page; older ones are fetched when they are looked at


def chips(timeline: TimelineView, as_of: int) -> str:
    """The tokens as buttons along the timeline; those learned after ``as_of`` are dimmed."""
    if not timeline.cards:
        return empty(
            "Nobody learned in this timeline yet",
            "You can draw with the base model, or teach someone in Add concept first.",
        )
    return render("chips", cards=timeline.cards, as_of=as_of, many=len(timeline.cards) > MANY)


def point(timeline: TimelineView, as_of: int) -> str:
    """The slider's place in words."""
    if not timeline.cards:
        return ""
    last = len(timeline.cards)
    card = timeline.cards[min(as_of, last) - 1] if as_of > 0 else None
    return render("point", card=card, today=as_of >= last)


def prompt_notes(notes: Sequence[str]) -> str:
    """What will not work in the prompt, a line each."""
    return "".join(say(note, "warn") for note in notes)


def drawing(job: JobView) -> str:
    """Where a drawing stands: a bar and words; what went wrong if it did."""
    if job.state in ("failed", "interrupted"):
        return say(job.message or "The picture could not be drawn.", "bad")
    if job.finished:
        return say(job.message, "quiet") if job.state == "stopped" else ""
    words = f"{job.phase}: step {job.step} of {job.total}" if job.total and job.step else job.phase
    share = job.step / job.total if job.total else 0.0
    return render("drawing", words=words[:1].upper() + words[1:], share=share, waiting=not job.step)


def stage(shown: Sequence[Path], settings: Mapping[str, Any]) -> str:
    """The pictures in front, in a grid as near to a square as can be, with what made them and a download for each."""
    facts = [words.format(settings[key]) for key, words in FACTS if settings.get(key) not in (None, "")]
    facts += [f"strength of {token} {strength:g}" for token, strength in settings.get("strengths", {}).items()]
    across = ceil(sqrt(len(shown)))
    aspect = settings.get("width", 1) / settings.get("height", 1)
    for place, values in enumerate(settings.get("axes", {}).values()):  # the sheet of a grid
        aspect *= 1 / len(values) if place else len(values)
    down = ceil(len(shown) / across)
    return render("stage", shown=shown, settings=settings, facts=facts, across=across, down=down, aspect=aspect)


def waiting_stage(timeline: TimelineView, prompt: str, prompts: Sequence[str]) -> str:
    """Before the first picture: what is in the prompt as it was last drawn, how to draw, and prompts to try."""
    asked = tokens_in(prompt)
    cards = [card for card in timeline.cards if card.token in asked][:FACES]
    return render("waiting_stage", cards=cards, prompt=prompt, prompts=prompts)


def ideas(prompts: Sequence[str]) -> str:
    """A menu of ready prompts; a click puts one into the prompt box."""
    return render("ideas", title="Ideas", label="Prompt ideas", prompts=prompts) if prompts else ""


def recent(prompts: Sequence[str]) -> str:
    """The same of the prompts drawn last."""
    return render("ideas", title="Recent", label="Prompts drawn last", prompts=prompts) if prompts else ""


def history(
    items: Sequence[tuple[Path, Mapping[str, Any]]],
    shown: Sequence[Path] = (),
    favourites: Collection[str] = (),
    more: bool = False,
    nothing: str = "",
) -> str:
    """Pictures drawn here, newest first; a click shows one large. more: there are older ones.  nothing: what is said
    where there is none; "" = nothing at all."""
    front = {path.name for path in shown}
    labelled = [(path, _label(path, settings), path.name in front, path.name in favourites) for path, settings in items]
    return render("history", items=labelled, more=more, nothing=nothing, newest=NEWEST) if items or nothing else ""


def _label(path: Path, settings: Mapping[str, Any]) -> str:
    prompt = str(settings.get("prompt", "")) or path.name
    return f"{prompt}, seed {settings['seed']}" if "seed" in settings else prompt
