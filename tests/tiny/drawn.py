"""What diffusers' own pipeline draws, to compare ours with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from clora_core.settings.drawing import SamplingConfig


def by_the_pipeline(
    pipe: Any, settings: SamplingConfig, generators: Sequence[torch.Generator]
) -> Sequence[Image.Image]:
    """As many pictures of "a photo", and not of "far", as there are generators."""
    found: Sequence[Image.Image] = pipe(
        ["a photo"] * len(generators),
        negative_prompt=["far"] * len(generators),
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance_scale,
        guidance_rescale=settings.guidance_rescale,
        width=settings.width,
        height=settings.height,
        generator=generators,
    ).images
    return found
