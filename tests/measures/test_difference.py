"""Pictures of one seed are compared in lines, shapes and colours."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from clora_core.disk import ASSETS
from clora_core.measures.difference import difference, of_colours, of_shapes
from clora_core.verdict import health

EXAMPLE = ASSETS / "timelines/five-people"


def face(wall: str, hair: str) -> Image.Image:
    picture = Image.new("RGB", (128, 128), wall)
    draw = ImageDraw.Draw(picture)
    draw.ellipse((30, 10, 98, 70), fill=hair)
    draw.ellipse((36, 34, 92, 110), fill="#e8b99a")
    return picture


@pytest.mark.parametrize(("wall", "hair"), [("#e8d060", "#3050c0"), ("#60b060", "#c03030")])
def test_a_wall_or_hair_of_another_colour_is_a_change(wall: str, hair: str) -> None:
    first, later = face("#60b060", "#3050c0"), face(wall, hair)
    assert health(of_colours(first, later)) == "fading"
    assert of_colours(first, first) == 0.0


def test_no_colour_differs_where_only_lines_do() -> None:
    one, other = (Image.new("RGB", (128, 128), "#888888") for _ in range(2))
    for picture, step in ((one, 8), (other, 16)):
        draw = ImageDraw.Draw(picture)
        for x in range(0, 128, step):
            draw.line((x, 0, x, 128), fill="#666666")
    assert health(of_shapes(one, other)) != "as good as new" and health(of_colours(one, other)) == "as good as new"


def test_the_example_whose_hair_and_wall_changed_is_not_as_good_as_new() -> None:
    learned, now = (EXAMPLE / later / "drawn/004-dario.png" for later in ("004-dario", "005-esme"))
    assert isinstance(learned, Path) and health(difference(learned, now)) == "fading"
