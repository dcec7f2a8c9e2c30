"""What ``bench forgetting`` is to run: its cells, and what they share."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from clora_core.answers import Sample
from clora_core.concepts import TrainConfig
from clora_core.errors import SettingsError
from clora_core.measures.features import Clip, Features, likeness_network
from clora_core.models.description import BaseModel
from clora_core.settings.learning import decisive
from clora_core.settings.methods import METHOD_TITLES

# C-LoRA less one part each, with its title and settings; less Eq. 3 it is the method "stacked"
ABLATIONS: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "clora-word-token": ("C-LoRA, token starts at person", {"token_start": "person"}),
        "clora-object-word": ("C-LoRA, person kept in the prompt", {"object_word": "person"}),
    }
)

TITLES: Mapping[str, str] = MappingProxyType({**METHOD_TITLES, **{arm: title for arm, (title, _) in ABLATIONS.items()}})

ARMS = tuple(TITLES)


@dataclass(frozen=True)
class Cell:
    """One arm, one order, one seed."""

    arm: str
    order: int
    seed: int

    @property
    def id(self) -> str:
        """Its folder's name and its key in results.jsonl."""
        return f"{self.arm.replace('_', '-')}-order{self.order}-seed{self.seed}"

    @property
    def method(self) -> str:
        """The method that is run."""
        return "clora" if self.arm in ABLATIONS else self.arm

    @property
    def settings(self) -> dict[str, Any]:
        """What the cell changes in the method's preset."""
        _, changed = ABLATIONS.get(self.arm, ("", {}))
        return {"method": self.method, "seed": self.seed, "preview_every_seconds": 0.0, **changed}

    def ordered(self, samples: Sequence[Sample]) -> list[Sample]:
        """The people in this order; order 0 is the one they come in."""
        rng, people = random.Random(f"order/{self.order}"), list(samples)
        if self.order:
            rng.shuffle(people)
        return people


@dataclass(frozen=True)
class Plan:
    """What every cell of a run has in common; results of another plan are not mixed in.

    Raises SettingsError for fewer than two pictures a person: the unbiased MMD has no value for one.
    """

    base: BaseModel
    people: int = 10
    draws: int = 8
    concepts: Path | None = None
    references: Path | None = None
    clip: str = ""  # folder or Hub id of CLIP; "" = the base model's own attribute classifiers judge prompts
    dino: str = ""  # folder or Hub id of DINO; "" = likeness by EfficientNet-lite0
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 2 <= self.draws <= 64:
            raise SettingsError(f"{self.draws} pictures a person cannot be compared: draw 2 to 64.")
        fixed = {"method", "seed"} & set(self.settings)
        if fixed:
            raise SettingsError(f"The {' and the '.join(sorted(fixed))} are given by --methods and --seeds here.")

    def judges(self, device: str | None) -> tuple[Features, Clip | None]:
        """What looks at the pictures, and at prompts beside them (None: the base model's attribute classifiers).

        Raises SettingsError when a network cannot be had.
        """
        return likeness_network(self.dino, device), Clip(self.clip, device) if self.clip else None

    def config(self, cell: Cell) -> TrainConfig:
        """How the cell learns: the preset of its method, what the plan changes, and what the cell does."""
        return self.base.train_with({**self.settings, **cell.settings})

    def to_json(self, cell: Cell) -> dict[str, Any]:
        """What of the plan decides about a cell, as plain values; other methods' presets do not."""
        folders = {name: str(getattr(self, name) or "") for name in ("concepts", "references")}
        networks = {name: getattr(self, name) for name in ("clip", "dino") if getattr(self, name)}
        plain = {"people": self.people, "draws": self.draws, **folders, **networks}
        base = {"id": self.base.id, "sampling": self.base.sampling.to_json()}
        return {**plain, "base": base, "train": decisive(self.config(cell))}


def cells_of(arms: Sequence[str], orders: int, seeds: int) -> list[Cell]:
    """All cells, those of every arm's first order and seed first, so that a first comparison is early there.

    Raises SettingsError for an unknown arm, and when there would be none.
    """
    if orders < 1 or seeds < 1 or not arms:
        raise SettingsError("A comparison needs at least one method, one order and one seed.")
    unknown = [arm for arm in arms if arm not in ARMS]
    if unknown:
        raise SettingsError(f"Unknown method {', '.join(unknown)}. Known: {', '.join(ARMS)}.")
    rounds = itertools.product(range(orders), range(seeds), dict.fromkeys(arms))
    return [Cell(arm, order, seed) for order, seed, arm in rounds]
