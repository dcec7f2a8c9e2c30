"""Drawing: pictures from a timeline and a prompt, and the settings that travel inside the PNG.

A picture is a pure function of (base model, timeline, prompt, settings) on one machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from PIL import Image

from clora_core.concepts import SamplingConfig, Timeline, tokens_in
from clora_core.drawing.prompt_notes import check_learned
from clora_core.drawing.weights import encode, read_weights
from clora_core.errors import ConceptError
from clora_core.methods import class_of
from clora_core.models.backbone import Backbone, check_size
from clora_core.models.tokens import left_out

MAX_BATCH = 4  # pictures in the denoiser at once
MAX_PIXELS = 4 * 768 * 768  # of all of them together: larger pictures go in smaller batches


def generate(
    backbone: Backbone,
    timeline: Timeline,
    prompt: str,
    settings: SamplingConfig,
    on_step: Callable[[int, int], None] | None = None,
) -> list[Image.Image]:
    """Draw `settings.pictures` pictures of `prompt` with the concepts of `timeline`, as `generate_in_turn` does."""
    return [picture for batch in generate_in_turn(backbone, timeline, prompt, settings, on_step) for picture in batch]


def generate_in_turn(
    backbone: Backbone,
    timeline: Timeline,
    prompt: str,
    settings: SamplingConfig,
    on_step: Callable[[int, int], None] | None = None,
) -> Iterator[list[Image.Image]]:
    """The same pictures batch by batch, so that the first can be shown while the last are drawn.

    Picture i starts from noise of `settings.seed_of(i)`, drawn on the CPU whatever the device. on_step(done, total) is
    called after each denoising step, over all batches; what it raises (Cancelled) ends the drawing. Prompt and negative
    prompt may have weights: see `read_weights`.
    Raises ConceptError for a token that is not learned or stands behind what the text encoder reads, SettingsError for
    an impossible size.
    """
    check_learned(f"{prompt} {settings.negative_prompt}", timeline.tokens)
    for text in (prompt, settings.negative_prompt):
        _check_read(backbone, timeline, read_weights(text)[0])
    check_size(backbone, width=settings.width, height=settings.height)
    class_of(timeline.method).install(backbone, timeline, prompt)
    places = range(settings.pictures)
    together = max(1, min(MAX_BATCH, MAX_PIXELS // (settings.width * settings.height)))
    batches = [places[first : first + together] for first in places[::together]]
    total = settings.steps * len(batches)
    for number, batch in enumerate(batches):

        def report(done: int, before: int = number * settings.steps) -> None:
            if on_step:
                on_step(min(before + done, total), total)

        with torch.no_grad():
            conditioning = encode(backbone, prompt, len(batch))
            negative = encode(backbone, settings.negative_prompt, len(batch))
        generators = [torch.Generator("cpu").manual_seed(settings.seed_of(place)) for place in batch]
        yield backbone.draw(conditioning, negative, settings, generators, report)


def _check_read(backbone: Backbone, timeline: Timeline, text: str) -> None:
    end = left_out(backbone.tables, text, timeline.tokens)
    read = tokens_in(text.removesuffix(end))
    cut = [token for token in tokens_in(end) if token not in read]
    if cut:
        raise ConceptError(
            f"The prompt is longer than this model reads, and {', '.join(cut)} would be cut off. "
            "Move it to the front, or shorten the prompt."
        )
