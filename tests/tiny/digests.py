"""Digests of weights, for tests that compare bits."""

from __future__ import annotations

import hashlib
from typing import Any

import torch


def digest(*tensors: torch.Tensor) -> str:
    """sha256 over the bytes of the tensors."""
    sha = hashlib.sha256()
    for tensor in tensors:
        sha.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def base_digest(pipe: Any) -> str:
    """sha256 over every weight of the pipeline as it is now."""
    return digest(*(p for part in (pipe.unet, pipe.vae, pipe.text_encoder) for p in part.state_dict().values()))
