"""What a cell costs: parameters, time and memory; and how much each concept changes the weights."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from clora_core.concepts import LearnedConcept


def change_norms(learned: Sequence[LearnedConcept]) -> dict[str, list[float]]:
    """||A_t B_t||_F of each concept in order, by matrix; {} for methods without a low-rank pair of each concept's
    own."""
    if learned[-1].config.method.continues:
        return {}
    return {
        name: [round(float((c.factors[name][0] @ c.factors[name][1]).norm()), 5) for c in learned]
        for name in learned[-1].factors
    }


def costs(learned: Sequence[LearnedConcept], model: str) -> dict[str, Any]:
    """Numbers trained for one concept and stored for all of them at the end, in % of the denoiser's; and time.

    Stored is what drawing and learning on need of the files. Where one set of weights is trained on and on, that is
    the last concept's weights (all concepts' where it is anchored to them), and every concept's token and memory.
    """
    from clora_core.models.loading import denoiser_parameters

    method, whole = learned[-1].config.method, denoiser_parameters(model)
    weights = [_weights(concept) for concept in learned]
    tokens = [sum(value.numel() for value in concept.embeddings.values()) for concept in learned]
    beside = [token + _remembered(concept, learned[0]) for token, concept in zip(tokens, learned, strict=True)]
    kept = weights[-1:] if method.continues and not method.anchored else weights
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
