"""Drawing what was asked for: pictures of one prompt, or a grid of them. What is drawn is kept, however a job ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any

from PIL import Image

from clora_core.answers import count
from clora_core.concepts import Timeline
from clora_core.drawing.contact_sheet import contact_sheet
from clora_core.drawing.generate import generate, generate_in_turn
from clora_core.drawing.png_settings import picture_info, save_picture
from clora_core.drawing.strength import with_strengths
from clora_core.errors import Cancelled
from clora_core.jobs.check import Loaded
from clora_core.jobs.folder import Job
from clora_core.jobs.grid import Cell, cells_of, cost, rows_of
from clora_core.jobs.requests import DrawRequest
from clora_core.store.store import ConceptStore

SHEET_LEAST, SHEET_SIDE = 128, 512  # px of a picture's longer side on a sheet, about
SHEET_PX = 6000  # px of all pictures of a sheet side by side, at most


def draw(model: Loaded, job: Job, store: ConceptStore, pictures: Path) -> dict[str, Any]:
    """Draw what ``job`` asks for into the folder ``pictures``; returns the job's last changes.

    Raises Cancelled where that was wished before anything was drawn; later, what is drawn is kept.
    """
    request, began, stopped = job.request, time.monotonic(), False
    assert isinstance(request, DrawRequest)
    pictures.mkdir(parents=True, exist_ok=True)
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{job.id}"
    job.update(phase="drawing")
    work = _Grid(model, job, store) if request.axes else _Pictures(model, job, store)
    try:
        work.draw(pictures / name, _progress(job, began))
    except Cancelled:
        if not work.drawn:
            raise
        stopped = True
    last = work.finish(pictures / name) | {
        "total": job.record["step"],
        "seconds": round(time.monotonic() - began, 2),
        "cost": work.cost,
    }
    if stopped:
        last |= {"state": "stopped", "message": f"Stopped: {work.drawn} of {count(work.wanted, 'picture')} drawn."}
    return last


def _progress(job: Job, began: float) -> Callable[[int, int], None]:
    def on_step(done: int, total: int) -> None:
        job.check()
        elapsed = time.monotonic() - began
        job.update(
            step=done,
            total=total,
            seconds=round(elapsed, 2),
            steps_per_second=done / max(elapsed, 1e-9),
            seconds_left=round((total - done) * elapsed / max(done, 1), 1),
        )

    return on_step


class _Work:
    """One draw job's pictures. drawn, wanted: how many.  cost: of those drawn."""

    def __init__(self, model: Loaded, job: Job, store: ConceptStore) -> None:
        assert isinstance(job.request, DrawRequest)
        self.model, self.job, self.store, self.request = model, job, store, job.request
        self.drawn, self.cost = 0, 0

    def timeline(self, request: DrawRequest) -> Timeline:
        """What a request draws with, its strengths still to be put in."""
        asked = self.request  # with strengths, what earlier concepts left is looked at, too
        to_draw = not asked.strengths and all(axis.kind != "strength" for axis in asked.axes)
        return self.store.load(request.timeline_id, self.model.base.id, request.as_of, to_draw)

    def save(self, image: Image.Image, path: Path, request: DrawRequest, timeline: Timeline, place: int = 0) -> None:
        """A finished picture with its settings."""
        save_picture(image, path, self.info(request, timeline, place))
        self.drawn, self.cost = self.drawn + 1, self.cost + cost(request.settings)

    def info(self, request: DrawRequest, timeline: Timeline, place: int = 0) -> dict[str, Any]:
        """All that makes its picture at that 0-based place again."""
        sampler = request.settings.sampler or self.model.backbone.sampler
        return picture_info(
            self.model.base.name, sampler, timeline, request.prompt, request.settings, place, request.strengths
        )


