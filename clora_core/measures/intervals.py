"""Means with their 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half width of its 95 % interval by Student's t over the values; half width NaN for one value."""
    count = len(values)
    mean = float(np.mean(values))
    if count < 2:
        return mean, float("nan")
    return mean, _student_t(count - 1) * float(np.std(values, ddof=1)) / count**0.5


def interval_text(mean: float, half: float, spec: str) -> str:
    """Both of ``mean_interval`` as "0.703 ± 0.023", the mean alone where there is no interval. spec: a number's,
    ".3f" or "+.3f"."""
    return f"{mean:{spec}}" if math.isnan(half) else f"{mean:{spec}} ± {half:{spec.lstrip('+')}}"


def _student_t(freedom: int) -> float:
    """The 97.5 % quantile of Student's t, by Cornish and Fisher's expansion; exact for 1 and 2."""
    if freedom < 3:
        return {1: 12.7062, 2: 4.3027}[freedom]
    z = 1.959964
    terms = (
        z,
        (z**3 + z) / 4 / freedom,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96 / freedom**2,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384 / freedom**3,
    )
    return float(sum(terms))
