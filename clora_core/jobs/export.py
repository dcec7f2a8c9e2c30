"""Writing a timeline as files for other programmes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from clora_core.answers import to_plain
from clora_core.export.export import export_timeline
from clora_core.jobs.check import Loaded
from clora_core.jobs.folder import Job
from clora_core.jobs.requests import ExportRequest
from clora_core.store.store import ConceptStore

KEPT = 5  # exports that lie in the home, the newest ones


def export(model: Loaded, job: Job, store: ConceptStore, exports: Path, device: str | None) -> dict[str, Any]:
    """Write what ``job`` asks for, prove it, and return the job's last changes.

    exports: where it goes, as a folder and as one file, unless a folder was asked for.
    """
    request = job.request
    assert isinstance(request, ExportRequest)
    timeline = store.load(request.timeline_id, model.base.id, request.as_of, to_draw=True)

    def on_phase(done: int, total: int, phase: str) -> None:
        job.update(step=done, total=total, phase=phase)
        job.check()

    place = exports / job.id / f"{timeline.id}-{len(timeline.concepts)}"
    folder = request.folder or place
    here = model.backbone if model.backbone.dtype == torch.float32 else None
    how = request.format, request.rank
    made = export_timeline(timeline, model.base, folder, request.dtype, device, on_phase, here, *how)
    if not request.folder:
        made = replace(made, archive=Path(shutil.make_archive(str(place), "zip", place.parent, place.name)))
        for old in sorted(exports.iterdir(), key=lambda path: path.stat().st_mtime)[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
    return {"exported": to_plain(made)}
