"""How much memory learning will take, from what is there and a count on small pictures.

    peak = what is taken now + gradients and moments + max(a step, pictures in the VAE)
    a step = activations kept for the backward pass, of all pictures that are in the model at once, and a tenth

The activations of a picture grow by its area. They are counted, not computed: the tensors that autograd keeps in one
forward pass, on pictures of two small sizes, and a line is put through both. With checkpointing the inputs of the
layers are kept, and a fifth of the rest is there while one layer is computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor, nn

from clora_core.models.backbone import Backbone
from clora_core.models.memory import room, taken
from clora_core.settings.memory import AT_ONCE, SIZES, USABLE, Fit, Savings, ladder

BYTES_TO_COME = 12  # a trained number: its gradient, and AdamW's two moments, fp32
AGAIN = 0.2  # of a picture's activations, while one layer is computed again
MORE = 1.1  # gradients that are on their way


@dataclass(frozen=True)
class Footprint:
    """Bytes. resident: taken before the first step, and by the optimizer.  whole, checkpointed: kept for the backward
    pass of one picture, without and with checkpointing.  picture: one picture in the VAE."""

    resident: int
    whole: int
    checkpointed: int
    picture: int

    def peak(self, savings: Savings, batch: int, on_card: bool) -> int:
        """The most that learning takes at a time, of the device it runs on."""
        together = savings.at_once or batch
        again = AGAIN * self.whole
        if savings.offload and on_card:
            step = again
        elif savings.checkpointing:
            step = self.checkpointed + again
        else:
            step = MORE * self.whole
        return round(self.resident + max(together * step, self.picture))

    def encoded(self, room: int) -> int:
        """Pictures that the VAE has room for at once, before the first step."""
        return max(1, min(AT_ONCE, (room - self.resident) // max(self.picture, 1)))


def footprint(
    backbone: Backbone,
    prompt: str,
    side: int,
    parameters: Sequence[nn.Parameter],
    computing: Callable[[], AbstractContextManager[None]],
    along: bool = False,
) -> Footprint:
    """Of learning pictures of this side, in pixels, with a prompt. What is trained must be attached.

    computing: opens what the forward pass is computed in, such as autocast.  along: with each picture another is
    learned along.
    """
    small = (backbone.size_grid, 2 * backbone.size_grid)
    latents = [torch.zeros_like(backbone.to_latents([Image.new("RGB", (each, each))])) for each in small]
    whole = _line([_kept(backbone, prompt, x, computing) for x in latents], small, side)
    backbone.keep_activations(False)
    try:
        checkpointed = _line([_kept(backbone, prompt, x, computing) for x in latents], small, side)
    finally:
        backbone.keep_activations(True)
    trained = sum(parameter.numel() for parameter in parameters)
    resident, each = taken(backbone.device) + BYTES_TO_COME * trained, 1 + along
    return Footprint(resident, each * whole, each * min(checkpointed, whole), backbone.picture_bytes(side))


def _line(counted: Sequence[int], sides: Sequence[int], side: int) -> int:
    """What is kept at a side, on the line through two that were counted."""
    (one, other), (low, high) = counted, (each**2 for each in sides)
    slope = (other - one) / (high - low)
    return max(0, round(one + slope * (side**2 - low)))


def _kept(backbone: Backbone, prompt: str, x: Tensor, computing: Callable[[], AbstractContextManager[None]]) -> int:
    """Bytes of the tensors that autograd keeps in one forward pass of latents (1, C, h, w), each once and weights
    not."""
    own = {parameter.untyped_storage().data_ptr() for parameter in backbone.denoiser.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}  # held, so that no address is used twice

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    t = torch.zeros(1, dtype=torch.long, device=x.device)
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), computing():
        prediction = backbone.predict(x, t, backbone.encode([prompt]))
        count = sum(storage.nbytes() for storage in kept.values())
    del prediction
    return count


def planned(found: Footprint, memory: str, batch: int, device: torch.device, views: int = AT_ONCE) -> Fit:
    """The first step down at which learning fits; the last where none does.

    memory: as the setting has it. Without a card, "auto" goes no further than checkpointing.  views: that are encoded.
    """
    on_card = device.type == "cuda"
    there = round(USABLE * (int(memory) * 2**30 if memory in SIZES else room(device)))
    steps = list(ladder(batch))
    if memory == "all":
        steps = steps[:1]
    elif memory == "auto" and not on_card:
        steps = steps[:2]
    encoded = min(views, found.encoded(there))
    pictures = found.resident + encoded * found.picture
    fits = [Fit(max(found.peak(step, batch, on_card), pictures), there, step, encoded) for step in steps]
    return next((fit for fit in fits if fit.fits), fits[-1])
