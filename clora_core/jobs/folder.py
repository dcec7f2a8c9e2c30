"""One job on disk: ``home/jobs/<id>/``. Whatever is shown about a job is read from here.

    job.json      state, step, total, phase, message, request, result
    steps.jsonl   one TrainStep a line
    previews/     preview-<step>-<new|old-<concept>>.png + previews.jsonl
    pictures/     the uploaded pictures, until the job has ended
    drawn/        card pictures, until the concept is stored
    real-<random>.webp   one small picture it is learned from, likewise: unguessable, for the page can serve it
    checkpoint/   what ``Studio.resume`` goes on from
    log.txt       the traceback of a failure

``Job`` is also the handle that the work inside the worker thread holds: it reports through
``update`` and ``add_step`` and asks ``check`` at every step whether it should stop.
"""

from __future__ import annotations

import json
import secrets
import shutil
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from PIL import Image
from pydantic import BaseModel

from clora_core.answers import UNFINISHED, Exported, Grid, JobState, JobView, Preview
from clora_core.concepts import TrainStep
from clora_core.data.beside import copy_picture
from clora_core.data.pictures import HEIC_SUFFIXES, SUFFIXES
from clora_core.data.small import save_small
from clora_core.disk import check_shape, parsed, read_json, sync_tree, write_json, write_text
from clora_core.errors import Cancelled, MissingMethodError, StoreError
from clora_core.jobs.requests import BringRequest, DrawRequest, ExportRequest, LearnRequest
from clora_core.settings.memory import Fit
from clora_core.settings.methods import BUILT_IN, Methods
from clora_core.verdict import Verdict

CURVE_POINTS = 500
PROGRESS_EVERY_SECONDS = 0.25
MAX_LINE = 100_000  # characters

StopWish = Literal["", "keep", "discard", "pause", "close"]
LEFT = ("paused", "interrupted")  # states of lessons that wait for somebody to go on with them
Asked = LearnRequest | DrawRequest | ExportRequest | BringRequest
REQUESTS: Mapping[str, type[Asked]] = MappingProxyType(
    {"learn": LearnRequest, "draw": DrawRequest, "export": ExportRequest, "bring": BringRequest}
)


class Record(BaseModel):
    """What job.json must hold; more may stand in it."""

    id: str
    kind: str
    state: JobState
    owner: str
    step: int
    total: int
    seconds: float
    steps_per_second: float | None
    seconds_left: float | None
    phase: str
    message: str
    request: dict[str, Any]
    pictures: list[str]
    verdict: dict[str, Any] | None
    concept_id: str
    turn: int = 0
    ended: float = 0.0
    exported: dict[str, Any] | None = None
    cells: list[list[str]] = []
    memory: str = ""
    fit: dict[str, Any] | None = None
    real: str = ""
    storing: str = ""
    pictures_sha256: str = ""


class Interrupted(Exception):
    """The programme is ending, or a pause is wished: leave the job as it is, so that it can be resumed."""


def job_number(folder: Path) -> int:
    """7 for ".../0007-learn": the order in which jobs were made."""
    return int(folder.name.split("-")[0])


