"""Pictures that are nearly the same: a hash of what they look like, and how far two of them are apart.

The hash is of the kind known as pHash: the signs of the low frequencies of the picture's brightness and, coarser, of
its two colours. Saved again as JPEG, made smaller or brighter, a picture keeps nearly all of them. Our own lines, for
the library for it brings two packages more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
from PIL import Image

DIGITS = 54  # of a hash
SIDE = 32  # pixels that are looked at, each way
FREQUENCIES = (12, 6, 6)  # of brightness and of the two colours, each way
NEARLY = (
    18  # bits of 213. Among 160 sample pictures different ones had 22 at least; saved again as JPEG, 12 in nine of ten
)


def picture_hash(image: Image.Image) -> str:
    """213 bits of an RGB picture, as 54 hex digits. It says how alike two pictures look, and shows neither."""
    bits = []
    small = image.resize((SIDE, SIDE), Image.Resampling.BOX).convert("YCbCr")
    for channel, count in zip(small.split(), FREQUENCIES, strict=True):
        levels = np.asarray(channel, dtype=np.float64)
        waves = _cosines(count)
        strengths = (waves @ levels @ waves.T).ravel()[1:].round(3)  # without the mean, which brightness changes
        bits.append(strengths > np.median(strengths))
    return np.packbits(np.concatenate(bits)).tobytes().hex()


@cache
def _cosines(count: int) -> np.ndarray:
    """(count, SIDE): the first waves of the discrete cosine transform."""
    places = 2 * np.arange(SIDE) + 1
    return np.asarray(np.cos(np.pi * places[None] * np.arange(count)[:, None] / (2 * SIDE)))


def apart(one: str, other: str) -> int:
    """In how many bits two hashes differ; of hashes of another length, or none, more than any two do."""
    if len(one) != len(other) or not one:
        return 4 * (1 + DIGITS)
    return (int(one, 16) ^ int(other, 16)).bit_count()


def nearly_same(mine: Sequence[str], others: Iterable[str] | None = None) -> list[tuple[int, int]]:
    """Pairs that look nearly the same: (place in ``mine``, place in ``others``), the nearest for each of ``mine``.

    others: None = the earlier ones of ``mine``.
    """
    known = list(others) if others is not None else None
    found = []
    for place, hashed in enumerate(mine):
        before = mine[:place] if known is None else known
        nearest = min(range(len(before)), key=lambda at: apart(hashed, before[at]), default=None)
        if nearest is not None and apart(hashed, before[nearest]) <= NEARLY:
            found.append((place, nearest))
    return found
