"""What the door shows: read-only values handed to the page and to the command line.

Frozen dataclasses without behaviour beyond wording. They carry no tensors and no model, so a page
may keep them as long as it likes.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from clora_core.concepts import Brought, TrainStep
from clora_core.settings.grid import Axis
from clora_core.settings.memory import Fit
from clora_core.verdict import Verdict

JobState = Literal["queued", "running", "paused", "done", "stopped", "failed", "interrupted"]
JobKind = Literal["learn", "draw", "export", "bring"]

UNFINISHED: tuple[JobState, ...] = ("queued", "running")


def count(number: int, noun: str) -> str:
    """ "1 picture", "8 pictures"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@dataclass(frozen=True)
class Sample:
    """One ready-made picture set that ships with the app (``assets/base/people/<folder>``)."""

    name: str
    token: str
    pictures: tuple[Path, ...]


@dataclass(frozen=True)
class ModelChoice:
    """A base model that can be opened. path: a folder, a file or a Hub id."""

    name: str
    path: str


@dataclass(frozen=True)
class DiskUse:
    """What one kind of file takes in a home folder, in bytes. freeable: what of it nobody needs any more."""

    kind: str
    title: str
    size: int
    freeable: int = 0


OTHER_BASE = "another base model"
"""The problem of a timeline that was learned on a base model that is not the open one."""


@dataclass(frozen=True)
class TimelineSummary:
    """One line in the list of timelines, newest change first.

    ``problem`` says why it cannot be used: it was learned on another base model, or its file cannot be read.
    """

    id: str
    name: str
    method: str
    concepts: int
    updated: str
    problem: str = ""
    comparison: str = ""  # the comparison it was learned for

    @property
    def usable(self) -> bool:
        """It can be drawn from and learned on with the open base model."""
        return not self.problem

    @property
    def elsewhere(self) -> bool:
        """It belongs to another base model: it is there again when that one is opened."""
        return self.problem == OTHER_BASE


@dataclass(frozen=True)
class Card:
    """One learned concept as the timeline shows it.

    ``learned_picture`` was drawn when the concept had just been learned, ``now_picture`` with the
    same seed and settings at the end of the timeline as it stands; for the newest concept they are
    the same file; ``changed`` is their ``difference``, None when one is missing.
    ``settings`` holds the TrainConfig it was learned with; what came from elsewhere has ``brought`` instead.
    ``likeness`` is how much ``now_picture`` looks like the real ones (``Verdict.likeness``), as far as that was
    measured; ``real_picture`` is the small one of them that was kept.
    """

    index: int  # 1-based: "as of concept index"
    id: str
    name: str
    token: str
    created: str
    seconds: float
    steps: int
    picture_count: int
    learned_picture: Path | None
    now_picture: Path | None
    changed: float | None
    settings: dict[str, Any]
    prompt: str = ""  # the prompt of both pictures, e.g. "a photo of <rex>"
    verdict: Verdict | None = None
    pictures_sha256: str = ""  # of those it was learned from; "" = not noted
    picture_hashes: tuple[str, ...] = ()  # of the same, to know them again by; () = not noted
    likeness: float | None = None
    real_picture: Path | None = None
    brought: Brought | None = None


@dataclass(frozen=True)
class TimelineView:
    """A timeline for the eye: its cards in order, and the redo shelf (next to come back first)."""

    id: str
    name: str
    method: str
    cards: tuple[Card, ...]
    undone: tuple[Card, ...]
    base_id: str = ""
    usable: bool = True


@dataclass(frozen=True)
class Side:
    """One side of a comparison, and what its pictures say.

    Attributes:
        changes: the forgetting map, see ``Studio.changes``.
        mean_change: of all concepts but the last, from the day each was learned to now; NaN for a single one.
        kept, fading, lost: how many concepts but the last are in that state (``verdict.health``).
        megabytes: of all the weights on disk.
        likeness_then, likeness_now: by token, how much its picture looks like the real ones (``Studio.likeness``), as
            it was learned and now; without those where it is not known.
    """

    timeline: TimelineView
    title: str
    changes: tuple[tuple[float | None, ...], ...]
    mean_change: float
    kept: int
    fading: int
    lost: int
    seconds: float
    megabytes: float
    likeness_then: Mapping[str, float] = field(default_factory=dict)
    likeness_now: Mapping[str, float] = field(default_factory=dict)

    @property
    def mean_likeness_then(self) -> float:
        """Over all concepts of which it is known; NaN for none."""
        return _mean(self.likeness_then)

    @property
    def mean_likeness_now(self) -> float:
        """Over all concepts of which it is known; NaN for none."""
        return _mean(self.likeness_now)

    @property
    def effort(self) -> tuple[tuple[Any, ...], ...]:
        """What was put into each concept: steps done, pictures a step, pixels."""
        return tuple((c.steps, c.settings.get("batch_size"), c.settings.get("resolution")) for c in self.timeline.cards)


def _mean(values: Mapping[str, float]) -> float:
    return statistics.fmean(values.values()) if values else math.nan


def fair(sides: Sequence[Side]) -> bool:
    """All learned with the same effort, so that one may be called better than another."""
    return len({side.effort for side in sides}) == 1


@dataclass(frozen=True)
class Preview:
    """One picture drawn while learning. ``step`` 0 = before the first step (older concepts only)."""

    step: int
    token: str
    name: str
    path: Path
    is_new: bool  # the concept being learned, not an older one


