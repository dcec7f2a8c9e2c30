"""A grid of pictures as HTML. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demo.html.render import render

if TYPE_CHECKING:
    from clora_core.answers import JobView


def grid(job: JobView) -> str:
    """The grid that a job draws, as far as it is there, under headings; a click on a picture shows it
    large, and the sheet of all can be saved when it is there."""
    assert job.grid is not None
    axes = job.grid.axes
    rows = axes[1].titles if len(axes) > 1 else ("",)
    sheet = job.pictures[0] if job.pictures else None
    cells = list(zip(rows, job.grid.cells, strict=True))
    return render("grid", columns=axes[0].titles, rows=cells, sheet=sheet, done=job.finished)
