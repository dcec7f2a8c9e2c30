"""A learned concept made by hand, for tests that need no model."""

from __future__ import annotations

import torch

from clora_core.concepts import LearnedConcept, TrainStep
from clora_core.settings.learning import TrainConfig


def tiny_concept(name: str, position: int = 1) -> LearnedConcept:
    """Every kind of tensor a concept may hold, random by ``position``."""
    generator = torch.Generator().manual_seed(position)
    factors = {
        f"mid_block.attn2.{part}": (
            torch.randn(8, 2, generator=generator),
            torch.randn(2, 6, generator=generator),
        )
        for part in ("to_k", "to_v")
    }
    return LearnedConcept(
        name=name,
        token=f"<{name.lower()}>",
        template="a photo of {}",
        factors=factors,
        deltas={"conv_in.bias": torch.arange(3.0)},
        embeddings={"clip": torch.randn(1, 6, generator=generator)},
        memory={"mean": torch.ones(2, dtype=torch.float16)},
        curve=(TrainStep(1, 2, 0.5, 0.0, 1.0, 0.1), TrainStep(2, 2, 0.1 + 0.2, 1e-9, 2.0, 0.2)),
        config=TrainConfig.from_dict({"rank": 2, "steps": 2}),
        picture_count=3,
        created="2026-01-02T03:04:05+00:00",
        seconds=0.2,
        versions={"torch": "2.13.0"},
        id="001-any",
    )
