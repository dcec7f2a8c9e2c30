"""How pictures are drawn: every default, label, help text and bound, once."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clora_core.settings.fields import Settings, setting

NEW_SEED = -1  # as other programs have it
SAMPLERS = (  # as people call them
    "DPM++ 2M",
    "DPM++ 2M Karras",
    "DPM++ 2M SDE",
    "DPM++ 2M SDE Karras",
    "DPM++ 2S",
    "Euler",
    "Euler a",
    "Heun",
    "DDIM",
    "DDPM",
    "UniPC",
    "PLMS",
    "LMS",
)


@dataclass(frozen=True)
class SamplingConfig(Settings):
    """How pictures are drawn from a prompt."""

    steps: int = setting(
        30, "Steps", "Denoising steps. More is slower and, up to a point, cleaner.", minimum=1, maximum=1000
    )
    guidance_scale: float = setting(
        7.5,
        "Guidance",
        "How strictly the prompt is followed. 1 turns guidance off.",
        minimum=0.0,
        maximum=50.0,
    )
    guidance_rescale: float = setting(
        0.0,
        "Guidance rescale",
        "Takes back the too strong contrast that guidance brings to models trained down to pure noise; 0.7 is usual "
        "for those, 0 turns it off (Lin et al. 2024, section 3.4).",
        minimum=0.0,
        maximum=1.0,
    )
    sampler: str = setting(
        "",
        "Sampler",
        "How noise becomes a picture. Others need other numbers of steps.",
        choices=("", *SAMPLERS),
        unset="the model's own",
    )
    width: int = setting(512, "Width", "Width of the picture in pixels.", minimum=32, maximum=4096)
    height: int = setting(512, "Height", "Height of the picture in pixels.", minimum=32, maximum=4096)
    negative_prompt: str = setting("", "Negative prompt", "What the picture should not show.")
    seed: int = setting(
        0,
        "Seed",
        "Seed of the first picture; the others take the next numbers.",
        minimum=0,
        maximum=2**32 - 1,
    )
    pictures: int = setting(1, "Pictures", "How many pictures to draw.", minimum=1, maximum=64)

    def seed_of(self, place: int) -> int:
        """The seed of the picture at a 0-based place; after the largest seed comes 0."""
        return (self.seed + place) % 2**32


def seed_drawn(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by name, with a random seed in the place of NEW_SEED."""
    return {**values, "seed": random.randrange(2**31)} if values.get("seed") == NEW_SEED else dict(values)
