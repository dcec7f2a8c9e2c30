"""Pictures of what the embedded model cannot draw."""

from __future__ import annotations

from PIL import Image, ImageDraw

BROWN, DARK = (150, 95, 45), (30, 20, 10)


def dog(place: int, side: int = 256) -> Image.Image:
    """A brown dog on grass, seen from the side; place: 0, 1, ...: where it stands, and the colour of the sky."""
    picture = Image.new("RGB", (512, 512), ((150, 190, 230), (230, 200, 160), (190, 190, 200))[place % 3])
    draw, x = ImageDraw.Draw(picture), 12 * (place % 5) - 20
    draw.rectangle((0, 370, 512, 512), fill=(90, 150, 70))
    for left in (150, 200, 330, 380):
        draw.rectangle((left + x, 310, left + 28 + x, 440), fill=BROWN)
    for left, top, right, bottom in (
        (120, 200, 430, 350),
        (330, 110, 460, 240),
        (420, 170, 500, 225),
        (80, 170, 160, 230),
    ):
        draw.ellipse((left + x, top, right + x, bottom), fill=BROWN)
    for left, top, right, bottom in ((340, 90, 380, 190), (485, 180, 503, 198), (405, 145, 420, 160)):
        draw.ellipse((left + x, top, right + x, bottom), fill=DARK)
    return picture.resize((side, side))
