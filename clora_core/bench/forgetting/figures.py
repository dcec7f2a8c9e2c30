"""The figures of one cell of ``bench forgetting``: likeness, prompts followed, parameters, time and memory."""

from __future__ import annotations

import ctypes
import gc
import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from clora_core.answers import Sample
from clora_core.bench.arm import Arm, draw_prompt
from clora_core.concepts import LearnedConcept
from clora_core.measures import metrics
from clora_core.measures.features import Array, Clip, Features, seen, unit
from clora_core.studio.progress import Say
from clora_core.studio.studio import Studio

ASKED = (
    {"clothes": "red", "background": "blue"},
    {"clothes": "green", "background": "yellow"},
    {"clothes": "blue", "background": "beach"},
    {"clothes": "yellow", "background": "purple"},
)
"""Attributes that the embedded model is asked for together with each person: its text alignment."""

PLACES = ("on the beach", "in the snow", "in front of a city skyline", "with a blue background")
"""What other models are asked for together with each concept, for CLIP to look for."""


def attributes_found(studio: Studio, say: Say, home: Path, arm: Arm) -> dict[str, float | None]:
    """Share of asked attributes found in pictures of every person at the end; None without a classifier."""
    from clora_core.measures.attributes import ATTRIBUTES_FILE, AttributeNetwork, share_found

    weights = Path(studio.base.path) / ATTRIBUTES_FILE
    if not weights.is_file():
        return {"text_alignment": None}
    endings = [f"wearing {a['clothes']} clothes, {a['background']} background" for a in ASKED]
    pictures = [Image.open(path) for path in _drawn_as_asked(studio, say, home, arm, endings)]
    found = AttributeNetwork.load(weights).classify(pictures)
    return {"text_alignment": round(share_found(found, list(ASKED) * len(arm.cards)), 4)}


def clip_figures(
    studio: Studio,
    say: Say,
    home: Path,
    arm: Arm,
    clip: Clip,
    references: Mapping[str, Sequence[Path]],
    kind: str,
) -> dict[str, float]:
    """CIDM's TA and IA, both 2.5 x cosine x 100: pictures asked for in PLACES with those words, and the pictures at the
    end with the real ones.

    kind: what stands for the concept in the words that pictures are compared with, such as "a photo of a person".
    """
    pictures = _drawn_as_asked(studio, say, home, arm, PLACES)
    words = unit(clip.words([f"{kind} {place}" for place in PLACES]))
    end = len(arm.cards)
    alike = [
        metrics.cosine(unit(seen(clip, arm.drawn[card.name, end])), unit(seen(clip, references[card.name])))
        for card in arm.cards
    ]
    return {
        "text_alignment": metrics.text_alignment(unit(seen(clip, pictures)), np.tile(words, (end, 1))),
        "clip_image_alignment": 250.0 * statistics.fmean(alike),
    }


def _drawn_as_asked(studio: Studio, say: Say, home: Path, arm: Arm, endings: Sequence[str]) -> list[Path]:
    """One picture of every concept at the end with each ending, concept by concept."""
    paths = []
    for card in arm.cards:
        for number, ending in enumerate(endings):
            say(f"drawing {card.name} as asked ({number + 1} of {len(endings)})")
            name, prompt = f"{card.token[1:-1]}-asked-{number}", f"{card.prompt} {ending}"
            paths += draw_prompt(studio, home / "drawn" / "asked", name, "arm", prompt, 1, len(arm.cards))
    return paths


