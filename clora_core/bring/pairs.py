"""The pairs of a LoRA file, by the base model's own layers.

    A = lora_up alpha / rank (D1, r)      B = lora_down (r, D2)

so that A B is what the file adds to a matrix: pairs here have no factor of their own. peft's files say alpha in their
metadata, or in adapter_config.json beside them. A file that does not say it means alpha = rank.

diffusers translates the names; which layers there are, the base model says.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from diffusers.utils import convert_unet_state_dict_to_peft
from torch import Tensor

from clora_core.bring.lora_file import METADATA, LoraFile
from clora_core.bring.opened import opened
from clora_core.errors import ConceptError
from clora_core.models.stable_diffusion import StableDiffusion

PEFT_MODEL = "base_model.model."  # before every name, where peft saved the whole of a model
CONFIG = "adapter_config.json"
Scale = Callable[[str, int], float]
"""scale(layer, rank): alpha / rank of a layer, by the model's name for it."""


def read_pairs(file: LoraFile, backbone: StableDiffusion) -> dict[str, tuple[Tensor, Tensor]]:
    """A (D1, r) and B (r, D2) by module name, fp32 on the CPU.

    Raises ConceptError: a layer or its shape is not of this base model, a number is not finite, or alpha is not known.
    """
    matrices, scale = {**backbone.matrices, **backbone.queries, **backbone.outputs}, _scale(file)
    pairs = {}
    with opened(file.path, "pt") as tensors:
        for layer, keys in file.held.items():
            down, up = (tensors.get_tensor(keys[side]).float() for side in ("down", "up"))
            down, up = down.flatten(1), up.flatten(1)  # some programmes store (r, D2, 1, 1)
            name = _name(layer, keys, backbone)
            if name not in matrices:
                raise ConceptError(f"{file.path.name} has {keys['down']}, which this base model has not. {_for(file)}")
            if (up.shape[0], down.shape[1]) != tuple(matrices[name].weight.shape):
                raise ConceptError(
                    f"{file.path.name} does not fit this base model: {keys['down']} is for a matrix of "
                    f"{up.shape[0]} x {down.shape[1]}, here it has "
                    f"{' x '.join(map(str, matrices[name].weight.shape))}. {_for(file)}"
                )
            rank = len(down)
            factor = float(tensors.get_tensor(keys["alpha"])) / rank if "alpha" in keys else scale(name, rank)
            for key, value in ((keys["up"], up * factor), (keys["down"], down)):
                if not bool(torch.isfinite(value).all()):
                    raise ConceptError(f"{file.path.name} holds a number that is not finite in {key}. It is broken.")
            pairs[name] = (up * factor).contiguous(), down.contiguous()
    return {name: pairs[name] for name in matrices if name in pairs}


def _for(file: LoraFile) -> str:
    said = file.contents.made_for
    return "It was made for another base model" + (f": it says {said}." if said else ".")


def _name(layer: str, keys: Mapping[str, str], backbone: StableDiffusion) -> str:
    """The base model's name of a layer of the file; "" where diffusers knows none."""
    plain = layer.removeprefix(PEFT_MODEL)
    prefix = "" if plain.startswith(("lora_unet_", "unet.")) else "unet."
    ends = (keys[side].removeprefix(layer) for side in ("down", "up"))
    pipe = backbone.pipe
    try:
        found, _ = type(pipe).lora_state_dict(
            {f"{prefix}{plain}{end}": torch.zeros(1) for end in ends}, unet_config=pipe.unet.config
        )
        names = convert_unet_state_dict_to_peft({key.removeprefix("unet."): value for key, value in found.items()})
    except (ValueError, KeyError, IndexError, TypeError):  # names of no U-Net like this
        return ""
    return str(next(iter(names), "")).partition(".lora_")[0]


def _scale(file: LoraFile) -> Scale:
    """What peft noted, else 1."""
    noted = file.metadata.get(METADATA)
    whole = any(layer.startswith(PEFT_MODEL) for layer in file.held)
    beside = file.path.with_name(CONFIG)
    if not noted and whole:
        if not beside.is_file():
            raise ConceptError(
                f"{file.path.name} does not say how strong it is: peft keeps that in {CONFIG}. Put that file beside it."
            )
        noted = beside.read_text(encoding="utf-8")
    if not noted:
        return lambda layer, rank: 1.0
    try:
        config: dict[str, Any] = {key.removeprefix("unet."): value for key, value in json.loads(noted).items()}
    except (ValueError, AttributeError) as error:
        raise ConceptError(
            f"What {file.path.name} says of itself cannot be read: {error}. Download it again."
        ) from error
    if config.get("use_dora"):
        raise ConceptError(
            f"{file.path.name} is a DoRA, and no plain LoRA (use_dora). Only pairs of low rank can be brought in."
        )

    def scale(layer: str, rank: int) -> float:
        patterns: Mapping[str, float] = config.get("alpha_pattern") or {}
        own = (alpha for pattern, alpha in patterns.items() if re.fullmatch(rf"(.*\.)?({pattern})", layer))
        alpha = float(next(own, config.get("lora_alpha", rank)))
        return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)

    return scale
