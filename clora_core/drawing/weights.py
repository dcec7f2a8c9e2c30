"""Weights in a prompt: "(<ada>:0.8) in (red:1.3)", as in A1111, ComfyUI and InvokeAI.

    c' = c + sum_k (w_k - 1) (c - c_k)

c (B, S, d) is the encoding of the prompt without its weights, c_k that of the same prompt with a comma for each piece
of the k-th weighted words: 0 takes the words out, 1 changes nothing, more goes on in their direction.

Measured on the embedded model with "a photo of <ada>" (`measures.difference`): at weight 0 the picture is 0.7 from
hers, as "a photo of a person" is, and at 1.5 it is farther from "a person" than hers (0.8 to 0.7). To scale the rows of
the words alone, as A1111 does, or to move them to the encoding of "", leaves her there at 0 (0.4 and 0.5 from hers),
for all later rows have read the word.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

from torch import Tensor

from clora_core.models.backbone import Backbone, Conditioning

_PART = re.compile(r"\\(?P<bracket>[()])|:\s*(?P<weight>\d?\.\d+|[0-2])\s*\)|.", re.DOTALL)


class Span(NamedTuple):
    """Characters start to end (not included) of a text, and the weight of their words."""

    start: int
    end: int
    weight: float


def read_weights(prompt: str) -> tuple[str, list[Span]]:
    r"""The prompt without its weights, and which of its characters have one other than 1.

    Only "(words:number)" is a weight, for brackets alone are plain English. The number is 0, 1, 2 or has a decimal
    point, so "(at 9:30)" is none. Weights inside each other multiply; \( and \) are brackets that open and close none.
    """
    letters: list[str] = []
    weights: list[float] = []
    opened: list[int] = []  # where in `letters` a bracket waits for its end
    for part in _PART.finditer(prompt):
        if part["weight"] and opened:
            start = opened.pop()
            del letters[start], weights[start]
            weights[start:] = [weight * float(part["weight"]) for weight in weights[start:]]
            continue
        if part[0] == "(":
            opened.append(len(letters))
        elif part[0].endswith(")") and not part["bracket"] and opened:
            opened.pop()
        text = part["bracket"] or part[0]
        letters += text
        weights += [1.0] * len(text)
    spans, start = [], 0
    for weight, run in groupby(weights):
        end = start + len(list(run))
        spans += [Span(start, end, weight)] if weight != 1 else []
        start = end
    return "".join(letters), spans


def encode(backbone: Backbone, prompt: str, count: int) -> Conditioning:
    """What the text encoders make of the prompt with its weights, `count` times."""
    text, spans = read_weights(prompt)
    plain = backbone.encode([text] * count)
    if not spans:
        return plain
    without = backbone.encode([_without(backbone, text, span) for span in spans])

    def moved(c: Tensor, taken_out: Tensor) -> Tensor:
        """c' from c (B, ...) and c_k (K, ...)."""
        return sum(((span.weight - 1) * (c - c_k) for span, c_k in zip(spans, taken_out, strict=True)), start=c)

    pooled = plain.pooled
    if pooled is not None and without.pooled is not None:
        pooled = moved(pooled, without.pooled)
    return replace(plain, text=moved(plain.text, without.text), pooled=pooled)


def _without(backbone: Backbone, text: str, span: Span) -> str:
    """The text with a comma for each piece of the span, so that every other word keeps its position."""
    words = text[span.start : span.end]
    pieces = max((table.length(words) - table.length("") for table in backbone.tables.values()), default=1)
    return f"{text[: span.start]} {', ' * pieces}{text[span.end :]}"
