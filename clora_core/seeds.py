"""Random numbers that are a function of a seed and words, so that work can be resumed."""

from __future__ import annotations

import hashlib

import torch


def generator_for(seed: int, *words: object) -> torch.Generator:
    """A CPU generator for one use, a function of (seed, words): resumable, and neighbours are independent."""
    digest = hashlib.sha256("/".join(map(str, (seed, *words))).encode()).digest()
    return torch.Generator("cpu").manual_seed(int.from_bytes(digest[:8], "big") >> 1)
