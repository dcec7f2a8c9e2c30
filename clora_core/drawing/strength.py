"""How strongly concepts are drawn: what learning each of them added to the weights, scaled.

    W = W_init + sum_t s_t D_t        s_t = 1: as it was learned, 0: without its weights

D_t is what concept t added: its pair A_t B_t, or its whole delta where it was learned on the base model alone. Where
one set of weights is trained on and on, a concept leaves P_t, which holds all earlier ones. It added P_t - P_{t-1}:

    sum_t s_t D_t = s_T P_T + sum_{t<T} (s_t - s_{t+1}) P_t

The token's embedding stays as it is. With every s_t = 1 nothing is computed anew: pictures are the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from clora_core.concepts import LearnedConcept, Timeline
from clora_core.errors import ConceptError
from clora_core.settings.strength import check_weights


def with_strengths(timeline: Timeline, strengths: Mapping[str, float]) -> Timeline:
    """The timeline with each concept's own share of the weights scaled by its strength, by token; 1 for all others.

    Raises ConceptError for a token that is not learned at this point, SettingsError where the method learns no weights.
    """
    moved = {token: strength for token, strength in strengths.items() if strength != 1}
    if not moved:
        return timeline
    unknown = [token for token in moved if token not in timeline.tokens]
    if unknown:
        raise ConceptError(f"{', '.join(unknown)} has a strength, but is not learned at this point. Leave it out.")
    check_weights(timeline.method, moved)
    of_each = [moved.get(concept.token, 1.0) for concept in timeline.concepts]
    if timeline.method.continues:
        following = [*of_each[1:], 0.0]
        shares = [now - then for now, then in zip(of_each, following, strict=True)]
        return replace(timeline, concepts=(*timeline.concepts[:-1], _joined(timeline.concepts, shares)))
    scaled = [_scaled(*pair) for pair in zip(timeline.concepts, of_each, strict=True)]
    return replace(timeline, concepts=tuple(scaled))


def _scaled(concept: LearnedConcept, strength: float) -> LearnedConcept:
    """The concept itself at 1."""
    if strength == 1:
        return concept
    factors = {layer: (strength * a, b) for layer, (a, b) in concept.factors.items()}
    deltas = {name: strength * delta for name, delta in concept.deltas.items()}
    return replace(concept, factors=factors, deltas=deltas)


def _joined(concepts: Sequence[LearnedConcept], shares: Sequence[float]) -> LearnedConcept:
    """The last concept with sum_t share_t P_t for its weights; pairs stay pairs, side by side."""
    used = [(concept, share) for concept, share in zip(concepts, shares, strict=True) if share]
    last = concepts[-1]
    if not used:  # all at 0
        return _scaled(last, 0.0)
    factors = {
        layer: (
            torch.cat([share * concept.factors[layer][0] for concept, share in used], dim=1),  # (D1, sum r)
            torch.cat([concept.factors[layer][1] for concept, _ in used]),  # (sum r, D2)
        )
        for layer in last.factors
    }
    (first, share), *others = used
    deltas = {name: share * delta for name, delta in first.deltas.items()}
    for each, share in others:
        deltas = {name: delta + share * each.deltas[name] for name, delta in deltas.items()}
    return replace(last, factors=factors, deltas=deltas)