def likeness_figures(
    people: Sequence[Sample], arm: Arm, references: Mapping[str, Sequence[Path]], network: Features
) -> dict[str, Any]:
    """Every figure of ``metrics`` for one cell, on the features of ``network``."""
    names = [sample.name for sample in people]
    real_raw = {name: seen(network, references[name]) for name in names}
    real = {name: unit(rows) for name, rows in real_raw.items()}
    drawn_raw = {key: seen(network, paths) for key, paths in arm.drawn.items()}
    drawn = {key: unit(rows) for key, rows in drawn_raw.items()}
    end_raw = [drawn_raw[name, len(people)] for name in names]
    end = [drawn[name, len(people)] for name in names]
    learned = [drawn[name, number] for number, name in enumerate(names, 1)]
    scores = {(as_of - 1, names.index(name)): metrics.cosine(rows, real[name]) for (name, as_of), rows in drawn.items()}
    matrix = metrics.result_matrix(scores, len(people))

    def a_mmd_x1000(drawn: Sequence[Array]) -> float:
        return 1e3 * metrics.a_mmd([real[name] for name in names], drawn)

    def nearest(drawn: Sequence[Array]) -> float:
        own = [metrics.nearest_person(rows, real) == name for rows, name in zip(drawn, names, strict=True)]
        return float(np.mean(own))

    return {
        "features": network.name,
        "kernel": metrics.KERNEL,
        "matrix": [[None if np.isnan(value) else round(float(value), 4) for value in row] for row in matrix],
        "real_between": [[round(metrics.cosine(real[one], real[other]), 4) for other in names] for one in names],
        "real_to_real": float(np.mean([metrics.cosine_within(rows) for rows in real.values()])),
        "a_mmd_learned_x1000": a_mmd_x1000(learned),
        "a_mmd_x1000": a_mmd_x1000(end),
        "f_mmd_x1000": _or_none(1e3 * metrics.f_mmd(learned, end)),
        "kid_x1000": 1e3 * metrics.kid(np.concatenate(end_raw), np.concatenate(list(real_raw.values()))),
        "alignment_learned": float(np.diag(matrix).mean()),
        "alignment_end": float(matrix[-1].mean()),
        "forgetting": _or_none(metrics.forgetting(matrix)),
        "backward_transfer": _or_none(metrics.backward_transfer(matrix)),
        "nearest_learned": nearest(learned),
        "nearest": nearest(end),
    }


def _or_none(value: float) -> float | None:
    return None if value != value else value  # NaN: one concept forgets nothing, and JSON has no NaN


def change_norms(learned: Sequence[LearnedConcept]) -> dict[str, list[float]]:
    """||A_t B_t||_F of each concept in order, by matrix; {} for methods without a low-rank pair of each concept's
    own."""
    from clora_core.methods import method_named

    if method_named(learned[-1].config.method).continues:
        return {}
    return {
        name: [round(float((c.factors[name][0] @ c.factors[name][1]).norm()), 5) for c in learned]
        for name in learned[-1].factors
    }


def costs(learned: Sequence[LearnedConcept], model: str, method: str) -> dict[str, Any]:
    """Numbers trained for one concept and stored for all of them at the end, in % of the denoiser's; and time.

    Stored is what drawing and learning on need of the files. Where one set of weights is trained on and on, that is
    the last concept's weights (all concepts' for EWC, whose anchors they are), and every concept's token and memory.
    """
    from clora_core.methods import method_named
    from clora_core.models.loading import denoiser_parameters

    whole = denoiser_parameters(model)
    weights = [_weights(concept) for concept in learned]
    tokens = [sum(value.numel() for value in concept.embeddings.values()) for concept in learned]
    beside = [token + _remembered(concept, learned[0]) for token, concept in zip(tokens, learned, strict=True)]
    kept = weights[-1:] if method_named(method).continues and method != "ewc" else weights
    return {
        "trained_percent": round(100 * (weights[-1] + tokens[-1]) / whole, 4),
        "stored_percent": round(100 * (sum(kept) + sum(beside)) / whole, 4),
        "seconds_a_concept": round(statistics.fmean(concept.seconds for concept in learned), 2),
    }


def _remembered(concept: LearnedConcept, first: LearnedConcept) -> int:
    """Numbers in a concept's memory; what is the first one's, too (the G of Custom Diffusion's merge), counts there."""
    theirs = first.memory if concept is not first else {}
    return sum(
        value.numel() for name, value in concept.memory.items() if not (name in theirs and value.equal(theirs[name]))
    )


def _weights(concept: LearnedConcept) -> int:
    pairs = sum(a.numel() + b.numel() for a, b in concept.factors.values())
    return pairs + sum(delta.numel() for delta in concept.deltas.values())


def reset_peak_memory(device: str | None) -> None:
    """Begin to measure the peak memory, where the device or the system can tell."""
    import torch

    gc.collect()  # the cell before may have left its model
    if torch.cuda.is_available() and device != "cpu":
        torch.cuda.init()  # a worker that has just begun has not
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with suppress(OSError, AttributeError, TypeError):  # another system or C library
            ctypes.CDLL(None).malloc_trim(0)  # what the cell before freed, glibc keeps
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # VmHWM starts anew, see proc(5)


def peak_memory_mb(device: str | None) -> int | None:
    """The peak since ``reset_peak_memory``: of the GPU's allocator, on a CPU of the whole process (Linux; else
    None)."""
    import torch

    if torch.cuda.is_available() and device != "cpu":
        return round(torch.cuda.max_memory_allocated(device) / 1e6)
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) * 1024 / 1e6)
    return None
