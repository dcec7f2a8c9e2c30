"""Concept tokens: a random embedding to start from, one trained vector, and rows put into the table; and what the
text encoder makes of prompts that hold them.

The tokenizer and the embedding table of the base model are never changed: an installed timeline gets a copy
of the tokenizer and a longer copy of the table, and the empty timeline gets the originals back.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from clora_core.errors import ConceptError


def random_embedding(table: Tensor, generator: torch.Generator) -> Tensor:
    """A completely random embedding (text_dim,): normal, as wide as the table (V, text_dim) is.

    C-LoRA starts from it instead of a rare word. It leaves the scale open; this is the table's own standard
    deviation.
    """
    return torch.randn(table.shape[1], generator=generator) * table.detach().float().std().cpu()


def word_embedding(pipe: Any, word: str) -> Tensor:
    """The embedding (text_dim,) of a common word, the mean over its pieces: what C-LoRA's ablation starts from."""
    ids = pipe.tokenizer(word, add_special_tokens=False).input_ids
    pieces: Tensor = pipe.text_encoder.get_input_embeddings().weight[ids]
    return pieces.detach().float().mean(0).cpu()


def encode_prompts(pipe: Any, prompts: list[str]) -> Tensor:
    """The text encoder's last states (B, 77, text_dim) of B prompts; alike ones are computed once."""
    different = list(dict.fromkeys(prompts))
    text: Tensor = pipe.encode_prompt(different, pipe.device, 1, False)[0]
    return text[[different.index(prompt) for prompt in prompts]]


class TokenEmbedding:
    """The one vector V* (text_dim,) that is trained, fp32; the table itself takes no part in learning."""

    def __init__(self, token: str, start: Tensor) -> None:
        self.token = token
        self.vector = nn.Parameter(start.clone())

    def value(self) -> Tensor:
        """A copy of the vector as it is now, fp32 on the CPU."""
        return self.vector.detach().to("cpu", torch.float32, copy=True)

    @contextmanager
    def attached(self, pipe: Any) -> Iterator[None]:
        """While open, the text encoder reads the trained vector wherever the token stands."""
        token_id = pipe.tokenizer.convert_tokens_to_ids(self.token)

        def put_vector(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            here = (inputs[0] == token_id).unsqueeze(-1)  # (B, 77, 1)
            return torch.where(here, self.vector.to(output.dtype), output)

        handle = pipe.text_encoder.get_input_embeddings().register_forward_hook(put_vector)
        try:
            yield
        finally:
            handle.remove()


class TokenTable:
    """The base model's tokenizer and embedding table, and the tokens in place beside them."""

    def __init__(self, pipe: Any) -> None:
        self._tokenizer = pipe.tokenizer
        self.weight: nn.Parameter = pipe.text_encoder.get_input_embeddings().weight  # (V, text_dim)
        self._installed: dict[str, Tensor | None] = {}

    def install(self, pipe: Any, rows: Mapping[str, Tensor | None]) -> None:
        """Give the pipeline exactly these tokens; a row of None stands for a token that is being trained.

        Raises ConceptError when a token is a word of the base model's tokenizer or its embedding has
        another width.
        """
        if list(rows) == list(self._installed) and all(rows[key] is self._installed[key] for key in rows):
            return
        tokenizer, weight = self._tokenizer, self.weight
        if rows:
            same_tokens = list(rows) == list(self._installed)  # a trained vector moved: the words did not
            tokenizer = pipe.tokenizer if same_tokens else self._tokenizer_with(rows)
            weight = nn.Parameter(self._table_with(rows, tokenizer, weight), requires_grad=False)
        embedding = pipe.text_encoder.get_input_embeddings()
        embedding.weight = weight
        embedding.num_embeddings = pipe.text_encoder.config.vocab_size = weight.shape[0]
        pipe.tokenizer = tokenizer
        self._installed = dict(rows)

    def _tokenizer_with(self, tokens: Mapping[str, Any]) -> Any:
        tokenizer = copy.deepcopy(self._tokenizer)
        for token in tokens:
            if tokenizer.add_tokens([token]) != 1:
                raise ConceptError(f"The base model already has the token {token}. Choose another one.")
        return tokenizer

    def _table_with(self, rows: Mapping[str, Tensor | None], tokenizer: Any, weight: Tensor) -> Tensor:
        ids = {token: int(tokenizer.convert_tokens_to_ids(token)) for token in rows}
        table = weight.new_zeros(max(weight.shape[0], max(ids.values()) + 1), weight.shape[1])
        table[: weight.shape[0]] = weight.detach()
        for token, row in rows.items():
            if row is None:
                continue
            if row.shape != table.shape[1:]:
                raise ConceptError(
                    f"The token {token} has {row.numel()} numbers, this base model's tokens have "
                    f"{table.shape[1]}. Open the base model it was learned on."
                )
            table[ids[token]] = row.to(table.device, table.dtype)
        return table
