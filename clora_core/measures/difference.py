"""How much two pictures of the same seed differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SSIM_SIDE, SSIM_WINDOW, SSIM_C2 = 64, 7, 0.03**2


def difference(one: Path, other: Path) -> float:
    """How far lines and shapes of two pictures of one size differ: 0 = the same, about 0.8 = another person, 1 =
    nothing in common. What is plain in both does not count, whatever its colour, for a background changes without
    anybody being forgotten; so hair of another colour in the same shape hardly does.

    One minus the contrast-structure part of SSIM (Wang et al. 2004, Image Quality Assessment, Eq. 9 and 10 with C3 =
    C2 / 2), (2 s_xy + C2) / (s_x^2 + s_y^2 + C2), averaged over the windows and colour channels of both at 64 x 64 px
    in which there is something: s_x^2 + s_y^2 > C2.

    Raises OSError when one cannot be read, ValueError when their sizes differ.
    """
    pictures = [_read(path) for path in (one, other)]
    if pictures[0].size != pictures[1].size:
        raise ValueError(f"{one} and {other} have different sizes.")
    small = [picture.resize((SSIM_SIDE, SSIM_SIDE), Image.Resampling.BOX) for picture in pictures]
    x, y = (np.asarray(picture, dtype=np.float64) / 255.0 for picture in small)
    mean_x, mean_y = _window_means(x), _window_means(y)
    var_x, var_y = _window_means(x * x) - mean_x**2, _window_means(y * y) - mean_y**2
    cov_xy = _window_means(x * y) - mean_x * mean_y
    something = var_x + var_y > SSIM_C2
    if not something.any():
        return 0.0
    return float(1.0 - ((2.0 * cov_xy + SSIM_C2) / (var_x + var_y + SSIM_C2))[something].mean())


def _read(path: Path) -> Image.Image:
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except SyntaxError as error:  # Pillow's, for a damaged part of a PNG
        raise OSError(f"{path} is damaged: {error}") from error


def _window_means(values: np.ndarray) -> np.ndarray:
    """(H, W, C) -> the mean of every SSIM_WINDOW x SSIM_WINDOW window, (H - 6, W - 6, C)."""
    for axis in (0, 1):  # one after the other: 14 values a window to add instead of 49
        values = np.lib.stride_tricks.sliding_window_view(values, SSIM_WINDOW, axis=axis).mean(axis=-1)
    return values
