"""Contact sheets: pictures in labelled rows and columns, as one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from PIL import Image, ImageDraw, ImageFont

SIDE, LABEL, GAP, HEAD, LINE = 112, 100, 6, 44, 18  # px
INK, QUIET, EMPTY = "#1e1b18", "#776f63", "#f3efe8"

Group = tuple[str, Sequence[tuple[str, Sequence[Path | None]]]]
"""A heading over columns; each column a heading and one picture (or None) a row."""


def contact_sheet(
    rows: Sequence[str],
    groups: Sequence[Group],
    captions: Mapping[Path, str] = MappingProxyType({}),
    notes: Sequence[Sequence[str]] = (),
) -> Image.Image:
    """The sheet, RGB: a label for each row, then the groups of columns from left to right.

    captions: words in a picture's lower edge.  notes: for each group, sentences below its columns, no wider than they.
    """
    columns = sum(len(group) for _, group in groups)
    width = LABEL + columns * (SIDE + GAP) + (len(groups) - 1) * 2 * GAP + GAP
    foot = HEAD + len(rows) * (SIDE + GAP)
    bold, plain, small = (ImageFont.load_default(size) for size in (15, 13, 10))
    below = [
        [line for note in own for line in _wrapped(note, plain, len(group) * (SIDE + GAP) - GAP)]
        for own, (_, group) in zip(notes, groups, strict=False)
    ]
    height = foot + max(map(len, below), default=0) * LINE + (GAP if notes else 0)
    sheet = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(sheet)
    for row, name in enumerate(rows):
        pen.text((GAP, HEAD + row * (SIDE + GAP) + SIDE // 2 - 8), name, INK, bold)
    left = LABEL
    for number, (title, group) in enumerate(groups):
        pen.text((left, 4), title, INK, bold)
        for row, line in enumerate(below[number] if notes else ()):
            pen.text((left, foot + row * LINE), line, INK, plain)
        for word, pictures in group:
            pen.text((left, 24), word, QUIET, plain)
            for row, path in enumerate(pictures):
                place = (left, HEAD + row * (SIDE + GAP))
                if path is None:
                    sheet.paste(EMPTY, (*place, place[0] + SIDE, place[1] + SIDE))
                else:
                    sheet.paste(Image.open(path).convert("RGB").resize((SIDE, SIDE)), place)
                if path and path in captions:
                    edge = (place[0], place[1] + SIDE - LINE)
                    pen.rectangle((*edge, place[0] + SIDE - 1, place[1] + SIDE - 1), "white")
                    pen.text((edge[0] + 2, edge[1] + 2), captions[path], INK, small)
            left += SIDE + GAP
        left += 2 * GAP
    return sheet


def _wrapped(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> list[str]:
    """The text in lines of at most ``width`` px, as far as its words allow."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
