"""What every continual method is: hooks around the one training loop.

The hooks here learn a concept the plain way, with one new token, on top of the folded past, and protect nothing;
`LowRankMethod` adds a fresh low-rank pair on every cross-attention K and V. A method overrides what it does
differently. What is known of it without loading it stands in its row (`clora_core.settings.methods`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor, nn

from clora_core.concepts import Concept, Timeline, TrainConfig
from clora_core.data.dataset import LatentDataset, View, plain_view
from clora_core.models.backbone import Backbone
from clora_core.models.dense import DenseWeights
from clora_core.models.low_rank import LowRankPairs
from clora_core.models.tokens import TokenEmbedding
from clora_core.seeds import generator_for
from clora_core.settings.fields import Settings
from clora_core.settings.methods import LowRankOptions

StepLoss = Callable[[int, int], Tensor]
"""step_loss(step, pictures): Eq. 1 on so many of the concept's pictures with the noise of that step, gradients on."""


class Draw(Protocol):
    """Draws ``count`` pictures at the training resolution, with seeds of their own; by default with the guidance of
    the base model's preset."""

    def __call__(
        self, timeline: Timeline, prompt: str, count: int, guidance: float | None = None
    ) -> list[Image.Image]: ...


class Method:
    """One concept's learning; made anew for each concept."""

    options: Settings  # those of its row; a method says in its class of which kind they are
    weights: LowRankPairs | DenseWeights
    token: TokenEmbedding

    def __init__(self, config: TrainConfig) -> None:
        self.config, self.options = config, config.options

    @classmethod
    def check(cls, config: TrainConfig, last: TrainConfig) -> None:
        """Raise SettingsError when nothing can be learned with `config` after a concept that was learned with
        `last`."""

    def begin_concept(self, backbone: Backbone, concept: Concept, timeline: Timeline) -> list[nn.Parameter]:
        """Prepare to learn `concept` after `timeline`; returns all that is trained, the token last.

        What is random at the start is so for every token anew: two concepts that began at one embedding would be told
        apart by nothing but what they learned since.
        """
        generator = generator_for(self.config.seed, "start", concept.token)
        self.weights = self.start_weights(backbone, timeline, generator)
        word, tables = self.config.token_start.strip(), backbone.tables
        start = {name: t.word_start(word) if word else t.random_start(generator) for name, t in tables.items()}
        self.token = TokenEmbedding(concept.token, tables, start)
        return [*self.weights.parameters(), *self.token.parameters()]

    def start_weights(
        self, backbone: Backbone, timeline: Timeline, generator: torch.Generator
    ) -> LowRankPairs | DenseWeights:
        """What is trained besides the token."""
        raise NotImplementedError

    def drawn_views(self, timeline: Timeline, draw: Draw) -> list[View]:
        """Pictures the model draws itself before learning, to be learned along: by default those of prior
        preservation (Ruiz et al. 2023, DreamBooth), drawn by the base model, if the config asks for them."""
        config = self.config
        if not config.prior_pictures:
            return []
        images = draw(timeline.as_of(0), config.prior_prompt, config.prior_pictures)
        return [plain_view(image, config.prior_prompt) for image in images]

    def penalty(self) -> Tensor:
        """What is added to the diffusion loss, with its weight: a scalar; nothing by default."""
        return torch.zeros(())

    def memory_so_far(self, backbone: Backbone) -> dict[str, Tensor]:
        """What drawing needs of ``end_concept``'s tensors while learning goes on; none by default."""
        return {}

    def end_concept(self, backbone: Backbone, dataset: LatentDataset, step_loss: StepLoss) -> dict[str, Tensor]:
        """Tensors the next concepts will need besides the weights; none by default."""
        return {}

    @staticmethod
    def install(backbone: Backbone, timeline: Timeline, prompt: str, reserve: str | None = None) -> None:
        """Make `backbone` draw `prompt` as of the end of `timeline`: by default everything is folded in.

        reserve: the token of a concept being learned, to be known to the tokenizer as well; then this is what
        is learned on top of.
        """
        backbone.installation.install(timeline.concepts, reserve)

    @contextmanager
    def attached(self) -> Iterator[None]:
        """While open, the base model computes with what is being trained."""
        with self.weights.attached(), self.token.attached():
            yield


class LowRankMethod(Method):
    """A method that learns pairs A B of its options' rank."""

    options: LowRankOptions
    weights: LowRankPairs

    def start_weights(self, backbone: Backbone, timeline: Timeline, generator: torch.Generator) -> LowRankPairs:
        """A fresh pair A, B for every matrix that is adapted."""
        return LowRankPairs(self.adapted(backbone), self.options.rank, generator)

    def adapted(self, backbone: Backbone) -> dict[str, nn.Linear]:
        """The matrices that the options name, keys and values first."""
        adapts = self.options.adapts
        queries = backbone.queries if "q" in adapts else {}
        outputs = backbone.outputs if "o" in adapts else {}
        return {**backbone.matrices, **queries, **outputs}
