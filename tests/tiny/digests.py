"""Digests of weights, for tests that compare bits."""

from __future__ import annotations

import hashlib

import torch

from clora_core.models.stable_diffusion import StableDiffusion


def digest(*tensors: torch.Tensor) -> str:
    """sha256 over the bytes of the tensors."""
    sha = hashlib.sha256()
    for tensor in tensors:
        sha.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def base_digest(backbone: StableDiffusion) -> str:
    """sha256 over every weight of the model as it is now."""
    networks = (part for part in backbone.pipe.components.values() if isinstance(part, torch.nn.Module))
    return digest(*(weight for network in networks for weight in network.state_dict().values()))
