"""Custom Diffusion's merge (Kumari et al., CVPR 2023, arXiv 2212.04488, Eq. 4 and its closed form).

Each concept is learned on the base model alone; to draw, one W for all of them is computed:

    min_W || (W - W_0) C_reg^T ||_F   so that   W C^T = V            C (s x D2) stacked, V columns W_i c
    W = W_0 + R^T (C G^-1 C^T)^-1 C G^-1        G = C_reg^T C_reg (D2 x D2),   R = C (W_i - W_0)^T (s x D1)

C: text features of each concept's prompt from its token to the end (a causal text encoder has nothing of it
before); C_reg: text features of prompts without it, here "a photo of {word}" over whole words of the
tokenizer, where the paper takes 1000 captions of LAION.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from clora_core.concepts import Concept, LearnedConcept, Timeline, filled
from clora_core.data.dataset import LatentDataset
from clora_core.methods.base import StepLoss
from clora_core.methods.custom_diffusion import CustomDiffusion
from clora_core.models.backbone import Backbone, Conditioning

REGULAR_PROMPTS = 200
RIDGE = 1e-4  # of G's mean diagonal: text features do not span their space evenly


class CustomDiffusionMerge(CustomDiffusion):
    """Separate full matrices, joined in closed form."""

    def begin_concept(self, backbone: Backbone, concept: Concept, timeline: Timeline) -> list[nn.Parameter]:
        """As Custom Diffusion; remembers the prompt, and G (D2, D2), which no learning changes."""
        self._concept = concept
        self._gram = timeline.concepts[0].memory["gram"] if timeline.concepts else regular_gram(backbone)
        return super().begin_concept(backbone, concept, timeline)

    def end_concept(self, backbone: Backbone, dataset: LatentDataset, step_loss: StepLoss) -> dict[str, Tensor]:
        """C of this concept (s, D2) and G (D2, D2)."""
        return self.memory_so_far(backbone)

    def memory_so_far(self, backbone: Backbone) -> dict[str, Tensor]:
        """C with the token as it is now, and G."""
        prompt = filled(self._concept.template, self._concept.token)
        with torch.no_grad(), self.attached():
            read = backbone.encode([prompt])
        first = read.positions[self._concept.token][0].int().argmax()  # where the token stands
        return {"features": text_features(backbone, read)[first:], "gram": self._gram}

    @staticmethod
    def install(backbone: Backbone, timeline: Timeline, prompt: str, reserve: str | None = None) -> None:
        """The joint solution; the base model while learning."""
        folded = () if reserve else timeline.concepts
        backbone.installation.install(timeline.concepts, reserve, folded, constrained_merge)


def text_features(backbone: Backbone, read: Conditioning) -> Tensor:
    """What keys and values see of a single prompt, without the padding: (s, D2), fp32 on the CPU."""
    return backbone.attended(read)[0, read.mask[0]].float().cpu()


def regular_gram(backbone: Backbone) -> Tensor:
    """G = C_reg^T C_reg (D2, D2) over whole words of the tokenizer, evenly spread over its list."""
    words = next(iter(backbone.tables.values())).words()
    step = max(1, len(words) // REGULAR_PROMPTS)
    gram = torch.zeros(())
    for word in words[::step][:REGULAR_PROMPTS] or [""]:
        with torch.no_grad():
            rows = text_features(backbone, backbone.encode([f"a photo of {word}"]))
        gram = gram + rows.T @ rows
    return gram


def constrained_merge(concepts: Sequence[LearnedConcept], matrices: Mapping[str, nn.Linear]) -> dict[str, Tensor]:
    """W - W_0 by parameter name, in fp64 inside. The constraints hold exactly while the rows of C are
    independent; else in the least-squares sense."""
    gram = concepts[0].memory["gram"].double()
    gram = gram + RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    c = torch.cat([concept.memory["features"] for concept in concepts]).double()  # (s, D2)
    d = torch.linalg.solve(gram, c.T).T  # C G^-1 (s, D2)
    inverse = torch.linalg.pinv(c @ d.T, hermitian=True)  # (s, s)
    merged = {}
    for name in concepts[0].deltas:
        rows = [concept.memory["features"].double() @ concept.deltas[name].double().T for concept in concepts]
        merged[name] = (torch.cat(rows).T @ inverse @ d).float()  # (D1, s) (s, s) (s, D2)
    return merged
