"""What may lie beside a picture: ``01.txt`` says what it shows, and ``01-masklabel.png`` what of it counts.

kohya_ss, ai-toolkit and OneTrainer have the same files, so that a data set made for them is read as it is.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

CAPTION_SUFFIXES = (".txt", ".caption")
MASK_END = "-masklabel"  # OneTrainer's
MAX_CAPTION_BYTES = 10_000
MAX_MASK_PIXELS = 50_000_000
OTHER_SHAPE = 0.02  # of the ratio of the sides: a mask that differs more is of another picture


def caption_beside(picture: Path) -> str:
    """The words beside a picture, on one line; "" where there are none. Raises ValueError for what is no text."""
    for suffix in CAPTION_SUFFIXES:
        file = picture.with_suffix(suffix)
        if file.is_file():
            with file.open("rb") as opened:
                data = opened.read(MAX_CAPTION_BYTES + 1)
            if len(data) > MAX_CAPTION_BYTES or b"\0" in data:
                raise ValueError(f"{file.name} beside it is no caption. Write plain words.")
            return " ".join(data.decode("utf-8-sig", errors="replace").split())
    return ""


def mask_path(picture: Path) -> Path:
    """Where the mask of a picture lies: "01.jpg" -> "01-masklabel.png"."""
    return picture.with_name(f"{picture.stem}{MASK_END}.png")


def is_mask(path: Path) -> bool:
    """Whether a file is the mask of another one, by its name."""
    return path.stem.endswith(MASK_END)


def mask_beside(picture: Path, size: tuple[int, int]) -> Image.Image | None:
    """What counts of a picture of ``size``: white (255) counts, black (0) does not. None where there is no mask.

    Raises ValueError, saying what is wrong, for a mask that cannot be read, has another shape or leaves nothing.
    """
    file = mask_path(picture)
    if not file.is_file():
        return None
    try:
        with Image.open(file, formats=("PNG",)) as opened:
            if opened.width * opened.height > MAX_MASK_PIXELS:
                raise ValueError(f"its mask {file.name} has too many pixels. Save it in the picture's size.")
            grey = opened.convert("L")
    except ValueError:
        raise
    except Exception as error:  # on damaged bytes decoders raise nearly anything
        raise ValueError(f"its mask {file.name} cannot be opened. Save it again as PNG, or take it away.") from error
    if abs(grey.width * size[1] / (grey.height * size[0]) - 1) > OTHER_SHAPE:
        raise ValueError(f"its mask {file.name} has another shape than the picture. Save it in the picture's size.")
    levels = np.asarray(grey.resize(size, Image.Resampling.NEAREST)) > 127
    if not levels.any():
        raise ValueError(f"its mask {file.name} is all black, so nothing of it counts. Leave some of it white.")
    return None if levels.all() else Image.fromarray(levels.astype(np.uint8) * 255)


def copy_picture(picture: Path, target: Path) -> None:
    """Copy a picture, and what lies beside it under the names that go with ``target``. Raises OSError."""
    shutil.copyfile(picture, target)
    copy_beside(picture, target)


def copy_beside(picture: Path, target: Path) -> None:
    """Copy what lies beside a picture, under the names that go with ``target``. Raises OSError."""
    for suffix in CAPTION_SUFFIXES:
        if picture.with_suffix(suffix).is_file():
            shutil.copyfile(picture.with_suffix(suffix), target.with_suffix(".txt"))
            break
    if mask_path(picture).is_file():
        shutil.copyfile(mask_path(picture), mask_path(target))
