"""Where C-LoRA's distance to routed LoRAs comes from: by concept, by layer and by pair of concepts.

Routed LoRAs are learned freely and keep every picture, so for concept j of N, with R_c and R_r their likeness:

    R_c[N, j] - R_r[N, j]  =  (R_c[j, j] - R_r[j, j])  +  (R_c[N, j] - R_c[j, j])
       the gap                 learned less well            lost since

What the penalty (Eq. 3) holds back is seen in the weights: the length of A_t B_t beside that of the same concept
learned freely, the first concept, which has no penalty, left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from clora_core.bench.forgetting.arms import arm_title
from clora_core.bench.lines import Line
from clora_core.bench.tables import table
from clora_core.measures.intervals import interval_text, mean_interval

ARM, FREE = "clora", "routed"

Matrix = NDArray[np.float64]


def gap_report(arms: Mapping[str, Sequence[Line]]) -> str:
    """Three tables, of the cells of two concepts or more that both methods have; "" when there is none. arms: the
    lines of each arm."""
    pairs = [pair for pair in _same_cells(arms) if len(pair[0]["concepts"]) > 1]
    if not pairs:
        return ""
    return "\n\n".join(
        [
            f"## Where the gap between {arm_title(ARM)} and {arm_title(FREE)} comes from",
            f"Runs of both with the same order and seed: {len(pairs)}. By concept, likeness:",
            _by_concept(pairs),
            "By layer: the length of what a concept changes there when it is learned freely, as a share of all "
            "layers, and "
            f"how much of that length the penalty leaves it under {arm_title(ARM)} (second concept and later):",
            _by_layer(pairs),
            "By pair of concepts: likeness an older one loses while a newer one is learned, where the two are "
            "alike (the "
            "third of all pairs whose real pictures are nearest) and where they are not (the farthest third); the "
            "difference with its 95 % interval over runs:",
            _by_pair(arms),
        ]
    )


def result_matrix_of(line: Line) -> Matrix:
    """R (N, N) of a line of results.jsonl; NaN where nothing was drawn."""
    return np.array(line["matrix"], dtype=float)  # None becomes NaN


def _same_cells(arms: Mapping[str, Sequence[Line]]) -> Iterator[tuple[Line, Line]]:
    free = {(line["order"], line["seed"]): line for line in arms.get(FREE, ())}
    for line in arms.get(ARM, ()):
        if (line["order"], line["seed"]) in free:
            yield line, free[line["order"], line["seed"]]


def _by_concept(pairs: Sequence[tuple[Line, Line]]) -> str:
    found: dict[str, list[tuple[float, float, float]]] = {}
    for own, free in pairs:
        ours, theirs = result_matrix_of(own), result_matrix_of(free)
        for j, name in enumerate(own["concepts"]):
            found.setdefault(name, []).append((theirs[-1, j], ours[j, j], ours[-1, j]))
    means = {name: np.mean(values, axis=0) for name, values in found.items()}
    means = dict(sorted(means.items(), key=lambda item: float(item[1][2] - item[1][0])))
    means["mean"] = np.mean(list(means.values()), axis=0)
    rows = [
        [
            name,
            f"{free:.3f}",
            f"{learned:.3f}",
            f"{end:.3f}",
            f"{end - free:+.3f}",
            f"{learned - free:+.3f}",
            f"{end - learned:+.3f}",
        ]
        for name, (free, learned, end) in means.items()
    ]
    head = [
        "concept",
        arm_title(FREE),
        f"{arm_title(ARM)} when learned",
        "at the end",
        "gap",
        "of it learned less well",
        "lost since",
    ]
    return table(head, rows)


def _by_layer(pairs: Sequence[tuple[Line, Line]]) -> str:
    lengths: dict[str, list[tuple[float, float]]] = {}
    for own, free in pairs:
        places = {name: place for place, name in enumerate(free["concepts"])}
        for matrix, ours in own["change_norms"].items():
            theirs = free["change_norms"][matrix]
            pairs_here = [(ours[t], theirs[places[name]]) for t, name in enumerate(own["concepts"]) if t]
            lengths.setdefault(matrix, []).extend(pairs_here)
    means = {matrix: np.mean(values, axis=0) for matrix, values in lengths.items()}
    whole = sum(float(free) for _, free in means.values())
    layers = dict.fromkeys(matrix.rpartition(".")[0] for matrix in means)
    rows = []
    for layer in layers:
        (k, k_free), (v, v_free) = means[f"{layer}.to_k"], means[f"{layer}.to_v"]
        cells = [f"{(k_free + v_free) / whole:.0%}", f"{k / k_free:.0%}", f"{v / v_free:.0%}"]
        rows.append([layer.removesuffix(".attn2").replace(".transformer_blocks.0", ""), *cells])
    return table(["cross-attention layer", "share of the change", "left of K", "left of V"], rows)


def _by_pair(arms: Mapping[str, Sequence[Line]]) -> str:
    rows = []
    for arm, own in arms.items():
        found = []  # what was lost where concepts are alike, and where they are not, for each run
        for line in own:
            matrix, between = result_matrix_of(line), np.array(line["real_between"])
            older, newer = np.triu_indices(len(matrix), 1)
            alike, lost = between[newer, older], matrix[newer - 1, older] - matrix[newer, older]
            low, high = np.quantile(alike, (1 / 3, 2 / 3))
            found.append((lost[alike >= high].mean(), lost[alike <= low].mean()))
        near, far = np.array(found).T
        apart = interval_text(*mean_interval(list(near - far)), "+.4f")
        rows.append([arm_title(arm), f"{near.mean():+.4f}", f"{far.mean():+.4f}", apart])
    return table(["method", "lost a concept, alike", "not alike", "difference"], rows)