class _Pictures(_Work):
    """Pictures of one prompt, each known to the job as soon as it is there."""

    @property
    def wanted(self) -> int:
        return self.request.settings.pictures

    def draw(self, stem: Path, on_step: Callable[[int, int], None]) -> None:
        """The pictures ``stem``-1.png, -2.png, ..."""
        request, saved = self.request, []
        timeline = with_strengths(self.timeline(request), request.strengths)
        for batch in generate_in_turn(self.model.backbone, timeline, request.prompt, request.settings, on_step):
            for image in batch:
                number = str(self.drawn + 1).zfill(len(str(self.wanted)))  # the history is in the order of names
                path = stem.with_name(f"{stem.name}-{number}.png")
                self.save(image, path, request, timeline, self.drawn)
                saved.append(str(path))
            self.job.update(pictures=list(saved), phase=f"drawing, {self.drawn} of {self.wanted} done")

    def finish(self, stem: Path) -> dict[str, Any]:
        """Nothing more is to be written."""
        return {}


class _Grid(_Work):
    """One picture a cell, in the job's folder; then the sheet of them, among the other pictures."""

    def __init__(self, model: Loaded, job: Job, store: ConceptStore) -> None:
        super().__init__(model, job, store)
        cards = store.view(self.request.timeline_id, model.base.id).cards
        self._cells = cells_of(self.request, cards)
        across, down = self.request.axes[0].values, rows_of(self.request.axes)
        self._paths: list[list[Path | None]] = [[None] * len(across) for _ in down]
        self._size = (1, 1)

    @property
    def wanted(self) -> int:
        return len(self._cells)

    def draw(self, stem: Path, on_step: Callable[[int, int], None]) -> None:
        """Cell by cell; those of one point of the timeline together, for each point is read from disk."""
        total, before = sum(cell.request.settings.steps for cell in self._cells), 0
        timelines = {cell.request.as_of: cell.request for cell in self._cells}
        for point, first in timelines.items():
            timeline = self.timeline(first)
            for cell in self._cells:
                if cell.request.as_of != point:
                    continue

                def tell(done: int, _: int, before: int = before) -> None:
                    on_step(before + done, total)

                self._draw_cell(cell, timeline, tell)
                before += cell.request.settings.steps

    def _draw_cell(self, cell: Cell, timeline: Timeline, on_step: Callable[[int, int], None]) -> None:
        request = cell.request
        scaled = with_strengths(timeline, request.strengths)
        (image,) = generate(self.model.backbone, scaled, request.prompt, request.settings, on_step)
        folder = self.job.folder / "cells"
        folder.mkdir(exist_ok=True)
        path = folder / f"{cell.row + 1:02d}-{cell.column + 1:02d}.png"
        self.save(image, path, request, timeline)
        self._paths[cell.row][cell.column] = path
        self._size = image.size
        cells = [[str(path) if path else "" for path in row] for row in self._paths]
        self.job.update(cells=cells, phase=f"drawing, {self.drawn} of {self.wanted} done")

    def finish(self, stem: Path) -> dict[str, Any]:
        """The sheet ``stem``-grid.png; cells that were not drawn are empty."""
        request, axes = self.request, self.request.axes
        across = [(title, [row[place] for row in self._paths]) for place, title in enumerate(axes[0].titles)]
        rows = axes[1].titles if len(axes) > 1 else ("",)
        wide, high = self._size
        enlarged = ceil(SHEET_LEAST / max(wide, high))  # 1 for all but tiny ones
        most = (SHEET_SIDE / max(wide, high), SHEET_PX / (wide * len(across)), SHEET_PX / (high * len(rows)))
        scale = min(enlarged, *most)
        cell = (max(1, round(wide * scale)), max(1, round(high * scale)))
        title = "" if any(axis.kind == "prompt" for axis in axes) else request.prompt
        path = stem.with_name(f"{stem.name}-grid.png")
        info = self.info(request, self.timeline(request)) | {"axes": {axis.kind: list(axis.values) for axis in axes}}
        save_picture(contact_sheet(rows, [(title, across)], cell=cell), path, info)
        return {"pictures": [str(path)]}
