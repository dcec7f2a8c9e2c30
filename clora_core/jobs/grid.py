"""A grid of pictures: one job that draws a picture for every pair of values, and all of them on one sheet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from clora_core.answers import Card
from clora_core.concepts import tokens_in
from clora_core.drawing.prompt_notes import check_learned
from clora_core.errors import SettingsError
from clora_core.jobs.folder import Job
from clora_core.jobs.requests import DrawRequest
from clora_core.settings.drawing import SamplingConfig
from clora_core.settings.grid import MAX_AXES, MAX_CELLS, Axis, Value

ORDER = ("prompt", "as_of", "strength")  # the strengths are those of the tokens in the prompt, so it comes first


@dataclass(frozen=True)
class Cell:
    """One picture of a grid: its 0-based place, and what is to be drawn there."""

    row: int
    column: int
    request: DrawRequest


def cost(settings: SamplingConfig) -> int:
    """What a picture costs: its pixels, once a step."""
    return settings.steps * settings.width * settings.height


def estimate(jobs: Iterable[Job], work: int) -> float | None:
    """Seconds for pictures that cost so much, by what the newest of the draw jobs took; None = none was drawn."""
    done = next((job.record for job in jobs if job.record.get("cost")), None)
    return work * float(done["seconds"]) / float(done["cost"]) if done else None


def rows_of(axes: Sequence[Axis]) -> tuple[Value | None, ...]:
    """The values from top to bottom; a single None where only one thing varies."""
    return axes[1].values if len(axes) > 1 else (None,)


def cells_of(request: DrawRequest, cards: Sequence[Card]) -> list[Cell]:
    """The pictures of a grid on a timeline with these cards, row by row, without those whose tokens are not learned
    at that point.

    Raises SettingsError (too many, none can be drawn, a point that is not there), ConceptError (a token that is learned
    at no point).
    """
    axes, cells = request.axes, []
    if len(axes) > MAX_AXES or len({axis.kind for axis in axes}) < len(axes):
        raise SettingsError("The two axes of a grid vary two things. Choose another one for the second.")
    count = len(axes[0].values) * len(rows_of(axes))
    if count > MAX_CELLS:
        raise SettingsError(f"The grid has {count} pictures; {MAX_CELLS} are the most. Give fewer values.")
    for row, down in enumerate(rows_of(axes)):
        for column, across in enumerate(axes[0].values):
            values = {axes[0].kind: across} | ({axes[1].kind: down} if down is not None else {})
            cell = _cell(request, values)
            if cell.as_of is not None and cell.as_of > len(cards):
                raise SettingsError(f"The timeline has {len(cards)} concepts; there is no point {cell.as_of} in it.")
            text = f"{cell.prompt} {cell.settings.negative_prompt}"
            check_learned(text, [card.token for card in cards])
            if set(tokens_in(text)) <= {card.token for card in cards[: cell.as_of]}:
                cells.append(Cell(row, column, cell))
    if not cells:
        raise SettingsError("Nothing in this grid is learned at its points. Give later ones for As of.")
    return cells


def _cell(request: DrawRequest, values: dict[str, Value]) -> DrawRequest:
    """The request for one picture, with these values by kind."""
    cell = replace(request, axes=(), settings=request.settings.updated({"pictures": 1}))
    for kind in sorted(values, key=lambda kind: ORDER.index(kind) if kind in ORDER else len(ORDER)):
        value = values[kind]
        if kind == "prompt":
            cell = replace(cell, prompt=str(value))
        elif kind == "as_of":
            cell = replace(cell, as_of=int(value))
        elif kind == "strength":
            cell = replace(cell, strengths=dict.fromkeys(tokens_in(cell.prompt), float(value)))
        else:
            cell = replace(cell, settings=cell.settings.updated({kind: value}))
    return cell
