"""A picture cut, masked and described by its owner: what is learned from stands in files, the original stays beside it.

rex.jpg                  the original
rex.jpg.crop.png         the part that was chosen, which is what is learned from
rex.jpg.crop.json        which part that is
rex.txt, rex.jpg.crop.txt, ...   caption and mask of each (``clora_core.data.beside``)
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from clora_core.data.beside import CAPTION_SUFFIXES, MAX_MASK_PIXELS, caption_beside, mask_beside, mask_path
from clora_core.data.pictures import CROP_END
from clora_core.disk import read_json, write_json, write_text
from clora_core.errors import PictureError, StoreError

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, as shares of the picture's width and height."""


@dataclass(frozen=True)
class Edit:
    """What an owner chose for one picture. box: the part that counts; None = all of it.  caption: "" = none.
    mask: PNG of what counts, white; b"" = all."""

    box: Box | None = None
    caption: str = ""
    mask: bytes = b""


def original_of(picture: Path) -> Path:
    """The picture that this one was cut from, or itself."""
    return picture.with_name(picture.name.removesuffix(CROP_END))


def edit_of(picture: Path, size: tuple[int, int]) -> Edit:
    """What was chosen for a picture. size: of its original, pixels. What cannot be read is as if it was not chosen."""
    original = original_of(picture)
    box = None
    if picture != original:
        try:
            left, top, right, bottom = map(float, read_json(picture.with_suffix(".json"), "box")["box"])
            box = (left, top, right, bottom)
        except (StoreError, TypeError, ValueError):
            box = None
    try:
        caption, mask = caption_beside(original), mask_beside(original, size)
    except ValueError:
        caption, mask = "", None
    return Edit(box, caption, _png(mask) if mask else b"")


def apply_edit(original: Path, image: Image.Image, edit: Edit, smallest: int) -> Path:
    """Write what was chosen beside ``original``, and return the picture that is to be learned from.

    image: the original, opened.  smallest: the shorter side that the part must have at least, in pixels.

    Raises PictureError when the part is outside or too small, or the mask is none; OSError.
    """
    part = _pixels(edit.box, image.size, smallest) if edit.box else None
    mask = _mask_of(edit.mask, image.size)
    masks = {original: mask}
    cut = original.with_name(original.name + CROP_END)
    if part:
        masks[cut] = mask.crop(part) if mask else None
    if any(each and each.getbbox() is None for each in masks.values()):
        raise PictureError("The mask covers all of the picture, so nothing is left to learn. Leave some of it free.")
    for old in (cut, cut.with_suffix(".txt"), cut.with_suffix(".json"), mask_path(original), mask_path(cut)):
        old.unlink(missing_ok=True)
    if part:
        image.crop(part).save(cut, "PNG")
        write_json(cut.with_suffix(".json"), {"box": edit.box}, durable=False)
    for picture, kept in masks.items():
        _write_caption(picture, edit.caption)
        if kept:
            kept.save(mask_path(picture), "PNG")
    return cut if part else original


def _pixels(box: Box, size: tuple[int, int], smallest: int) -> tuple[int, int, int, int]:
    width, height = size
    left, top, right, bottom = box
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise PictureError("The part lies outside the picture. Choose it again.")
    part = round(left * width), round(top * height), round(right * width), round(bottom * height)
    sides = part[2] - part[0], part[3] - part[1]
    if min(sides) < smallest:
        wanted = f"Its shorter side must have at least {smallest}."
        raise PictureError(f"The part is too small: {sides[0]} x {sides[1]} pixels. {wanted}")
    return part


def _write_caption(picture: Path, caption: str) -> None:
    for suffix in CAPTION_SUFFIXES:
        picture.with_suffix(suffix).unlink(missing_ok=True)
    if caption.strip():
        write_text(picture.with_suffix(".txt"), " ".join(caption.split()) + "\n", durable=False)


def _mask_of(data: bytes, size: tuple[int, int]) -> Image.Image | None:
    if not data:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as opened:
            if opened.width * opened.height > MAX_MASK_PIXELS:
                raise ValueError("too large")
            grey = opened.convert("L").resize(size, Image.Resampling.NEAREST)
    except Exception as error:  # as with pictures, on damaged bytes decoders raise nearly anything
        raise PictureError("The mask cannot be read. Paint it again.") from error
    return grey.point([255 * (level > 127) for level in range(256)])


def _png(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()
