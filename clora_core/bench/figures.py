"""Every figure of a cell that its pictures decide, from nothing but their features.

The names of the arrays in features/<cell>.npz, a row a picture (of one concept and time, seed after seed):

    likeness/<concept>/after-03   (draws, D) as the likeness network gives them, drawn after the third concept
    clip/<concept>/after-03       (draws, D) CLIP's, where it judges
    clip/<concept>/asked          (endings, D) of pictures drawn at the end as asked for, one for each ending
    clip/words                    (endings, D) of the words they were asked for with
    found/<concept>/asked         (endings, attributes) bool: what the model's own classifiers found of what was asked

and in features/real.npz ``likeness/<concept>`` and ``clip/<concept>``, (M, D). <concept> is the token without its <>.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clora_core.bench.lines import Line
from clora_core.bench.run import REAL, read_features
from clora_core.measures import metrics
from clora_core.measures.features import Array, unit

Arrays = Mapping[str, Array]


def key(network: str, token: str, after: int | str = "") -> str:
    """The name of an array. after: how many concepts, or "asked"; "" for real pictures."""
    time = f"after-{after:02d}" if isinstance(after, int) else after
    return "/".join(filter(None, (network, token[1:-1], time)))


def recomputed(out: Path, line: Line) -> dict[str, Any]:
    """The figures of a finished line once more, from the features that its run kept in ``out``.

    Raises FileNotFoundError where there are none: lines of early runs, or brought along from another machine.
    """
    return figures(line["tokens"], read_features(out, line["cell"]), read_features(out, REAL))


def figures(tokens: Sequence[str], drawn: Arrays, real: Arrays) -> dict[str, Any]:
    """Every figure of one cell; tokens: in the order in which they were learned."""
    return {**likeness_figures(tokens, drawn, real), **asked_figures(tokens, drawn, real)}


@dataclass(frozen=True)
class Likeness:
    """One concept's likeness to its real pictures, mean cosines over all pairs.

    real: real to real, without each picture with itself: what cannot be beaten.  learned, end: drawn when it was
    learned, and at the end.  nearest_learned, nearest: the token whose mean real feature is nearest to the mean of the
    drawn ones.  pictures_nearest: share of the single pictures at the end that are nearest to the right one.
    """

    token: str
    real: float
    learned: float
    end: float
    nearest_learned: str
    nearest: str
    pictures_nearest: float


def by_concept(tokens: Sequence[str], drawn: Arrays, real: Arrays) -> list[Likeness]:
    """The likeness of each concept, in order."""
    known = {token: unit(real[key("likeness", token)]) for token in tokens}
    found = []
    for number, token in enumerate(tokens, 1):
        learned, end = (unit(drawn[key("likeness", token, after)]) for after in (number, len(tokens)))
        found.append(
            Likeness(
                token,
                real=metrics.cosine_within(known[token]),
                learned=metrics.cosine(learned, known[token]),
                end=metrics.cosine(end, known[token]),
                nearest_learned=metrics.nearest_concept(learned, known),
                nearest=metrics.nearest_concept(end, known),
                pictures_nearest=metrics.nearest_share(end, token, known),
            )
        )
    return found


def likeness_figures(tokens: Sequence[str], drawn: Arrays, real: Arrays) -> dict[str, Any]:
    """Every figure of ``metrics`` on the features of the likeness network; None where too little was drawn for it."""
    count, rows = len(tokens), by_concept(tokens, drawn, real)
    real_raw = [real[key("likeness", token)] for token in tokens]
    end_raw = [drawn[key("likeness", token, count)] for token in tokens]
    own, end = [unit(each) for each in real_raw], [unit(each) for each in end_raw]
    learned = [unit(drawn[key("likeness", token, number)]) for number, token in enumerate(tokens, 1)]
    scores = {
        (i, j): metrics.cosine(unit(drawn[name]), own[j])
        for j, token in enumerate(tokens)
        for i in range(j, count)
        if (name := key("likeness", token, i + 1)) in drawn
    }
    matrix = metrics.result_matrix(scores, count)
    several = min(len(each) for each in (*own, *end)) > 1  # the unbiased MMD has no value for one picture
    return {
        "kernel": metrics.KERNEL,
        "matrix": [[None if np.isnan(value) else round(float(value), 4) for value in row] for row in matrix],
        "real_between": [[round(metrics.cosine(one, other), 4) for other in own] for one in own],
        "real_to_real": float(np.mean([row.real for row in rows])),
        "a_mmd_learned_x1000": 1e3 * metrics.a_mmd(own, learned) if several else None,
        "a_mmd_x1000": 1e3 * metrics.a_mmd(own, end) if several else None,
        "f_mmd_x1000": _or_none(1e3 * metrics.f_mmd(learned, end)) if several else None,
        "kid_x1000": 1e3 * metrics.kid(np.concatenate(end_raw), np.concatenate(real_raw)) if several else None,
        "alignment_learned": float(np.diag(matrix).mean()),
        "alignment_end": float(matrix[-1].mean()),
        "forgetting": _or_none(metrics.forgetting(matrix)),
        "backward_transfer": _or_none(metrics.backward_transfer(matrix)),
        "nearest_learned": float(np.mean([row.nearest_learned == row.token for row in rows])),
        "nearest": float(np.mean([row.nearest == row.token for row in rows])),
        "pictures_nearest": float(np.mean([row.pictures_nearest for row in rows])),
    }


def _or_none(value: float) -> float | None:
    return None if value != value else value  # NaN: one concept forgets nothing, and JSON has no NaN


def asked_figures(tokens: Sequence[str], drawn: Arrays, real: Arrays) -> dict[str, float]:
    """How well prompts are followed: the share of asked attributes that were found; or by CLIP CIDM's TA and IA, both
    2.5 x cosine x 100: pictures asked for against those words, and the pictures at the end against the real ones. {}
    where nothing was asked for."""
    if "clip/words" in drawn:
        words = np.tile(unit(drawn["clip/words"]), (len(tokens), 1))
        asked = unit(np.concatenate([drawn[key("clip", token, "asked")] for token in tokens]))
        alike = [
            metrics.cosine(unit(drawn[key("clip", token, len(tokens))]), unit(real[key("clip", token)]))
            for token in tokens
        ]
        return {
            "text_alignment": metrics.text_alignment(asked, words),
            "clip_image_alignment": 250.0 * statistics.fmean(alike),
        }
    found = [drawn[name] for token in tokens if (name := key("found", token, "asked")) in drawn]
    return {"text_alignment": round(float(np.mean(found)), 4)} if found else {}
