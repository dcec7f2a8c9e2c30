"""CLIP and DINO with random weights, saved as the real ones are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    CLIPTextConfig,
    CLIPVisionConfig,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
)

SHAPE = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
SEEN = {"image_size": 32, "patch_size": 16}


def build_tiny_clip(folder: Path, tokenizer: Any) -> str:
    """Both towers, 8 shared dimensions, with the tokenizer that is given."""
    torch.manual_seed(0)
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    text = CLIPTextConfig(**SHAPE, **ids, vocab_size=len(tokenizer), max_position_embeddings=24)
    vision = CLIPVisionConfig(**SHAPE, **SEEN)
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(folder)
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    CLIPProcessor(CLIPImageProcessor(**size), tokenizer).save_pretrained(folder)
    return str(folder)


def build_tiny_dino(folder: Path) -> str:
    """A vision transformer of one layer."""
    torch.manual_seed(0)
    ViTModel(ViTConfig(**SHAPE, **SEEN)).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return str(folder)
