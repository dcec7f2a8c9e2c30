"""Contact sheets: pictures in labelled rows and columns, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SIDE, LABEL, GAP, HEAD = 112, 100, 6, 44  # px
INK, QUIET, EMPTY = "#1e1b18", "#776f63", "#f3efe8"

Group = tuple[str, Sequence[tuple[str, Sequence[Path | None]]]]
"""A heading over columns; each column a heading and one picture (or None) a row."""


def contact_sheet(rows: Sequence[str], groups: Sequence[Group]) -> Image.Image:
    """The sheet, RGB: a label for each row, then the groups of columns from left to right."""
    columns = sum(len(group) for _, group in groups)
    width = LABEL + columns * (SIDE + GAP) + (len(groups) - 1) * 2 * GAP + GAP
    sheet = Image.new("RGB", (width, HEAD + len(rows) * (SIDE + GAP)), "white")
    pen, bold, plain = ImageDraw.Draw(sheet), ImageFont.load_default(15), ImageFont.load_default(13)
    for row, name in enumerate(rows):
        pen.text((GAP, HEAD + row * (SIDE + GAP) + SIDE // 2 - 8), name, INK, bold)
    left = LABEL
    for title, group in groups:
        pen.text((left, 4), title, INK, bold)
        for word, pictures in group:
            pen.text((left, 24), word, QUIET, plain)
            for row, path in enumerate(pictures):
                place = (left, HEAD + row * (SIDE + GAP))
                if path is None:
                    sheet.paste(EMPTY, (*place, place[0] + SIDE, place[1] + SIDE))
                else:
                    sheet.paste(Image.open(path).convert("RGB").resize((SIDE, SIDE)), place)
            left += SIDE + GAP
        left += 2 * GAP
    return sheet