@dataclass(frozen=True)
class Grid:
    """A grid of pictures as far as it is drawn. axes: from left to right, then from top to bottom if two things vary.
    cells: row by row; None = not drawn yet, or not learned at that point."""

    axes: tuple[Axis, ...]
    cells: tuple[tuple[Path | None, ...], ...]


@dataclass(frozen=True)
class JobView:
    """One piece of model work, as read from its folder.

    Attributes:
        step, total: training steps (learn) or sampling steps (draw). ``total`` is 0 until known.
        seconds: working time so far, waiting in the queue not counted; of a learn job the learning itself, as
            the concept's card says it later.
        steps_per_second, seconds_left: None until they can be told.
        phase: what is happening now, in words ("learning", "waiting for its turn").
        message: empty while it runs; then the verdict or the error, as a sentence.
        curve: every TrainStep, thinned to 500 at most (first and last kept).
        pictures: finished pictures of a draw job so far, or the card picture of a learn job.
        grid: of a draw job that draws one; its ``pictures`` is the sheet, at the end.
        exported: what an export job has written.
        name, token: the concept of a learn job; empty for a draw job.
        real_picture: one of the pictures it is learned from, small; None where none may be shown.
        resumable: ``Studio.resume`` can go on with it: a lesson that was paused or interrupted, or has failed.
        begun: what was learned of it so far is kept for that.
        here: this programme has it in its hands.
        stopping: it was asked to stop or to pause, and will.
        ended: when it ended, in seconds since 1970; 0.0 while it has not.
        memory: of a learn job, whether it fits and with what, as a sentence; "" before that is known.
        tight: it fits only with savings, or not at all.
    """

    id: str
    kind: JobKind
    state: JobState
    step: int
    total: int
    seconds: float
    steps_per_second: float | None
    seconds_left: float | None
    phase: str
    message: str
    timeline_id: str
    curve: list[TrainStep] = field(default_factory=list)
    previews: list[Preview] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)
    name: str = ""
    token: str = ""
    prompt: str = ""
    grid: Grid | None = None
    verdict: Verdict | None = None
    concept_id: str = ""  # set once the concept stands in the timeline
    real_picture: Path | None = None
    resumable: bool = False
    begun: bool = False
    here: bool = False
    stopping: bool = False
    ended: float = 0.0
    exported: Exported | None = None
    memory: str = ""
    tight: bool = False

    @property
    def share(self) -> float:
        """How much of its steps are done, 0 to 1."""
        return self.step / self.total if self.total else 0.0

    @property
    def finished(self) -> bool:
        """No further change will come by itself."""
        return self.state not in UNFINISHED


@dataclass(frozen=True)
class Estimate:
    """What a lesson will take: seconds, previews and checks included; megabytes of memory as measured, None where the
    system does not tell; whether it fits, None where that is not known."""

    seconds: float
    megabytes: int | None
    fit: Fit | None = None


@dataclass(frozen=True)
class Exported:
    """Files for other programmes.

    difference: of the pictures that they and the model as it is here draw of one seed, the largest of a pixel, of its
    range.  proved: it is within ``tolerance``.  archive: all of them in one file, where one was made.  lost: share of
    the weights' norm that a lower rank has cost.
    """

    folder: Path
    files: tuple[Path, ...]
    difference: float
    tolerance: float
    proved: bool
    archive: Path | None = None
    lost: float = 0.0

    @property
    def megabytes(self) -> float:
        """Of all the files."""
        return sum(path.stat().st_size for path in self.files if path.exists()) / 1e6

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Exported:
        """The inverse of ``to_plain``."""
        archive = Path(data["archive"]) if data["archive"] else None
        files = tuple(map(Path, data["files"]))
        folder, lost = Path(data["folder"]), data.get("lost", 0.0)
        return cls(folder, files, data["difference"], data["tolerance"], data["proved"], archive, lost)


@dataclass(frozen=True)
class LoraContents:
    """What a LoRA file of another programme holds.

    matrices: how many of cross-attention, which a concept can hold.  ranks: the lowest and the highest of them.
    left_out: how many others it changes, by what they are of.  left_out_key: the name of one.  words: those it was
    trained with.  made_for: its base model, in the words of whoever wrote it. "" = it does not say.
    """

    file: str
    matrices: int
    ranks: tuple[int, int]
    left_out: Mapping[str, int]
    left_out_key: str = ""
    words: str = ""
    made_for: str = ""


def what_is_left(left_out: Mapping[str, int]) -> str:
    """ "64 matrices of self-attention, 72 of the text encoder"; "" = nothing is left out."""
    parts = [f"{number} {kind}" for kind, number in left_out.items()]
    if parts:
        number, _, kind = parts[0].partition(" ")
        parts[0] = f"{number} {'matrix' if number == '1' else 'matrices'} {kind}"
    return ", ".join(parts)


@dataclass(frozen=True)
class Trashed:
    """One thing in the trash.

    name: for people.  place: the timeline that a concept was in, "" for others.  deleted: ISO 8601 with time zone.
    picture: one to know it by.  days_left: until it is deleted for good.
    """

    id: str
    kind: Literal["timeline", "concept", "picture"]
    name: str
    deleted: str
    days_left: int
    place: str = ""
    picture: Path | None = None


def to_plain(value: Any) -> Any:
    """Views, paths and tuples as values that ``json.dumps`` takes."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: to_plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
