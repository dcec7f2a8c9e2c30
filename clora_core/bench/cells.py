"""What a benchmark is to run: its cells, and what they share."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clora_core.answers import Sample
from clora_core.bench.lines import Line
from clora_core.concepts import TrainConfig, same_base, slug
from clora_core.data.picture_sets import pictures_in, read_samples
from clora_core.disk import ASSETS
from clora_core.errors import SettingsError
from clora_core.measures.features import Clip, Features, likeness_network
from clora_core.models.description import BaseModel
from clora_core.settings.learning import decisive


@dataclass(frozen=True)
class Cell:
    """What one line of results is about: concepts learned in one order, with one seed, under some settings.

    arm: what is compared, in words: a method, an ablation, or settings.  changes: the settings that make the arm, over
    the preset of its method.
    """

    arm: str
    changes: Mapping[str, Any]
    order: int = 0
    seed: int = 0

    @property
    def id(self) -> str:
        """Its folder's name and its key in results.jsonl."""
        return f"{slug(self.arm)}-order{self.order}-seed{self.seed}"

    def ordered(self, samples: Sequence[Sample]) -> list[Sample]:
        """The concepts in this order; order 0 is the one they come in."""
        rng, concepts = random.Random(f"order/{self.order}"), list(samples)
        if self.order:
            rng.shuffle(concepts)
        return concepts


@dataclass(frozen=True)
class Plan:
    """What every cell of a run has in common; results of another plan are not mixed in.

    count: how many concepts.  draws: pictures of each at each time.  concepts: folder of those to learn; None = those
    that ship with the app.  references: folder with one folder of real pictures a concept, named like that in
    ``concepts``; None = what is learned from.  clip, dino: folder or Hub id of the network that judges prompts and of
    the one that judges likeness; "" = the model's own classifiers and EfficientNet-lite0.  settings: TrainConfig values
    that differ from the model's preset.  whole: draw every concept after each later one, and what is asked for beside
    it; otherwise only when it was learned and at the end.

    Raises SettingsError for a number of pictures that cannot be compared: the unbiased MMD has no value for one.
    """

    base: BaseModel
    count: int = 10
    draws: int = 8
    concepts: Path | None = None
    references: Path | None = None
    clip: str = ""
    dino: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    whole: bool = True

    def __post_init__(self) -> None:
        least = 2 if self.whole else 1
        if not least <= self.draws <= 64:
            raise SettingsError(f"{self.draws} pictures a concept cannot be compared: draw {least} to 64.")

    def samples(self) -> list[Sample]:
        """The concepts to learn. Raises SettingsError when there are fewer, or none is asked for."""
        if self.count < 1:
            raise SettingsError(f"{self.count} concepts cannot be compared: ask for one or more.")
        samples = read_samples(self.concepts or ASSETS / "base" / "people")[: self.count]
        if len(samples) < self.count:
            where = self.concepts or "the app"
            raise SettingsError(f"{self.count} concepts are asked for, but {where} has only {len(samples)}.")
        return samples

    def reference_pictures(self) -> dict[str, tuple[Path, ...]]:
        """Real pictures by token. Raises SettingsError when there are fewer than two of a concept."""
        found = {}
        for sample in self.samples():
            own = sample.pictures
            if self.references:
                own = pictures_in(self.references / sample.pictures[0].parent.name)
            if len(own) < 2:
                raise SettingsError(f"There are fewer than 2 reference pictures of {sample.name} in {self.references}.")
            found[sample.token] = own
        return found

    def judges(self, device: str | None) -> tuple[Features, Clip | None]:
        """What looks at the pictures, and at prompts beside them (None: the base model's attribute classifiers).

        Raises SettingsError when a network cannot be had.
        """
        return likeness_network(self.dino, device), Clip(self.clip, device) if self.clip else None

    def config(self, cell: Cell) -> TrainConfig:
        """How the cell learns: the preset of its method, what it reads of the plan's settings, what the cell does."""
        quiet = {"preview_every_seconds": 0.0}
        return self.base.train_shared(self.settings, {**cell.changes, "seed": cell.seed, **quiet})

    def to_json(self, cell: Cell) -> dict[str, Any]:
        """What of the plan decides about a cell, as plain values; other methods' presets do not."""
        return {**self._common(), "train": decisive(self.config(cell))}

    def _common(self) -> dict[str, Any]:
        folders = {name: str(getattr(self, name) or "") for name in ("concepts", "references")}
        networks = {name: getattr(self, name) for name in ("clip", "dino") if getattr(self, name)}
        times = {} if self.whole else {"whole": False}
        sampling = self.base.sampling.to_json()
        if not sampling["sampler"]:
            del sampling["sampler"]  # lines were once noted without
        base = {"id": self.base.id, "sampling": sampling}
        return {"count": self.count, "draws": self.draws, **folders, **networks, **times, "base": base}

    def made(self, line: Line, cell: Cell | None) -> bool:
        """Whether a finished line is this plan's. cell: the one it is of, None when that is not asked for."""
        noted = dict(line["plan"])
        train = noted.pop("train", {})
        if same_base(noted.get("base", {}).get("id", ""), self.base.id):  # lines were once noted with its older form
            noted["base"] = {**noted["base"], "id": self.base.id}
        if cell is None or noted != self._common():
            return noted == self._common()
        config = self.config(cell)  # lines were once noted with options of other methods, too, and without newer ones
        wanted, plain = decisive(config), TrainConfig(config.method).to_json()
        return {name: train.get(name, plain[name]) for name in wanted} == wanted
