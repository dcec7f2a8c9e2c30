"""Concept tokens: an embedding to start from, the vectors that are trained, and rows put into a text encoder's table.

A token has one embedding (1, d) in the table of each text encoder, or one for each layer that reads its own
(layers, d); embeddings are kept by the table's name.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from clora_core.concepts import TOKEN_IN_TEXT
from clora_core.errors import ConceptError

END_OF_WORD = "</w>"  # how a CLIP tokenizer marks a piece that ends a word
_WORD = re.compile(rf"{TOKEN_IN_TEXT.pattern}|\S+?(?={TOKEN_IN_TEXT.pattern}|\s|$)")  # a token, or what is between


class TokenTable:
    """One text encoder's words, tokenizer and embedding table (V, d), and the tokens in place beside them.

    Neither is ever changed: installed tokens get a copy of the tokenizer and a longer copy of the table, and the
    originals come back when there are none. tokenizer: as it is now.  weight: the table without tokens.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, text_encoder: PreTrainedModel) -> None:
        self.tokenizer = self._plain_tokenizer = tokenizer
        self._text_encoder = text_encoder
        self.weight: Tensor = self.embedding.weight
        self._installed: dict[str, Tensor | None] = {}

    @property
    def embedding(self) -> nn.Embedding:
        """The module that looks ids (B, S) up: rows (B, S, d)."""
        embedding = self._text_encoder.get_input_embeddings()
        assert isinstance(embedding, nn.Embedding)
        return embedding

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tokens in place."""
        return tuple(self._installed)

    @property
    def max_length(self) -> int:
        """S, how many pieces of a prompt are read."""
        return int(self.tokenizer.model_max_length)

    def read(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids (B, S) and mask (B, S), 1 where there is text, of B prompts, padded and cut to S pieces; int64."""
        read = self.tokenizer(
            list(prompts), padding="max_length", truncation=True, max_length=self.max_length, return_tensors="pt"
        )
        return read.input_ids, read.attention_mask

    def length(self, prompt: str) -> int:
        """How many pieces a prompt has, however long, with those that open and close it."""
        return len(self.tokenizer(prompt).input_ids)

    def left_out(self, prompt: str, tokens: Sequence[str]) -> str:
        """The end of a prompt that is not read, from the first word that does not fit whole; "" = all of it is read.

        tokens: what counts as one piece, in place or not. Any thread may ask.
        """
        words = list(_WORD.finditer(prompt))
        if not words:
            return ""
        pieces = self._counting([word[0] for word in words], add_special_tokens=False).input_ids
        room = self.max_length - len(self._counting("").input_ids)
        for word, ids in zip(words, pieces, strict=True):
            room -= 1 if word[0].lower() in tokens else len(ids)
            if room < 0:
                return prompt[word.start() :]
        return ""

    @cached_property
    def _counting(self) -> PreTrainedTokenizerBase:
        """A tokenizer that is never told to cut: telling so changes it, also for the thread that reads with it."""
        return copy.deepcopy(self._plain_tokenizer)

    def id_of(self, token: str) -> int:
        """The id of an installed token."""
        return _id_of(token, self.tokenizer)

    def words(self) -> list[str]:
        """The words of three letters or more that are one piece, in alphabetical order."""
        pieces = (piece for piece in self.tokenizer.get_vocab() if piece.endswith(END_OF_WORD))
        return sorted(word for piece in pieces if len(word := piece[: -len(END_OF_WORD)]) > 2 and word.isalpha())

    def random_start(self, generator: torch.Generator) -> Tensor:
        """A completely random embedding (1, d), fp32 on the CPU: normal, as wide as the table is.

        C-LoRA starts from it instead of a rare word. It leaves the scale open; this is the table's own standard
        deviation.
        """
        return torch.randn(1, self.weight.shape[1], generator=generator) * self.weight.detach().float().std().cpu()

    def word_start(self, word: str) -> Tensor:
        """The embedding (1, d) of a common word, the mean over its pieces: what C-LoRA's ablation starts from."""
        ids = self._plain_tokenizer(word, add_special_tokens=False).input_ids
        return self.weight[ids].detach().float().mean(0, keepdim=True).cpu()

    def install(self, rows: Mapping[str, Tensor | None]) -> None:
        """Have exactly these tokens, each with its embedding (1, d); None stands for one that is being trained.

        Raises ConceptError when a token is a word of the base model's tokenizer or its embedding has another shape.
        """
        if list(rows) == list(self._installed) and all(rows[key] is self._installed[key] for key in rows):
            return
        tokenizer, weight = self._plain_tokenizer, self.weight
        if rows:
            same_tokens = list(rows) == list(self._installed)  # a trained vector moved: the words did not
            tokenizer = self.tokenizer if same_tokens else self._tokenizer_with(rows)
            weight = nn.Parameter(self._weight_with(rows, tokenizer), requires_grad=False)
        embedding = self.embedding
        embedding.weight = weight
        embedding.num_embeddings = self._text_encoder.config.vocab_size = weight.shape[0]
        self.tokenizer = tokenizer
        self._installed = dict(rows)

    def _tokenizer_with(self, tokens: Mapping[str, Tensor | None]) -> PreTrainedTokenizerBase:
        tokenizer = copy.deepcopy(self._plain_tokenizer)
        for token in tokens:
            if tokenizer.add_tokens([token]) != 1:
                raise ConceptError(f"The base model already has the token {token}. Choose another one.")
        return tokenizer

    def _weight_with(self, rows: Mapping[str, Tensor | None], tokenizer: PreTrainedTokenizerBase) -> Tensor:
        """The table (V', d) with the rows at the ids of their tokens."""
        words, width = self.weight.shape
        ids = {token: _id_of(token, tokenizer) for token in rows}
        table = self.weight.new_zeros(max(words, max(ids.values()) + 1), width)
        table[:words] = self.weight.detach()
        for token, row in rows.items():
            if row is None:
                continue
            if row.shape != (1, width):
                raise ConceptError(
                    f"The token {token} has {row.numel()} numbers, this base model's tokens have "
                    f"{width}. Open the base model it was learned on."
                )
            table[ids[token]] = row[0].to(table.device, table.dtype)
        return table


