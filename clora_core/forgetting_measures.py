"""The figures of one cell of ``bench forgetting``: likeness, prompts followed, parameters, time and memory."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from clora_core import metrics
from clora_core.benchmark_arm import Arm, Say, draw_prompt
from clora_core.concepts import LearnedConcept
from clora_core.features import Array, EfficientNetLite0, unit
from clora_core.studio import Studio
from clora_core.views import Sample

ASKED = (
    {"clothes": "red", "background": "blue"},
    {"clothes": "green", "background": "yellow"},
    {"clothes": "blue", "background": "beach"},
    {"clothes": "yellow", "background": "purple"},
)
"""Attributes that the embedded model is asked for together with each person: its text alignment."""


def attributes_found(studio: Studio, say: Say, home: Path, arm: Arm) -> float | None:
    """Share of asked attributes found in pictures of every person at the end; None without a classifier."""
    from clora_core.attributes import ATTRIBUTES_FILE, AttributeNetwork, share_found

    weights = Path(studio.base.path) / ATTRIBUTES_FILE
    if not weights.is_file():
        return None
    pictures, asked = [], []
    for card in arm.cards:
        for number, wanted in enumerate(ASKED):
            say(f"drawing {card.name} as asked ({number + 1} of {len(ASKED)})")
            prompt = f"{card.prompt} wearing {wanted['clothes']} clothes, {wanted['background']} background"
            name = f"{card.token[1:-1]}-asked-{number}"
            pictures += draw_prompt(
                studio, home / "drawn" / "asked", name, "arm", prompt, 1, as_of=len(arm.cards)
            )
            asked.append(wanted)
    found = AttributeNetwork.load(weights).classify([Image.open(path) for path in pictures])
    return round(share_found(found, asked), 4)


def likeness_figures(
    people: Sequence[Sample], arm: Arm, references: Mapping[str, Sequence[Path]]
) -> dict[str, Any]:
    """Every figure of ``metrics`` for one cell; features of EfficientNet-lite0."""

    network = EfficientNetLite0()

    def raw(paths: Sequence[Path]) -> Array:
        return network.raw([Image.open(path) for path in paths])

    real_raw = {sample.name: raw(references[sample.name]) for sample in people}
    real = {name: unit(rows) for name, rows in real_raw.items()}
    end_raw = [raw(arm.drawn[sample.name, len(people)]) for sample in people]
    end = [unit(rows) for rows in end_raw]
    learned = [unit(raw(arm.drawn[sample.name, i])) for i, sample in enumerate(people, 1)]
    scores = {
        (as_of - 1, j): metrics.cosine(unit(raw(paths)), real[people[j].name])
        for j in range(len(people))
        for (name, as_of), paths in arm.drawn.items()
        if name == people[j].name
    }
    matrix = metrics.result_matrix(scores, len(people))
    names = [sample.name for sample in people]
    return {
        "features": network.name,
        "kernel": metrics.KERNEL,
        "matrix": [[None if np.isnan(value) else round(float(value), 4) for value in row] for row in matrix],
        "real_to_real": float(np.mean([metrics.cosine_within(rows) for rows in real.values()])),
        "a_mmd_x1000": 1e3 * metrics.a_mmd([real[name] for name in names], end),
        "f_mmd_x1000": _or_none(1e3 * metrics.f_mmd(learned, end)),
        "kid_x1000": 1e3 * metrics.kid(np.concatenate(end_raw), np.concatenate(list(real_raw.values()))),
        "alignment_learned": float(np.diag(matrix).mean()),
        "alignment_end": float(matrix[-1].mean()),
        "forgetting": _or_none(metrics.forgetting(matrix)),
        "backward_transfer": _or_none(metrics.backward_transfer(matrix)),
        "nearest": float(
            np.mean(
                [metrics.nearest_person(rows, real) == name for rows, name in zip(end, names, strict=True)]
            )
        ),
    }


def _or_none(value: float) -> float | None:
    return None if value != value else value  # NaN: one concept forgets nothing, and JSON has no NaN


def costs(learned: Sequence[LearnedConcept], model: str, method: str) -> dict[str, Any]:
    """Numbers trained for one concept and stored for all of them at the end, in % of the U-Net's; and time.

    Stored is what drawing and learning on need of the files. Where one set of weights is trained on and on, that is
    the last concept's weights (all concepts' for EWC, whose anchors they are), and every concept's token and memory.
    """
    from clora_core.methods import method_named

    unet = _unet_parameters(model)
    weights = [_weights(concept) for concept in learned]
    beside = [
        concept.token_embedding.numel() + sum(value.numel() for value in concept.memory.values())
        for concept in learned
    ]
    kept = weights[-1:] if method_named(method).continues and method != "ewc" else weights
    return {
        "trained_percent": round(100 * (weights[-1] + learned[-1].token_embedding.numel()) / unet, 4),
        "stored_percent": round(100 * (sum(kept) + sum(beside)) / unet, 4),
        "seconds_a_concept": round(statistics.fmean(concept.seconds for concept in learned), 2),
    }


def _weights(concept: LearnedConcept) -> int:
    pairs = sum(a.numel() + b.numel() for a, b in concept.factors.values())
    return pairs + sum(delta.numel() for delta in concept.deltas.values())


def _unet_parameters(model: str) -> int:
    import torch
    from diffusers import UNet2DConditionModel

    config: Any = UNet2DConditionModel.load_config(model, subfolder="unet")  # type: ignore[no-untyped-call]
    with torch.device("meta"):
        unet: Any = UNet2DConditionModel.from_config(config)  # type: ignore[no-untyped-call]
    return int(unet.num_parameters())


def reset_peak_memory(device: str | None) -> None:
    """Begin to measure a cell's peak memory, where the device can tell."""
    import torch

    if torch.cuda.is_available() and device != "cpu":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_mb(device: str | None) -> int | None:
    """The peak since ``reset_peak_memory`` of the GPU's allocator. None on a CPU, which only tells a process's peak."""
    import torch

    if torch.cuda.is_available() and device != "cpu":
        return round(torch.cuda.max_memory_allocated(device) / 1e6)
    return None
