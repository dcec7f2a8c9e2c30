"""AdamW as the methods need it, and the learning rate over time."""

from __future__ import annotations

from math import cos, pi

import torch
from torch import nn

from clora_core.concepts import TrainConfig
from clora_core.methods import Method


def learning_rate_scale(config: TrainConfig, step: int) -> float:
    """The factor on both learning rates at a 1-based step: 1, or (1 + cos(pi (step - 1) / steps)) / 2."""
    if config.learning_rate_schedule == "constant":
        return 1.0
    return (1.0 + cos(pi * (step - 1) / config.steps)) / 2.0


def make_optimizer(parameters: list[nn.Parameter], method: Method) -> torch.optim.AdamW:
    """AdamW, with its own learning rate and no weight decay for the token, whose vectors stand last in the list."""
    config, count = method.config, len(parameters) - len(method.token.parameters())
    groups = [
        {"params": parameters[:count], "initial_lr": config.learning_rate, "weight_decay": config.weight_decay},
        {"params": parameters[count:], "initial_lr": config.token_learning_rate, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=config.learning_rate)
