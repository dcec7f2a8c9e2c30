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
    pipe = backbone.pipe
    return digest(*(p for part in (pipe.unet, pipe.vae, pipe.text_encoder) for p in part.state_dict().values()))
