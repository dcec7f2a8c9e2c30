"""Means with their 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import sem, t


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half width of its 95 % interval by Student's t over the values; half width NaN for one value."""
    mean = float(np.mean(values))
    return mean, float(t.ppf(0.975, len(values) - 1) * sem(values)) if len(values) > 1 else math.nan


def interval_text(mean: float, half: float, spec: str) -> str:
    """Both of ``mean_interval`` as "0.703 ± 0.023", the mean alone where there is no interval. spec: a number's,
    ".3f" or "+.3f"."""
    return f"{mean:{spec}}" if math.isnan(half) else f"{mean:{spec}} ± {half:{spec.lstrip('+')}}"
