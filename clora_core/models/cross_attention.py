"""Where text enters the picture: the cross-attention of a U-Net or of a transformer like PixArt's."""

from __future__ import annotations

from collections.abc import Sequence

from diffusers.models.attention_processor import Attention
from torch import nn

from clora_core.errors import ModelError


def cross_attention_matrices(denoiser: nn.Module, sides: Sequence[str] = ("to_k", "to_v")) -> dict[str, nn.Linear]:
    """Matrices of every cross-attention layer, by module name, in the denoiser's own order: W^K and W^V.

    sides: which of a layer, by diffusers' names; "to_q" is W^Q, "to_out.0" W^O.

    Found by module type, not by name, so that U-Nets and transformers work alike.
    Raises ModelError when there is no cross-attention.
    """
    found = {
        f"{name}.{side}": module.get_submodule(side)
        for name, module in denoiser.named_modules()
        if isinstance(module, Attention) and module.is_cross_attention
        for side in sides
    }
    if not found:
        raise ModelError("This base model has no cross-attention, so it cannot be taught by text.")
    return found
