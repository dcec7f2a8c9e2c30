"""An exported timeline on the Hugging Face Hub: its model card, and the way there."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from html import escape
from pathlib import Path

from clora_core.answers import Card, Exported, TimelineView, count
from clora_core.disk import write_text
from clora_core.errors import ModelError, SettingsError
from clora_core.export.parts import stem_of
from clora_core.models.description import BaseModel
from clora_core.models.hub import hub_model

TAGS = ["text-to-image", "diffusers", "lora", "continual-learning"]


def check_repository(repository: str) -> None:
    """Raise SettingsError for what is no owner/name."""
    found = hub_model(repository)
    if found is None or found.revision:
        raise SettingsError(f"{repository} is no place on the Hub. Give OWNER/NAME, for example ilva/my-family.")


def write_model_card(
    made: Exported, timeline: TimelineView, method: str, base: BaseModel, as_of: int | None = None
) -> None:
    """Write README.md and pictures/ beside the files: order, prompts, what was measured, and a drawing of each concept.

    None of the pictures that were learned from is among them. method: its title.
    """
    from huggingface_hub import ModelCardData

    _without_place(made.folder, base.path)
    cards = timeline.cards[:as_of]
    at_end = len(cards) == len(timeline.cards)
    (made.folder / "pictures").mkdir()
    shown = [_copied(card, made.folder / "pictures", at_end) for card in cards]
    hub = hub_model(base.source)
    facts = ModelCardData(
        base_model=hub.id if hub else None,
        library_name="diffusers",
        pipeline_tag="text-to-image",
        tags=TAGS,
        instance_prompt=cards[-1].prompt or None,
    )
    parts = [
        f"# {_plain(timeline.name)}",
        f"{count(len(cards), 'concept')}, taught one after another to {_plain(base.name)} with {_plain(method)}.",
        _table(cards, shown, at_end),
        "*Like its pictures*: how much four drawings resemble the pictures that were taught, 1 being the same. "
        "*Changed since*: how much the picture of the same seed has changed since the concept was learned.",
        "## How to use it",
        f"```text\n{(made.folder / 'README.txt').read_text(encoding='utf-8').strip()}\n```",
    ]
    write_text(made.folder / "README.md", f"---\n{facts.to_yaml()}\n---\n\n" + "\n\n".join(parts) + "\n")


def _without_place(folder: Path, model: str) -> None:
    """Where the base model lies on this machine is nobody else's: its name alone stays in what is written about it."""
    if not Path(model).exists():
        return
    for file in (*folder.rglob("*.txt"), *folder.rglob("*.json")):
        text = file.read_text(encoding="utf-8")
        if model in text:
            write_text(file, text.replace(model, Path(model).name))


def _copied(card: Card, folder: Path, at_end: bool) -> str:
    """The name of the concept's drawing in the folder; "" where there is none."""
    drawn = card.now_picture if at_end else card.learned_picture
    if drawn is None or not drawn.exists():
        return ""
    name = f"{card.index}-{stem_of(card.token)}{drawn.suffix}"
    shutil.copyfile(drawn, folder / name)
    return name


def _table(cards: Sequence[Card], shown: Sequence[str], at_end: bool) -> str:
    """One row a concept; what is known of none has no column."""
    rows = [_row(card, name, at_end) for card, name in zip(cards, shown, strict=True)]
    known = [title for title in rows[0] if any(row[title] for row in rows)]
    lines = [known, ["---"] * len(known), *([row[title].replace("|", "&#124;") for title in known] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(card: Card, picture: str, at_end: bool) -> dict[str, str]:
    alike = card.verdict.likeness if card.verdict else None
    return {
        "as it is drawn": f"![{_plain(card.name)}](pictures/{picture})" if picture else "",
        "concept": _plain(card.name),
        "prompt": f"<code>{escape(card.prompt or card.token)}</code>",
        "learned from": "elsewhere" if card.brought else count(card.picture_count, "picture"),
        "steps": "" if card.brought else str(card.steps),
        "like its pictures": "" if alike is None else f"{alike:.2f}",
        "changed since": "" if card.changed is None or not at_end else f"{card.changed:.0%}",
    }


def _plain(text: str) -> str:
    """What somebody typed, so that it is text in Markdown."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]#!" else letter for letter in escape(text, quote=False))


def push(folder: Path, repository: str, private: bool) -> str:
    """Send a folder to a repository, which is made where it is not there; returns its address.

    Raises ModelError: it may not be written to, or there is no connection.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    hub = HfApi()
    try:
        place = hub.create_repo(repository, private=private, exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=folder, commit_message="A timeline of C-LoRA Studio")
    except HfHubHTTPError as error:
        raise ModelError(
            f"The Hub does not take {repository}: {error} Run hf auth login with a token that may write there, or set "
            "HF_TOKEN."
        ) from error
    except Exception as error:  # no connection, in the words of any HTTP library
        raise ModelError(f"{repository} could not be sent to the Hub: {error} Check the connection.") from error
    return str(place)
