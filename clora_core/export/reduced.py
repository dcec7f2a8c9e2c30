"""A LoRA of fewer ranks: of every product A B the nearest one of rank n there is, by its singular values.

    A B = U S V^T      A' = U_n S_n^(1/2)      B' = S_n^(1/2) V_n^T      lost = || A B - A' B' ||_F / || A B ||_F

n and `lost` are over all layers (Eckart and Young, 1936). No dense product is made: QR of A and B^T leaves R x R.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

UP, DOWN, ALPHA = ".lora_up.weight", ".lora_down.weight", ".alpha"


def reduced(tensors: Mapping[str, Tensor], rank: int, dtype: torch.dtype) -> tuple[dict[str, Tensor], float]:
    """The pairs, by kohya's names, of this rank and precision, and what is lost: a share of the weights' norm.

    tensors: as `lora_tensors` gives them. Those of no higher rank stay as they are, and nothing is lost.
    """
    made, lost, whole = {}, 0.0, 0.0
    for name in (key.removesuffix(UP) for key in tensors if key.endswith(UP)):
        up, down = tensors[name + UP].double(), tensors[name + DOWN].double()  # (D1, R), (R, D2)
        if len(down) > rank:
            up, down, left, squares = _nearest(up, down, rank)
            lost, whole = lost + left, whole + squares
        made[name + UP], made[name + DOWN] = up.to(dtype).contiguous(), down.to(dtype).contiguous()
        made[name + ALPHA] = torch.tensor(float(len(down)))
    return made, math.sqrt(lost / whole) if whole else 0.0


def _nearest(up: Tensor, down: Tensor, rank: int) -> tuple[Tensor, Tensor, float, float]:
    """The pair of this rank, the squared norm of what it lacks, and that of the whole product."""
    (q_up, r_up), (q_down, r_down) = torch.linalg.qr(up), torch.linalg.qr(down.T)
    u, s, v = torch.linalg.svd(r_up @ r_down.T, full_matrices=False)
    root = s[:rank].sqrt()
    missing = rank - len(root)  # a matrix may be smaller than that: alike ranks are what others read
    near_up = functional.pad(q_up @ (u[:, :rank] * root), (0, missing))
    near_down = functional.pad((root[:, None] * v[:rank]) @ q_down.T, (0, 0, 0, missing))
    return near_up, near_down, float((s[rank:] ** 2).sum()), float((s**2).sum())
