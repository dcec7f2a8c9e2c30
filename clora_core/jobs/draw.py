"""Drawing what was asked for."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from clora_core.drawing.generate import generate
from clora_core.drawing.png_settings import picture_info, save_picture
from clora_core.jobs.check import Loaded
from clora_core.jobs.folder import Job
from clora_core.jobs.requests import DrawRequest
from clora_core.store.store import ConceptStore


def draw(model: Loaded, job: Job, store: ConceptStore, pictures: Path) -> dict[str, Any]:
    """Draw what ``job`` asks for into the folder ``pictures``; returns the job's last changes."""
    request, began = job.request, time.monotonic()
    assert isinstance(request, DrawRequest)
    timeline = store.load(request.timeline_id, model.base.id, request.as_of, to_draw=True)
    prompt, settings = request.prompt, request.settings

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

    job.update(phase="drawing")
    images = generate(model.backbone, timeline, prompt, settings, on_step)
    pictures.mkdir(parents=True, exist_ok=True)
    stamp, saved = time.strftime("%Y%m%d-%H%M%S"), []
    for number, image in enumerate(images):
        path = pictures / f"{stamp}-{job.id}-{number + 1}.png"
        info = picture_info(model.base.name, model.backbone.sampler, timeline, prompt, settings, number)
        save_picture(image, path, info)
        saved.append(str(path))
    return {"pictures": saved, "total": job.record["step"], "seconds": round(time.monotonic() - began, 2)}
