"""How much two pictures of the same seed differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from clora_core.data.pictures import FORMATS

SSIM_SIDE, SSIM_WINDOW, SSIM_C2 = 64, 7, 0.03**2
COLOUR_SIDE = 16
COLOUR_SHARE = 0.25  # of the picture: about what hair takes, or a small wall
FAR_COLOURS = 200.0  # in CIELAB, where black and white are 100 apart; a wall of a slightly other tint had 0.1 of it
TO_XYZ = np.array(  # sRGB -> XYZ, each as a share of white's
    [[0.4338, 0.3762, 0.1900], [0.2126, 0.7152, 0.0722], [0.0178, 0.1095, 0.8727]]
)


def difference(one: Path, other: Path) -> float:
    """How far two pictures of one size differ: 0 = the same, about 0.8 = another person, 1 = nothing in common. The
    larger one of how far lines and shapes differ and how far colours do.

    Raises OSError when one cannot be read, ValueError when their sizes differ.
    """
    pictures = [_read(path) for path in (one, other)]
    if pictures[0].size != pictures[1].size:
        raise ValueError(f"{one} and {other} have different sizes.")
    return max(of_shapes(*pictures), of_colours(*pictures))


def of_shapes(one: Image.Image, other: Image.Image) -> float:
    """How far lines and shapes of two RGB pictures of one size differ; what is plain in both does not count.

    One minus the contrast-structure part of SSIM (Wang et al. 2004, Image Quality Assessment, Eq. 9 and 10 with C3 =
    C2 / 2), (2 s_xy + C2) / (s_x^2 + s_y^2 + C2), averaged over the windows and colour channels of both at 64 x 64 px
    in which there is something: s_x^2 + s_y^2 > C2.
    """
    x, y = (_small(picture, SSIM_SIDE) for picture in (one, other))
    mean_x, mean_y = _window_means(x), _window_means(y)
    var_x, var_y = _window_means(x * x) - mean_x**2, _window_means(y * y) - mean_y**2
    cov_xy = _window_means(x * y) - mean_x * mean_y
    something = var_x + var_y > SSIM_C2
    if not something.any():
        return 0.0
    return float(1.0 - ((2.0 * cov_xy + SSIM_C2) / (var_x + var_y + SSIM_C2))[something].mean())


def of_colours(one: Image.Image, other: Image.Image) -> float:
    """How far the colours of two RGB pictures of one size differ, where they differ most: a wall, or hair.

    The distance in CIELAB (CIE 1976) of what stands at the same place at 16 x 16 px, as a share of ``FAR_COLOURS``,
    averaged over the quarter of the places where it is largest.
    """
    distances = np.linalg.norm(_lab(_small(one, COLOUR_SIDE)) - _lab(_small(other, COLOUR_SIDE)), axis=-1).ravel()
    most = np.sort(distances)[-round(COLOUR_SHARE * distances.size) :]
    return float(np.minimum(most / FAR_COLOURS, 1.0).mean())


def _small(picture: Image.Image, side: int) -> np.ndarray:
    return np.asarray(picture.resize((side, side), Image.Resampling.BOX), dtype=np.float64) / 255.0


def _lab(rgb: np.ndarray) -> np.ndarray:
    """(..., 3) sRGB in 0..1 -> CIELAB, white D65."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ TO_XYZ.T
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def _read(path: Path) -> Image.Image:
    try:
        with Image.open(path, formats=FORMATS) as picture:
            return picture.convert("RGB")
    except SyntaxError as error:  # Pillow's, for a damaged part of a PNG
        raise OSError(f"{path} is damaged: {error}") from error


def _window_means(values: np.ndarray) -> np.ndarray:
    """(H, W, C) -> the mean of every SSIM_WINDOW x SSIM_WINDOW window, (H - 6, W - 6, C)."""
    for axis in (0, 1):  # one after the other: 14 values a window to add instead of 49
        values = np.lib.stride_tricks.sliding_window_view(values, SSIM_WINDOW, axis=axis).mean(axis=-1)
    return values