def _id_of(token: str, tokenizer: PreTrainedTokenizerBase) -> int:
    found = tokenizer.convert_tokens_to_ids(token)
    assert isinstance(found, int)  # of several tokens it is a list
    return found


def left_out(tables: Mapping[str, TokenTable], prompt: str, tokens: Sequence[str]) -> str:
    """The end of a prompt that some text encoder does not read: see `TokenTable.left_out`."""
    return max((table.left_out(prompt, tokens) for table in tables.values()), key=len, default="")


class TokenEmbedding:
    """V*, what is trained of a token: one fp32 parameter (layers, d) a table, by its name; no table takes part."""

    def __init__(self, token: str, tables: Mapping[str, TokenTable], start: Mapping[str, Tensor]) -> None:
        self.token = token
        self._tables = dict(tables)
        self.vectors = {
            name: nn.Parameter(start[name].to(table.weight.device, copy=True)) for name, table in tables.items()
        }

    def parameters(self) -> list[nn.Parameter]:
        """The vectors of each table in order."""
        return list(self.vectors.values())

    def value(self) -> dict[str, Tensor]:
        """Copies of the vectors as they are now, fp32 on the CPU."""
        return {name: vector.detach().to("cpu", torch.float32, copy=True) for name, vector in self.vectors.items()}

    @contextmanager
    def attached(self) -> Iterator[None]:
        """While open, every text encoder reads the trained vector wherever the token stands."""
        with ExitStack() as stack:
            for name, table in self._tables.items():
                hook = _vector_hook(self.vectors[name], table.id_of(self.token))
                stack.callback(table.embedding.register_forward_hook(hook).remove)
            yield


def _vector_hook(vector: Tensor, token_id: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    def put_vector(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        here = (inputs[0] == token_id).unsqueeze(-1)  # (B, S, 1)
        return torch.where(here, vector.to(output.dtype), output)  # (B, S, d)

    return put_vector
