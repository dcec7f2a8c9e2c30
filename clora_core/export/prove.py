"""Proof that what was exported draws what the Studio draws: by diffusers' own loaders, in a model loaded afresh."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.utils import logging
from numpy.typing import NDArray
from safetensors.torch import load_file

from clora_core.concepts import SamplingConfig, Timeline
from clora_core.methods import class_of
from clora_core.models.pipeline import PipelineBackbone
from clora_core.models.stable_diffusion_xl import StableDiffusionXL

STEPS = 8  # of a picture of the proof, at most

Picture = NDArray[np.float32]
"""(H, W, 3), in 0..1."""


def live_picture(backbone: PipelineBackbone, timeline: Timeline, prompt: str, settings: SamplingConfig) -> Picture:
    """`prompt` drawn as the Studio draws it."""
    class_of(timeline.method).install(backbone, timeline, prompt)
    with torch.no_grad():
        told = backbone.told(*(backbone.encode([words]) for words in (prompt, settings.negative_prompt)))
    return drawn(backbone, settings, **told)


def reloaded_pictures(
    fresh: PipelineBackbone,
    loras: Mapping[str, Path | None],
    embeddings: Mapping[str, Path],
    settings: SamplingConfig,
) -> dict[str, Picture]:
    """Each prompt drawn with its LoRA file alone (None: without one), and all embeddings, by token.

    fresh: a base model as it was loaded; it is no use for anything else afterwards.
    """
    for token, path in embeddings.items():
        if isinstance(fresh, StableDiffusionXL):
            rows = load_file(path)
            for table, (tokenizer, text_encoder) in fresh.readers().items():
                place = {"tokenizer": tokenizer, "text_encoder": text_encoder}
                fresh.pipe.load_textual_inversion(rows[table], token=token, **place)
        else:
            fresh.pipe.load_textual_inversion(path, token=token)
    pictures = {}
    for prompt, lora in loras.items():
        if lora:
            with _quiet():
                fresh.pipe.load_lora_weights(lora.parent, weight_name=lora.name)
        pictures[prompt] = drawn(fresh, settings, prompt=prompt, negative_prompt=settings.negative_prompt)
        if lora:
            fresh.pipe.unload_lora_weights()
    return pictures


@contextmanager
def _quiet() -> Iterator[None]:
    """Without diffusers' remark that a LoRA holds nothing for the text encoder."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def drawn(backbone: PipelineBackbone, settings: SamplingConfig, **prompts: Any) -> Picture:
    """A picture by diffusers' pipeline alone. prompts: as it takes them."""
    picture: Picture = backbone.pipe(
        **prompts,
        **backbone.asked(settings),
        generator=torch.Generator("cpu").manual_seed(settings.seed_of(0)),
        output_type="np",
    ).images[0]
    return picture
