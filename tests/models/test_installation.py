"""Which matrices are adapted, and that folding and rewinding are exact (method.md section 5)."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers import UNet2DConditionModel
from tiny.digests import base_digest, digest

from clora_core.errors import ConceptError, ModelError
from clora_core.models.cross_attention import cross_attention_matrices
from clora_core.models.installation import sum_of_deltas
from clora_core.models.loading import load_backbone
from clora_core.models.low_rank import LowRankPairs

SMALL = {"sample_size": 8, "block_out_channels": (8, 16), "norm_num_groups": 4, "layers_per_block": 1}


def test_sd15_has_the_layers_the_paper_adapts() -> None:
    """Fact 5: 16 layers, 32 matrices, 49,536 values for each unit of rank, 0.09 % of the U-Net at rank 16."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
    matrices = cross_attention_matrices(unet)
    per_rank = sum(linear.in_features + linear.out_features for linear in matrices.values())
    assert (len({name.rpartition(".")[0] for name in matrices}), len(matrices)) == (16, 32)
    assert per_rank == 49_536
    assert sum(linear.weight.numel() for linear in matrices.values()) == 19_169_280
    whole = sum(parameter.numel() for parameter in unet.parameters())
    assert round(100 * 16 * per_rank / whole, 2) == 0.09


def test_matrices_are_found_by_type_in_other_unets() -> None:
    """SD 2.x (linear projections, another width) and SDXL (several transformers in a block)."""
    sd2 = UNet2DConditionModel(
        **SMALL, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), cross_attention_dim=24, attention_head_dim=(2, 2),
        use_linear_projection=True,
    )  # fmt: skip
    sdxl = UNet2DConditionModel(
        **SMALL, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=40, attention_head_dim=(2, 4),
        use_linear_projection=True, transformer_layers_per_block=(1, 3),
    )  # fmt: skip
    for unet, width, layers in ((sd2, 24, 1 + 1 + 2), (sdxl, 40, 3 + 3 + 2 * 3)):
        matrices = cross_attention_matrices(unet)
        assert len(matrices) == 2 * layers
        assert {linear.in_features for linear in matrices.values()} == {width}
        assert all(name.endswith(("attn2.to_k", "attn2.to_v")) for name in matrices)


def test_a_unet_without_cross_attention_is_refused() -> None:
    unet = UNet2DConditionModel(
        **SMALL, down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2, mid_block_type=None
    )
    with pytest.raises(ModelError, match="cross-attention"):
        cross_attention_matrices(unet)


def _noise_prediction(backbone) -> torch.Tensor:
    g = torch.Generator().manual_seed(0)
    xt, text = torch.randn(1, 4, 8, 8, generator=g), torch.randn(1, 24, 32, generator=g)
    with torch.no_grad():
        return backbone.denoiser(xt, torch.tensor([500]), text).sample


def test_folding_changes_no_output(backbone, learn, empty) -> None:
    """Fact 2: folded into W and computed beside it, a concept gives the same prediction."""
    before, concept = _noise_prediction(backbone), learn("Rex", empty, steps=8)
    backbone.installation.install((concept,))
    folded = _noise_prediction(backbone)
    backbone.installation.install(())
    pairs = LowRankPairs(backbone.matrices, 2, torch.Generator())
    with torch.no_grad():
        for name, (a, b) in concept.factors.items():
            pairs.pairs[name][0].copy_(a)
            pairs.pairs[name][1].copy_(b)
    with pairs.attached():
        beside = _noise_prediction(backbone)
    assert (folded - before).abs().max() > 1e-3
    assert torch.allclose(folded, beside, atol=1e-5)
    assert torch.equal(_noise_prediction(backbone), before)  # and the hooks are gone


def test_the_sum_of_adapters_is_one_adapter_of_the_summed_rank(backbone, learn, empty) -> None:
    timeline = empty
    for name in ("Rex", "Mug", "Ilva"):
        timeline = timeline.then(learn(name, timeline))
    matrices = backbone.matrices
    for parameter, total in sum_of_deltas(timeline.concepts, matrices).items():
        name = parameter.removesuffix(".weight")
        a = torch.cat([concept.factors[name][0] for concept in timeline.concepts], dim=1)  # (D1, 6)
        b = torch.cat([concept.factors[name][1] for concept in timeline.concepts], dim=0)  # (6, D2)
        assert a.shape[1] == 6
        assert total.abs().max() > 0
        assert torch.allclose(a @ b, total, atol=1e-6)


def test_pairs_start_at_zero_and_by_seed(backbone) -> None:
    matrices = backbone.matrices
    one, same, other = (LowRankPairs(matrices, 3, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert digest(*one.parameters()) == digest(*same.parameters()) != digest(*other.parameters())
    for name, (a, b) in one.pairs.items():
        assert (tuple(a.shape), tuple(b.shape)) == (
            (matrices[name].out_features, 3),
            (3, matrices[name].in_features),
        )
        assert a.abs().max() == 0 and b.abs().max() > 0


def test_hooks_are_gone_after_an_error(backbone) -> None:
    before = _noise_prediction(backbone)
    pairs = LowRankPairs(backbone.matrices, 2, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in pairs.parameters():
            parameter.add_(1.0)
    with pytest.raises(KeyError), pairs.attached():
        assert not torch.equal(_noise_prediction(backbone), before)
        raise KeyError
    assert torch.equal(_noise_prediction(backbone), before)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_installing_never_drifts(tiny_folder, learn, empty, precision: str) -> None:
    """Ten rounds of learn-rewind-forward end on the same bytes; the empty timeline is the base model."""
    timeline = empty
    for name in ("Rex", "Mug"):
        timeline = timeline.then(learn(name, timeline))
    fresh = load_backbone(tiny_folder, "cpu", precision)
    installation, base = fresh.installation, base_digest(fresh)
    installation.install(timeline.concepts[:1])
    first = base_digest(fresh)
    installation.install(timeline.concepts)
    both = base_digest(fresh)
    assert len({base, first, both}) == 3
    for _ in range(10):
        for count, expected in ((1, first), (0, base), (2, both)):
            installation.install(timeline.concepts[:count])
            assert base_digest(fresh) == expected


def test_a_concept_of_another_base_model_is_refused(backbone, learn, empty) -> None:
    concept = learn("Rex", empty)
    clean = base_digest(backbone)
    name, (a, b) = next(iter(concept.factors.items()))
    concept = replace(concept, factors={name: (a, torch.cat([b, b], dim=1))})
    with pytest.raises(ConceptError, match=r"<rex>.*another base model"):
        backbone.installation.install((concept,))
    assert base_digest(backbone) == clean
