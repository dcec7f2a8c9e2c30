"""What a benchmark may ask a base model for beside a concept: data that lies with the model, in its asked.json.

{"object_word": "person",
 "prompts": [{"ending": "wearing red clothes, blue background",
              "attributes": {"clothes": "red", "background": "blue"}}]}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clora_core.disk import read_json

ASKED_FILE = "asked.json"


@dataclass(frozen=True)
class AskedPrompt:
    """The end of a prompt, and by attribute the class that the model's classifiers are to find in its picture."""

    ending: str
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class Asked:
    """object_word: the model's word for what its concepts are.  prompts: what is asked for beside each of them."""

    object_word: str
    prompts: tuple[AskedPrompt, ...]


def read_asked(folder: Path) -> Asked | None:
    """What lies beside a model; None where nothing does. Raises StoreError when it cannot be read."""
    if not (folder / ASKED_FILE).is_file():
        return None
    values = read_json(folder / ASKED_FILE, "object_word", "prompts")
    prompts = (AskedPrompt(prompt["ending"], prompt["attributes"]) for prompt in values["prompts"])
    return Asked(values["object_word"], tuple(prompts))
