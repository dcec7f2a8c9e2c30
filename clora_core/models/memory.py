"""The memory of the machine and of its graphics card."""

from __future__ import annotations

import gc

import torch


def give_back() -> None:
    """Give back what nothing holds any more: PyTorch keeps it on the card, where other programmes miss it."""
    gc.collect()  # cycles hold tensors, too
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def taken(device: torch.device) -> int:
    """Bytes that this programme takes now: of the card its tensors, of main memory everything."""
    import psutil

    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    return int(psutil.Process().memory_info().rss)


def room(device: torch.device) -> int:
    """Bytes that this programme could take in all: what is free, and what it has already."""
    import psutil

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device))
    return int(psutil.virtual_memory().available) + taken(device)
