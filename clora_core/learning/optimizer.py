"""AdamW as the methods need it, and the learning rate over time."""

from __future__ import annotations

from math import cos, pi

import torch

from clora_core.concepts import TrainConfig
from clora_core.methods import Method


def learning_rate_scale(config: TrainConfig, step: int) -> float:
    """The factor on both learning rates at a 1-based step: 1, or (1 + cos(pi (step - 1) / steps)) / 2."""
    if config.learning_rate_schedule == "constant":
        return 1.0
    return (1.0 + cos(pi * (step - 1) / config.steps)) / 2.0


def make_optimizer(method: Method) -> torch.optim.AdamW:
    """AdamW on what the method has begun to train: the token has a learning rate of its own and no weight decay."""
    config = method.config
    groups = [
        {
            "params": method.weights.parameters(),
            "initial_lr": config.learning_rate,
            "weight_decay": config.weight_decay,
        },
        {"params": method.token.parameters(), "initial_lr": config.token_learning_rate, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=config.learning_rate)
