"""The one small picture that is kept of what a concept was learned from."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

SMALL_SIDE = 128  # px


def save_small(picture: Image.Image, path: Path) -> None:
    """A square picture at SMALL_SIDE px, as WebP. Raises OSError."""
    side = (SMALL_SIDE, SMALL_SIDE)
    picture.convert("RGB").resize(side, Image.Resampling.LANCZOS).save(path, "WEBP", quality=90)
