"""The measures of continual learning, on features (arrays; the networks are in ``clora_core.measures.features``).

With X[i, j] the pictures of concept j drawn after concept i was learned, X[D, j] its real pictures and F the
named feature network (C-LoRA, Smith et al. 2024, section 4):

    A_mmd = mean_j      MMD^2(F(X[D, j]), F(X[N, j]))        how far the end is from the real pictures
    F_mmd = mean_{j<N}  MMD^2(F(X[j, j]), F(X[N, j]))        how far the end is from what it was when learned,
                                                            with the same seeds: ``paired_mmd``

A_mmd when learned, of X[j, j] in place of X[N, j], shows what a method pays for not forgetting. All are reported x 1e3;
lower is better. From the result matrix R[i, j] (any score of concept j after concept i, higher is better; Lopez-Paz &
Ranzato 2017, Chaudhry et al. 2018):

    forgetting        = mean_{j<N} ( max_i R[i, j] - R[N, j] )
    backward transfer = mean_{j<N} ( R[N, j] - R[j, j] )
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from clora_core.measures.features import Array, unit

KERNEL = "cubic kernel (a . b + 1)^3 on unit features"
Matrix = NDArray[np.float64]


# ------------------------------------------------------------------------------------ distributions


def mmd(x: Array, y: Array) -> float:
    """Unbiased MMD^2 (Gretton et al. 2012, Eq. 3) with :data:`KERNEL`; x (N, D), y (M, D) unit, N, M > 1.

    It can be a little below 0 when both come from one distribution.
    """
    return _unbiased(x, y, 1.0)


def paired_mmd(x: Array, y: Array) -> float:
    """MMD^2 with :data:`KERNEL` of pictures drawn with the same seeds; x, y (N, D) unit, N > 1, row i of one seed.

    Gretton et al. 2012, Eq. 4: as ``mmd``, but a picture is never compared with the other one of its own seed. Those
    two are alike whatever the distributions are, and would draw the estimate below 0: equal pictures give exactly 0.
    """
    return _unbiased(x, y, 1.0, paired=True)


def kid(x: Array, y: Array) -> float:
    """Kernel inception distance (Binkowski et al. 2018): unbiased MMD^2 with the kernel (a . b / D + 1)^3 on
    features as the network gives them, x (N, D) and y (M, D); over all pictures, not a mean over subsets."""
    return _unbiased(x, y, 1.0 / x.shape[1])


def _unbiased(x: Array, y: Array, scale: float, paired: bool = False) -> float:
    def kernel(a: Array, b: Array) -> Matrix:
        return np.asarray((scale * (a.astype(np.float64) @ b.astype(np.float64).T) + 1.0) ** 3)

    def off_diagonal(gram: Matrix) -> float:
        return float((gram.sum() - np.trace(gram)) / (len(gram) * (len(gram) - 1)))

    cross = kernel(x, y)
    across = off_diagonal(cross) if paired else float(cross.mean())
    return off_diagonal(kernel(x, x)) + off_diagonal(kernel(y, y)) - 2.0 * across


def a_mmd(real: Sequence[Array], drawn: Sequence[Array]) -> float:
    """A_mmd of each concept's real pictures and those drawn of it, unit features; not yet x 1e3. The paper's are
    drawn at the end."""
    return float(np.mean([mmd(x, y) for x, y in zip(real, drawn, strict=True)]))


def f_mmd(learned: Sequence[Array], end: Sequence[Array]) -> float:
    """F_mmd of pictures drawn when each concept was learned and, with the same seeds, at the end, unit features, for
    all but the last concept; not yet x 1e3. NaN when there is only one concept."""
    pairs = list(zip(learned, end, strict=True))[:-1]
    return float(np.mean([paired_mmd(x, y) for x, y in pairs])) if pairs else float("nan")


# ----------------------------------------------------------------------------------------- likeness


def cosine(one: Array, other: Array) -> float:
    """Image alignment: mean cosine over all pairs of a row of ``one`` (N, D) and of ``other`` (M, D), unit."""
    return float((one @ other.T).mean())


def cosine_within(rows: Array) -> float:
    """Mean cosine over all pairs of two different rows (N, D): real to real, what cannot be beaten."""
    count = len(rows)
    return (float((rows @ rows.T).sum()) - count) / max(count * (count - 1), 1)


def text_alignment(pictures: Array, words: Array) -> float:
    """CIDM's TA, in %: CLIPScore (Hessel et al. 2021), the mean of 2.5 max(cosine, 0) x 100, over pictures (N, D) and
    their prompts (N, D), unit features of CLIP."""
    return float(250.0 * np.maximum((pictures * words).sum(axis=1), 0.0).mean())


def nearest_concept(drawn: Array, references: Mapping[str, Array]) -> str:
    """The concept whose mean reference feature is nearest to the mean feature of ``drawn`` (N, D)."""
    mean = unit(drawn.mean(axis=0))
    return max(references, key=lambda name: float(mean @ unit(references[name].mean(axis=0))))


def nearest_share(drawn: Array, concept: str, references: Mapping[str, Array]) -> float:
    """Share of the single pictures ``drawn`` (N, D) that are nearest to ``concept``."""
    return float(np.mean([nearest_concept(row[None], references) == concept for row in drawn]))


# ------------------------------------------------------------------------------------- result matrix


def result_matrix(scores: Mapping[tuple[int, int], float], concepts: int) -> Matrix:
    """R (N, N) from scores[i, j] of concept j after concept i, 0-based, i >= j; NaN where nothing was drawn."""
    matrix = np.full((concepts, concepts), np.nan)
    for (i, j), score in scores.items():
        matrix[i, j] = score
    return matrix


def forgetting(matrix: Matrix) -> float:
    """mean_{j<N} (max_i R[i, j] - R[N, j]) of R (N, N), peak less final: never negative, for the peak may be the final
    value; NaN for one concept."""
    if len(matrix) < 2:
        return float("nan")
    return float(np.mean(np.nanmax(matrix[:, :-1], axis=0) - matrix[-1, :-1]))


def backward_transfer(matrix: Matrix) -> float:
    """mean_{j<N} (R[N, j] - R[j, j]) of R (N, N); NaN for one concept."""
    if len(matrix) < 2:
        return float("nan")
    return float(np.mean(matrix[-1, :-1] - np.diag(matrix)[:-1]))
