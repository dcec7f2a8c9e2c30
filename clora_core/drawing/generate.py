"""Drawing: pictures from a timeline and a prompt, and the settings that travel inside the PNG.

A picture is a pure function of (base model, timeline, prompt, settings) on one machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image

from clora_core.concepts import SamplingConfig, Timeline, tokens_in
from clora_core.errors import ConceptError
from clora_core.methods import method_named
from clora_core.models.loading import check_size

MAX_BATCH = 4  # pictures in the U-Net at once


def generate(
    pipe: Any,
    timeline: Timeline,
    prompt: str,
    settings: SamplingConfig,
    on_step: Callable[[int, int], None] | None = None,
) -> list[Image.Image]:
    """Draw `settings.pictures` pictures of `prompt` with the concepts of `timeline`.

    Picture i starts from noise of seed + i, drawn on the CPU whatever the device. on_step(done, total) is
    called after each denoising step, over all batches; what it raises (Cancelled) ends the drawing.
    Raises ConceptError for a token the timeline has not learned, SettingsError for an impossible size.
    """
    _check_tokens(timeline, f"{prompt} {settings.negative_prompt}")
    check_size(pipe, width=settings.width, height=settings.height)
    method_named(timeline.method).install(pipe, timeline, prompt)
    places = range(settings.pictures)
    batches = [places[first : first + MAX_BATCH] for first in places[::MAX_BATCH]]
    total = settings.steps * len(batches)
    pictures: list[Image.Image] = []
    for number, batch in enumerate(batches):
        start = number * settings.steps

        def report(_: Any, step: int, __: Any, values: dict[str, Any], start: int = start) -> dict[str, Any]:
            if on_step:
                on_step(min(start + step + 1, total), total)
            return values

        pictures += pipe(
            prompt=[prompt] * len(batch),
            negative_prompt=[settings.negative_prompt] * len(batch),
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance_scale,
            guidance_rescale=settings.guidance_rescale,
            width=settings.width,
            height=settings.height,
            generator=[torch.Generator("cpu").manual_seed(settings.seed + place) for place in batch],
            callback_on_step_end=report,
        ).images
    return pictures


def _check_tokens(timeline: Timeline, text: str) -> None:
    unknown = [token for token in tokens_in(text) if token not in timeline.tokens]
    if unknown:
        learned = ", ".join(timeline.tokens)
        raise ConceptError(
            f"The prompt has {', '.join(unknown)}, which is not learned at this point. "
            + (f"Learned so far: {learned}." if learned else "Nothing is learned yet: teach a concept first.")
        )


# ------------------------------------------------------------------------- settings in the picture
