"""A model of full size with random weights: what a step costs does not depend on what the weights are."""

from __future__ import annotations

from typing import Any

from clora_core.models.backbone import Backbone
from clora_core.models.loading import backbone_of, best_device, dtype_for
from clora_core.models.single_file import CONFIGS, PADS

FAMILIES = tuple(sorted(folder.name for folder in CONFIGS.iterdir() if folder.is_dir()))


def random_backbone(family: str, device: str | None = None, precision: str | None = None) -> Backbone:
    """One of FAMILIES, from the configs that ship with us; device and precision as in `load_backbone`."""
    import diffusers
    import torch
    import transformers

    from clora_core.models.clip_tokenizer import END, clip_tokenizer

    device = device or best_device()
    dtype, folder, pads = dtype_for(device, precision), CONFIGS / family, PADS.get(family, {})
    index: Any = diffusers.DiffusionPipeline.load_config(folder)
    torch.manual_seed(0)
    parts: dict[str, Any] = {}
    for name, value in index.items():
        library, kind = value if isinstance(value, list | tuple) and len(value) == 2 else (None, "")
        if name.startswith("tokenizer"):
            parts[name] = clip_tokenizer(pads.get(name, END))
        elif library == "transformers":
            network = getattr(transformers, kind)
            parts[name] = network(network.config_class.from_pretrained(folder / name))
        elif library == "diffusers":
            made = getattr(diffusers, kind)
            parts[name] = made.from_config(made.load_config(folder, subfolder=name))
        elif library is None and not name.startswith("_"):
            parts[name] = None if isinstance(value, list | tuple) else value
    pipe = getattr(diffusers, index["_class_name"])(**parts)
    if dtype != torch.float32:
        pipe.to(dtype)
    return backbone_of(pipe, device, precision)
