"""The memory of the machine and of its graphics card."""

from __future__ import annotations

import gc

import torch


def give_back() -> None:
    """Give back what nothing holds any more: PyTorch keeps it on the card, where other programmes miss it."""
    gc.collect()  # cycles hold tensors, too
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
