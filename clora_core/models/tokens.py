"""Concept tokens: an embedding to start from, the vectors that are trained, and rows put into a text encoder's table.

A token has one embedding (1, d) in the table of each text encoder, or one for each layer that reads its own
(layers, d); embeddings are kept by the table's name.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from clora_core.concepts import TOKEN_IN_TEXT
from clora_core.errors import ConceptError

END_OF_WORD = "</w>"  # how a CLIP tokenizer marks a piece that ends a word
START_OF_WORD = "\u2581"  # how SentencePiece, T5's, marks a piece that begins one
_WORD = re.compile(rf"{TOKEN_IN_TEXT.pattern}|\S+?(?={TOKEN_IN_TEXT.pattern}|\s|$)")  # a token, or what is between


class _Words(NamedTuple):
    """What reads text. whole: all of it.  cutting: to the length of the encoder, with padding; telling a tokenizer so
    changes it, also for a thread that counts with it."""

    whole: Tokenizer
    cutting: Tokenizer


class TokenTable:
    """One text encoder's words, tokenizer and embedding table (V, d), and the tokens in place beside them.

    Neither is ever changed: installed tokens get a vocabulary that has them, too, and a longer copy of the table, and
    the originals come back when there are none. weight: the table without tokens.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, text_encoder: PreTrainedModel) -> None:
        self._plain_tokenizer = tokenizer
        self._text_encoder = text_encoder
        self.weight: Tensor = self.embedding.weight
        self._installed: dict[str, Tensor | None] = {}
        self._plain_words = self._words = self._words_with(())

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """As it is now, with the tokens in place. A copy takes a second where there are 50,000 words."""
        if not self._installed:
            return self._plain_tokenizer
        tokenizer = copy.deepcopy(self._plain_tokenizer)
        tokenizer.add_tokens(list(self._installed))
        return tokenizer

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
        return int(self._plain_tokenizer.model_max_length)

    def read(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids (B, S) and mask (B, S), 1 where there is text, of B prompts, padded and cut to S pieces; int64."""
        read = self._words.cutting.encode_batch(list(prompts))
        ids, mask = [each.ids for each in read], [each.attention_mask for each in read]
        return torch.tensor(ids), torch.tensor(mask)

    def length(self, prompt: str) -> int:
        """How many pieces a prompt has, however long, with those that open and close it."""
        return len(self._words.whole.encode(prompt).ids)

    def left_out(self, prompt: str, tokens: Sequence[str]) -> str:
        """The end of a prompt that is not read, from the first word that does not fit whole; "" = all of it is read.

        tokens: what counts as one piece, in place or not. Any thread may ask.
        """
        words = list(_WORD.finditer(prompt))
        if not words:
            return ""
        pieces = self._plain_words.whole.encode_batch([word[0] for word in words], add_special_tokens=False)
        room = self.max_length - len(self._plain_words.whole.encode("").ids)
        for word, read in zip(words, pieces, strict=True):
            room -= 1 if word[0].lower() in tokens else len(read.ids)
            if room < 0:
                return prompt[word.start() :]
        return ""

    def id_of(self, token: str) -> int:
        """The id of an installed token."""
        return _id_of(token, self._words.whole)

    def words(self) -> list[str]:
        """The words of three letters or more that are one piece, in alphabetical order."""
        pieces = self._plain_tokenizer.get_vocab()
        ends = [piece.removesuffix(END_OF_WORD) for piece in pieces if piece.endswith(END_OF_WORD)]
        begins = [piece.removeprefix(START_OF_WORD) for piece in pieces if piece.startswith(START_OF_WORD)]
        return sorted({word for word in ends + begins if len(word) > 2 and word.isalpha()})

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
        words, weight = self._plain_words, self.weight
        if rows:
            same_tokens = list(rows) == list(self._installed)  # a trained vector moved: the words did not
            words = self._words if same_tokens else self._words_with(rows)
            weight = nn.Parameter(self._weight_with(rows, words), requires_grad=False)
        embedding = self.embedding
        embedding.weight = weight
        embedding.num_embeddings = self._text_encoder.config.vocab_size = weight.shape[0]
        self._words, self._installed = words, dict(rows)

    def _words_with(self, tokens: Collection[str]) -> _Words:
        """The tokenizer's words and these. They are not copied: a copy of CLIP's takes 0.6 s, this under 1 ms."""
        tokenizer = self._plain_tokenizer
        whole, cutting = (_words_of(tokenizer.backend_tokenizer, tokens) for _ in _Words._fields)
        length, pad = self.max_length, {"pad_id": tokenizer.pad_token_id, "pad_token": tokenizer.pad_token}
        cutting.enable_truncation(length, direction=tokenizer.truncation_side)
        cutting.enable_padding(direction=tokenizer.padding_side, length=length, **pad)
        return _Words(whole, cutting)

    def _weight_with(self, rows: Mapping[str, Tensor | None], words: _Words) -> Tensor:
        """The table (V', d) with the rows at the ids of their tokens."""
        count, width = self.weight.shape
        ids = {token: _id_of(token, words.whole) for token in rows}
        table = self.weight.new_zeros(max(count, max(ids.values()) + 1), width)
        table[:count] = self.weight.detach()
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


def _words_of(plain: Tokenizer, tokens: Collection[str]) -> Tokenizer:
    """Another tokenizer with the same words, which both hold, and these tokens."""
    words = Tokenizer(plain.model)
    words.normalizer, words.pre_tokenizer = plain.normalizer, plain.pre_tokenizer
    words.post_processor, words.decoder = plain.post_processor, plain.decoder
    words.add_tokens([added for _, added in sorted(plain.get_added_tokens_decoder().items())])
    if known := [token for token in tokens if words.token_to_id(token) is not None]:
        raise ConceptError(f"The base model already has the token {known[0]}. Choose another one.")
    words.add_tokens(list(tokens))
    return words


def _id_of(token: str, words: Tokenizer) -> int:
    found = words.token_to_id(token)
    assert found is not None
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
