"""A token's embedding from a file of another programme: one vector for each text encoder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from clora_core.bring.opened import opened
from clora_core.errors import ConceptError
from clora_core.models.stable_diffusion import TABLE
from clora_core.models.tokens import TokenTable


def read_embedding(file: Path, tables: Mapping[str, TokenTable]) -> dict[str, Tensor]:
    """The rows (1, d) by table, fp32 on the CPU. With one text encoder the file's only tensor, whatever it is called
    ("emb_params", or the token); with SDXL's two "clip_l" and "clip_g".

    Raises ConceptError: it is for another base model, has several vectors, or a number is not finite.
    """
    with opened(file, "pt") as found:
        tensors = {key: found.get_tensor(key).float() for key in found.keys()}  # noqa: SIM118  it is no dict
    keys = dict.fromkeys(tables, "")
    if set(tables) <= set(tensors):
        keys = {table: table for table in tables}
    elif set(tables) == {TABLE} and len(tensors) == 1:
        keys = {TABLE: next(iter(tensors))}
    else:
        raise ConceptError(
            f"{file.name} is no embedding for this base model: it has {', '.join(sorted(tensors)[:3]) or 'nothing'}, "
            f"and {'emb_params' if TABLE in tables else ' and '.join(tables)} is needed."
        )
    return {table: _row(file, key, tensors[key], tables[table]) for table, key in keys.items()}


def _row(file: Path, key: str, tensor: Tensor, table: TokenTable) -> Tensor:
    width = table.weight.shape[1]
    rows = tensor[None] if tensor.dim() == 1 else tensor
    if rows.dim() != 2 or rows.shape[1] != width:
        raise ConceptError(
            f"{file.name} does not fit this base model: {key} has the shape {tuple(tensor.shape)}, and a token "
            f"here has {width} numbers. It was made for another one."
        )
    if len(rows) != 1:
        raise ConceptError(f"{file.name} has {len(rows)} vectors in {key}. A token has one here, so it cannot be held.")
    if not bool(torch.isfinite(rows).all()):
        raise ConceptError(f"{file.name} holds a number that is not finite in {key}. It is broken.")
    return rows.contiguous()
