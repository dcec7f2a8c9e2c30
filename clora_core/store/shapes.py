"""What a timeline's JSON files must hold to be used at all; what else stands in them is left alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, field_validator

from clora_core.disk import check_id, check_shape
from clora_core.errors import MissingMethodError, StoreError, StudioError
from clora_core.settings.learning import TrainConfig
from clora_core.verdict import Verdict


class Removed(BaseModel):
    """A concept in the trash, see ``clora_core.store.removed``."""

    id: str
    deleted: str
    after: list[str]

    @field_validator("deleted")
    @classmethod
    def _is_a_date(cls, value: str) -> str:
        if datetime.fromisoformat(value).tzinfo is None:
            raise ValueError("it has no time zone")
        return value


class Index(BaseModel):
    """timeline.json."""

    name: str
    base_id: str
    base_name: str
    method: str
    updated: str
    concepts: list[str]
    undone: list[str]
    set_aside: list[str]
    comparison: str = ""
    base_source: str = ""
    removed: list[Removed] = []


class Found(BaseModel):
    """A verdict."""

    differs_from_base: float
    older_changed: list[list[str | float]]
    outcome: str = ""
    likeness: float | None = None
    before: float | None = None
    real: float | None = None
    older_likeness: list[list[str | float]] = []
    confused: list[str | float] | None = None
    seed: int | None = None


class Origin(BaseModel):
    """Where a concept is from that was not learned here, see ``concepts.Brought``."""

    files: dict[str, str]
    left_out: dict[str, int]
    word: str


class Effort(BaseModel):
    """The settings that every concept was learned with, whatever its method."""

    seed: int
    steps: int
    batch_size: int
    resolution: int


class Facts(BaseModel):
    """concept.json."""

    name: str
    token: str
    template: str
    created: str
    seconds: float
    steps_done: int
    picture_count: int
    config: Effort
    verdict: Found | None = None
    pictures_sha256: str = ""
    picture_hashes: list[str] = []
    learned_after: list[str] = []
    weights_sha256: str = ""
    brought: Origin | None = None


def check_index(path: Path, values: Mapping[str, Any]) -> None:
    """Raise StoreError when what was read from a timeline.json is none's."""
    check_shape(path, values, Index)
    for concept in [*values["concepts"], *values["undone"], *values["set_aside"]]:
        check_id(concept, "concept")


def check_facts(path: Path, values: Mapping[str, Any]) -> None:
    """Raise StoreError when what was read from a concept.json is none's."""
    check_shape(path, values, Facts)
    try:
        if values.get("verdict"):
            Verdict.from_json(values["verdict"])
        TrainConfig.from_json(values["config"])
    except MissingMethodError:  # it is looked at where the methods are known
        return
    except (StudioError, TypeError, ValueError, LookupError) as error:
        raise StoreError(f"{path} is damaged ({str(error).rstrip('.')}). Restore it from a backup.") from error
