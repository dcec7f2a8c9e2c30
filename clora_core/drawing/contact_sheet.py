"""Contact sheets: pictures in labelled rows and columns, as one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from PIL import Image, ImageDraw, ImageFont

from clora_core.data.pictures import known_formats

SIDE, LABEL, GAP, HEAD, LINE = 112, 100, 6, 44, 18  # px
INK, QUIET, EMPTY = "#1e1b18", "#776f63", "#f3efe8"

Group = tuple[str, Sequence[tuple[str, Sequence[Path | None]]]]
"""A heading over columns; each column a heading and one picture (or None) a row."""


def contact_sheet(
    rows: Sequence[str],
    groups: Sequence[Group],
    captions: Mapping[Path, str] = MappingProxyType({}),
    notes: Sequence[Sequence[str]] = (),
    cell: tuple[int, int] = (SIDE, SIDE),
) -> Image.Image:
    """The sheet, RGB: a label for each row, then the groups of columns from left to right.

    captions: words in a picture's lower edge.  notes: for each group, sentences below its columns, no wider than
    they.  cell: width and height of a picture, px. Labels that are too long for their place go on in the next line.
    """
    bold, plain, small = (ImageFont.load_default(size) for size in (15, 13, 10))
    wide, high = cell
    words = [wrapped(name, bold, LABEL - 2 * GAP, high // LINE) for name in rows]
    heads = [wrapped(word, plain, wide) for _, group in groups for word, _ in group]
    head = HEAD + LINE * (max((text.count("\n") for text in heads), default=0))
    columns = sum(len(group) for _, group in groups)
    width = LABEL + columns * (wide + GAP) + (len(groups) - 1) * 2 * GAP + GAP
    foot = head + len(rows) * (high + GAP)
    spans = [max(wide, len(group) * (wide + GAP) - GAP) for _, group in groups]
    below = [
        [line for text in lines for line in wrapped(text, plain, span, len(text)).split("\n")]
        for lines, span in zip(notes, spans, strict=False)
    ]
    room = max((len(lines) for lines in below), default=0) * LINE + (GAP if notes else 0)
    sheet = Image.new("RGB", (width, foot + room), "white")
    pen = ImageDraw.Draw(sheet)
    for row, name in enumerate(words):
        middle = head + row * (high + GAP) + high // 2 - 8 - LINE * name.count("\n") // 2
        pen.multiline_text((GAP, middle), name, INK, bold, spacing=3)
    left, column = LABEL, 0
    for number, (title, group) in enumerate(groups):
        pen.text((left, 4), wrapped(title, bold, spans[0], 1) if len(groups) == 1 else title, INK, bold)
        for row, line in enumerate(below[number] if notes else ()):
            pen.text((left, foot + row * LINE), line, INK, plain)
        for _, pictures in group:
            pen.multiline_text((left, 24), heads[column], QUIET, plain, spacing=5)
            column += 1
            for row, path in enumerate(pictures):
                place = (left, head + row * (high + GAP))
                if path is None:
                    sheet.paste(EMPTY, (*place, place[0] + wide, place[1] + high))
                else:
                    sheet.paste(Image.open(path, formats=known_formats()).convert("RGB").resize(cell), place)
                if path and path in captions:
                    edge = (place[0], place[1] + high - LINE)
                    pen.rectangle((*edge, place[0] + wide - 1, place[1] + high - 1), "white")
                    pen.text((edge[0] + 2, edge[1] + 2), captions[path], INK, small)
            left += wide + GAP
        left += 2 * GAP
    return sheet


def wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int, lines: int = 6) -> str:
    """The text in lines of at most ``width`` px, broken between words, or within one that is too long; at most so many
    lines, the last one ending in "..." where more would follow."""
    done, line = [], ""
    for word in text.split():
        while font.getlength(word) > width:
            fits = next(n for n in range(len(word) - 1, -1, -1) if n < 2 or font.getlength(word[:n]) <= width)
            done += [line, word[:fits]] if line else [word[: max(1, fits)]]
            line, word = "", word[max(1, fits) :]
        longer = f"{line} {word}".strip()
        if font.getlength(longer) <= width:
            line = longer
        else:
            done.append(line)
            line = word
    done.append(line)
    if len(done) > max(1, lines):
        done = [*done[: max(1, lines)]]
        done[-1] = done[-1][: max(0, len(done[-1]) - 3)] + "..."
    return "\n".join(done)
