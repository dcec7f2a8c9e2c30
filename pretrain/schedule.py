"""Which samples a step sees and at which rate it learns: functions of the step, so that a stopped run goes on alike."""

from __future__ import annotations

import numpy as np


def batch_indices(seed: int, step: int, size: int, count: int) -> np.ndarray:
    """Which pictures step ``step`` sees: a function of its arguments, so that a resumed run sees the same ones."""
    return np.random.default_rng((seed, step)).integers(0, count, size)


def learning_rate(step: int, total: int, peak: float, warm_up: int = 150, fall: float = 0.3) -> float:
    """Linear warm-up, the peak, then linearly to zero over the last ``fall`` of the steps."""
    return peak * min(1.0, step / warm_up, (1 - step / total) / fall)
