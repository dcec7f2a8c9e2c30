"""What every continual method is: four hooks around the one training loop.

The hooks here learn a concept the plain way, with a low-rank pair on every cross-attention K and V and one
random token, on top of the folded past, and protect nothing. A method overrides what it does differently.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from clora_core.adapters import Installation, LowRankPairs
from clora_core.concepts import Concept, Timeline, TrainConfig
from clora_core.dataset import LatentDataset, generator_for
from clora_core.tokens import TokenEmbedding


class Method:
    """One concept's learning; made anew for each concept."""

    name: ClassVar[str]
    pairs: LowRankPairs
    token: TokenEmbedding

    def __init__(self, config: TrainConfig) -> None:
        self.config = config

    def begin_concept(self, pipe: Any, concept: Concept, timeline: Timeline) -> list[nn.Parameter]:
        """Prepare to learn `concept` after `timeline`; returns all that is trained, the token last."""
        generator = generator_for(self.config.seed, "start")
        self.pairs = LowRankPairs(Installation.of(pipe).matrices, self.config.rank, generator)
        self.token = TokenEmbedding(pipe, concept.token, generator)
        return [*self.pairs.parameters(), self.token.vector]

    def penalty(self) -> Tensor:
        """What is added to the diffusion loss, with its weight: a scalar; nothing by default."""
        return torch.zeros((), device=self.token.vector.device)

    def end_concept(self, pipe: Any, dataset: LatentDataset) -> dict[str, Tensor]:
        """Tensors the next concepts will need besides the factors; none by default."""
        return {}

    @staticmethod
    def install(pipe: Any, timeline: Timeline, prompt: str, reserve: str | None = None) -> None:
        """Make `pipe` draw `prompt` as of the end of `timeline`: by default everything is folded in.

        reserve: the token of a concept being learned, to be known to the tokenizer as well.
        """
        Installation.of(pipe).install(pipe, timeline.concepts, reserve)

    @contextmanager
    def attached(self, pipe: Any) -> Iterator[None]:
        """While open, `pipe` computes with what is being trained."""
        with self.pairs.attached(), self.token.attached(pipe):
            yield