class Job:
    """One job's folder, and the wish to stop it. Safe to read from any thread; written by its owner.

    request: what was asked for.
    """

    def __init__(self, folder: Path, changed: threading.Condition, methods: Methods = BUILT_IN) -> None:
        """Read a job's folder. Raises StoreError when its record or what it asks for is damaged."""
        self.folder = folder
        self.record = read_json(folder / "job.json", "id", "kind", "state", "owner", "request")
        check_shape(folder / "job.json", self.record, Record)
        if self.record["id"] != folder.name:
            raise StoreError(f"{folder / 'job.json'} is another job's. Delete the folder {folder}.")
        self.request = self._read_request(methods)
        self.stop_wish: StopWish = ""
        self._changed = changed
        self._written = 0.0
        self._steps: list[TrainStep] | None = None  # read once, then kept up with by add_step

    @classmethod
    def create(
        cls,
        jobs: Path,
        owner: str,
        request: Asked,
        changed: threading.Condition,
        methods: Methods = BUILT_IN,
    ) -> Job:
        """Make the next job folder ("0007-learn"): a queued job of ``owner``."""
        number = max((job_number(path) for path in jobs.glob("[0-9]*-*") if path.is_dir()), default=0) + 1
        while True:
            folder = jobs / f"{number:04d}-{request.kind}"
            try:
                folder.mkdir(parents=True)
                break
            except FileExistsError:
                number += 1
        record = {
            "id": folder.name,
            "kind": request.kind,
            "state": "queued",
            "owner": owner,
            "step": 0,
            "total": request.config.steps if isinstance(request, LearnRequest) else 0,
            "seconds": 0.0,
            "steps_per_second": None,
            "seconds_left": None,
            "phase": "waiting",
            "message": "",
            "request": request.to_json(),
            "pictures": [],
            "verdict": None,
            "concept_id": "",
            "turn": number,
            "ended": 0.0,
            "exported": None,
        }
        write_json(folder / "job.json", record)
        return cls(folder, changed, methods)

    def _read_request(self, methods: Methods) -> Asked:
        try:
            if self.kind not in REQUESTS:
                raise StoreError(f"There are no jobs of kind {self.kind!r}.")
            return REQUESTS[self.kind].from_json(self.record["request"], methods)
        except MissingMethodError as error:
            raise MissingMethodError(f"The job {self.folder.name} cannot be read. {error}") from error
        except StoreError as error:
            remedy = f"Delete the folders {self.folder} and {self.uploads}, and ask for it again."
            raise StoreError(f"The job {self.folder.name} is damaged. {error} {remedy}") from error

    @property
    def id(self) -> str:
        """The folder's name, "0007-learn"."""
        return str(self.record["id"])

    @property
    def kind(self) -> str:
        """One of ``REQUESTS``."""
        return str(self.record["kind"])

    @property
    def name(self) -> str:
        """Name of the concept that is to be learned or brought in; "" for other jobs."""
        return self.request.concept.name if isinstance(self.request, LearnRequest | BringRequest) else ""

    @property
    def comparison(self) -> str:
        """Id of the comparison that it is a part of; "" for none."""
        return self.request.comparison if isinstance(self.request, LearnRequest) else ""

    @property
    def finished(self) -> bool:
        """No further change will come by itself."""
        return self.record["state"] not in UNFINISHED

    @property
    def turn(self) -> int:
        """Its place in the queue of lessons: the lowest comes first. At first the job's number."""
        return int(self.record.get("turn", job_number(self.folder)))

    @property
    def ended(self) -> float:
        """When it ended, in seconds since 1970; 0.0 while it has not, and for jobs of earlier versions."""
        return float(self.record.get("ended", 0.0))

    @property
    def left(self) -> bool:
        """A lesson that was paused or interrupted."""
        return self.kind == "learn" and self.record["state"] in LEFT

    @property
    def resumable(self) -> bool:
        """``Studio.resume`` can go on with it, or try it again."""
        return self.left or (self.kind == "learn" and self.record["state"] == "failed" and self.uploads.exists())

    @property
    def checkpoint(self) -> Path:
        """The file that makes a checkpoint one; its weights lie beside it."""
        return self.folder / "checkpoint" / "checkpoint.json"

    @property
    def has_checkpoint(self) -> bool:
        """What was learned so far can be gone on with."""
        return self.checkpoint.exists()

    def check_past(self, now: Sequence[str]) -> None:
        """Raise StoreError when the checkpoint was learned on other concepts than those with the ids ``now``."""
        try:
            after = read_json(self.checkpoint, "after")["after"] if self.has_checkpoint else list(now)
        except StoreError:  # it cannot be read, so nothing is gone on with
            return
        if after != list(now):
            past = ", ".join(map(str, after)) or "nothing"
            raise StoreError(
                f"{self.name} was begun after {past}, and the timeline has changed since. Start {self.name} over, or "
                f"bring the timeline back with Undo or Redo and go on."
            )

    def cut_off(self) -> str:
        """What to say when the programme ended before the job did."""
        if self.kind == "export":
            return "The programme ended before the files were written. Ask for them again."
        if self.kind == "bring":
            return f"The programme ended before {self.name} was brought in. Ask for it again."
        if self.kind != "learn":
            return "The programme ended before the pictures were drawn. Ask for them again."
        step, total = self.record["step"], self.record["total"]
        if not step:
            return f"The programme ended before {self.name} was begun. Go on, or discard it."
        where = f"(step {step} of {total})"
        return f"The programme ended while {self.name} was being learned {where}. Go on, or discard it."

    def paused_at(self) -> str:
        """What to say of a paused lesson."""
        step, total = self.record["step"], self.record["total"]
        where = f"Paused at step {step} of {total}." if step else "Paused before the first step."
        return f"{where} Nothing is learned until you go on."

    @property
    def uploads(self) -> Path:
        """Where the job's uploaded pictures lie until it ends: beside the jobs, which the page may show."""
        return self.folder.parent.parent / "uploads" / self.folder.name

    def take_pictures(self, paths: Iterable[Path], sha256: str = "") -> None:
        """Copy the uploaded pictures of a learn job and what lies beside them, under plain names, so that they outlive
        the upload. Raises OSError.

        sha256: ``PictureSet.sha256`` of them, by which they are known again; "" = not known.
        """
        assert isinstance(self.request, LearnRequest)
        self.uploads.mkdir(parents=True)
        names = []
        for number, path in enumerate(paths, 1):
            known = path.suffix.lower() in (*SUFFIXES, *HEIC_SUFFIXES)  # a file's content says what it is
            names.append(Path(f"{number:02d}{path.suffix.lower() if known else '.png'}"))
            copy_picture(path, self.uploads / names[-1])
        sync_tree(self.uploads)
        self.request = replace(self.request, concept=replace(self.request.concept, pictures=tuple(names)))
        self.update(request=self.request.to_json(), pictures_sha256=sha256, state="queued")

    # -- what the work calls ---------------------------------------------------------------------

    def check(self) -> None:
        """Raise Cancelled (discard, cancel) or Interrupted (pause, the programme ends) when that is wished."""
        if self.stop_wish == "discard":
            raise Cancelled("Stopped.")
        if self.stop_wish in ("pause", "close"):
            raise Interrupted

    def update(self, **changes: Any) -> None:
        """Change the record; on disk at once when the state changes, else at most four times a second. Raises OSError
        when a state cannot be written."""
        with self._changed:
            important = "state" in changes or changes.get("phase", self.record["phase"]) != self.record["phase"]
            self.record.update(changes)
            now = time.monotonic()
            if important or now - self._written >= PROGRESS_EVERY_SECONDS:
                self._written = now
                try:
                    write_json(self.folder / "job.json", self.record, durable="state" in changes)
                except OSError:  # progress that cannot be written ends no work: whoever runs it tells it from memory
                    if "state" in changes:
                        raise
            self._changed.notify_all()

    def add_step(self, step: TrainStep) -> None:
        """Append one line to steps.jsonl, if there is room for it."""
        self._curve().append(step)
        with suppress(OSError), (self.folder / "steps.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(step)) + "\n")

    def go_on_from(self, curve: Sequence[TrainStep]) -> None:
        """The curve of a checkpoint, () for none, is the job's: what came after it will be run again."""
        step = len(curve)
        write_text(self.folder / "steps.jsonl", "".join(json.dumps(asdict(line)) + "\n" for line in curve))
        self._steps = list(curve)
        shown = [preview for preview in self.previews() if preview.step <= step]
        write_text(self.folder / "previews.jsonl", "".join(_preview_line(preview) for preview in shown))

    def show_real(self, picture: Image.Image) -> None:
        """Let one of the real pictures be seen while it is learned, small. Raises OSError."""
        for old in self.folder.glob("real-*"):
            old.unlink()
        path = self.folder / f"real-{secrets.token_hex(8)}.webp"
        save_small(picture, path)
        self.update(real=str(path))

    @property
    def real(self) -> Path | None:
        """The small real picture; None where none may be shown, or none lies there."""
        path = Path(self.record.get("real") or self.folder)
        return path if path.is_file() else None

    def preview_path(self, step: int, is_new: bool, of: str = "") -> Path:
        """Where the preview picture of that step goes. of: id of the older concept that it shows."""
        (self.folder / "previews").mkdir(exist_ok=True)
        return self.folder / "previews" / f"preview-{step:06d}-{'new' if is_new else 'old'}{of and '-'}{of}.png"

    def add_preview(self, preview: Preview) -> None:
        """Make a finished preview picture known."""
        with (self.folder / "previews.jsonl").open("a", encoding="utf-8") as file:
            file.write(_preview_line(preview))
        with self._changed:
            self._changed.notify_all()

    def log(self, text: str) -> None:
        """Append to log.txt; nothing happens when the disk is full."""
        with suppress(OSError), (self.folder / "log.txt").open("a", encoding="utf-8") as file:
            file.write(text.rstrip() + "\n")

    def drop_inputs(self) -> None:
        """Delete the uploaded pictures, the checkpoint and the card drafts: the job has ended for good."""
        shutil.rmtree(self.uploads, ignore_errors=True)
        self.drop_learned()

    def drop_learned(self) -> None:
        """Delete the checkpoint and the card drafts: if it is tried again, it begins at the start."""
        for folder in (self.checkpoint.parent, self.folder / "drawn"):
            shutil.rmtree(folder, ignore_errors=True)
        for picture in self.folder.glob("real-*"):
            picture.unlink(missing_ok=True)

    # -- reading ---------------------------------------------------------------------------------

    def steps(self) -> list[TrainStep]:
        """Every step so far (a line torn by a crash is left out)."""
        return list(self._curve())

    def _curve(self) -> list[TrainStep]:
        if self._steps is None:
            names = dict.fromkeys((field.name for field in fields(TrainStep)), (int, float))
            self._steps = [TrainStep(**line) for line in _lines(self.folder / "steps.jsonl", names)]
        return self._steps

    def previews(self) -> list[Preview]:
        """Preview pictures so far, in order."""
        kinds = {"step": int, "token": str, "name": str, "file": str, "is_new": bool}
        found = _lines(self.folder / "previews.jsonl", kinds)
        return [
            Preview(
                line["step"],
                line["token"],
                line["name"],
                self.folder / "previews" / Path(line["file"]).name,
                line["is_new"],
            )
            for line in found
        ]

    def view(self, whole: bool = True) -> JobView:
        """The job as the page sees it. whole: with its curve and previews, which lie in files of their own."""
        with self._changed:
            record = dict(self.record)
        request, verdict = self.request, record["verdict"]
        return JobView(
            id=record["id"],
            kind=record["kind"],
            state=record["state"],
            step=record["step"],
            total=record["total"],
            seconds=record["seconds"],
            steps_per_second=record["steps_per_second"],
            seconds_left=record["seconds_left"],
            phase=record["phase"],
            message=record["message"],
            timeline_id=request.timeline_id,
            curve=thin(self.steps()) if whole else [],
            previews=self.previews() if whole else [],
            pictures=[Path(path) for path in record["pictures"]],
            name=self.name,
            token=request.concept.token if isinstance(request, LearnRequest | BringRequest) else "",
            prompt=request.prompt if isinstance(request, DrawRequest) else "",
            grid=self._grid(record),
            verdict=Verdict.from_json(verdict) if verdict else None,
            concept_id=record["concept_id"],
            real_picture=self.real,
            resumable=self.resumable,
            begun=self.has_checkpoint,
            stopping=bool(self.stop_wish) and not self.finished,
            ended=self.ended,
            exported=Exported.from_json(record["exported"]) if record.get("exported") else None,
            memory=record.get("memory", ""),
            tight=bool(record.get("fit")) and Fit.from_json(record["fit"]).tight,
        )

    def _grid(self, record: Mapping[str, Any]) -> Grid | None:
        if not isinstance(self.request, DrawRequest) or not self.request.axes:
            return None
        axes, cells = self.request.axes, record.get("cells")
        if not cells:
            down = len(axes[1].values) if len(axes) > 1 else 1
            cells = [[""] * len(axes[0].values)] * down
        return Grid(axes, tuple(tuple(Path(path) if path else None for path in row) for row in cells))


def thin(curve: list[TrainStep], points: int = CURVE_POINTS) -> list[TrainStep]:
    """At most ``points`` steps, evenly spread, first and last kept."""
    if len(curve) <= points:
        return curve
    return [curve[round(i * (len(curve) - 1) / (points - 1))] for i in range(points)]


def _preview_line(preview: Preview) -> str:
    line = {
        "step": preview.step,
        "token": preview.token,
        "name": preview.name,
        "file": preview.path.name,
        "is_new": preview.is_new,
    }
    return json.dumps(line) + "\n"


def _lines(path: Path, kinds: Mapping[str, type | tuple[type, ...]]) -> list[dict[str, Any]]:
    """The lines of a .jsonl file that hold just these keys with values of these kinds; others are passed over: the one
    that was being written when the power went, or a damaged one."""
    if not path.is_file():
        return []
    found = []
    with path.open(encoding="utf-8", errors="replace") as file:
        while text := file.readline(MAX_LINE):
            with suppress(ValueError):
                line = parsed(text)
                if _is_of(line, kinds):
                    found.append(line)
    return found


def _is_of(line: Any, kinds: Mapping[str, type | tuple[type, ...]]) -> bool:
    named = isinstance(line, dict) and set(line) == set(kinds)
    return named and all(isinstance(line[key], kind) for key, kind in kinds.items())
