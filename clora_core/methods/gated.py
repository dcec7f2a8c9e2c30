"""Each concept's pair acts where its own token stands, and nowhere else.

    K_i = W_K c_i + sum_t g_t(i) A_t B_t c_i        g_t(i) = 1 where position i holds the token of concept t, else 0

c_i is the text at position i; values V_i likewise. A prompt without the token of t is drawn as if t had never been
learned, bit for bit, and two tokens in one prompt each act at their own place. There is no switch as in `routed`.

The idea is published for composing LoRAs that were learned apart: TARA (Peng et al., arXiv 2508.08812).
"""

from __future__ import annotations

import torch
from torch import nn

from clora_core.concepts import Concept, Timeline, tokens_in
from clora_core.methods.base import Method
from clora_core.models.backbone import Backbone
from clora_core.models.gates import GatedPairs
from clora_core.settings.methods import PairOptions


class Gated(Method):
    """Learned on the base model alone, and drawn at its token."""

    options: PairOptions

    def begin_concept(self, backbone: Backbone, concept: Concept, timeline: Timeline) -> list[nn.Parameter]:
        """Also notes whose token it is."""
        self._token = concept.token
        return super().begin_concept(backbone, concept, timeline)

    def start_weights(self, backbone: Backbone, timeline: Timeline, generator: torch.Generator) -> GatedPairs:
        """A fresh pair A, B for every key and value: those alone read the text."""
        gates = backbone.installation.gates
        return GatedPairs(backbone.matrices, self.options.rank, generator, gates, self._token)

    @staticmethod
    def install(backbone: Backbone, timeline: Timeline, prompt: str, reserve: str | None = None) -> None:
        """The base model, with the pairs of those named in the prompt at their tokens; the base model alone while
        learning."""
        named = set(tokens_in(prompt))
        gated = () if reserve else [concept for concept in timeline.concepts if concept.token in named]
        backbone.installation.install(timeline.concepts, reserve, folded=(), gated=gated)
