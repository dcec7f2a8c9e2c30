"""What every family of base models must do, and that learning and drawing ask for no more.

The toy is nothing like Stable Diffusion: what works on it knows the protocol alone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny.digests import digest
from tiny.families import PIXART
from tiny.toy import Toy

from clora_core.concepts import Concept, LearnedConcept, SamplingConfig, Timeline, TrainConfig
from clora_core.drawing.generate import generate
from clora_core.errors import ConceptError, SettingsError
from clora_core.learning.trainer import train_concept
from clora_core.models.backbone import Backbone
from clora_core.models.tokens import TokenEmbedding
from clora_core.settings.methods import BUILT_IN, GENERATIVE_REPLAY

EMPTY = Timeline("family", "Family", "family")
FAMILIES = ("tiny", "stable-diffusion-v2", "stable-diffusion-xl", PIXART, "toy")


QUICK = ("clora", "custom_diffusion_merge")  # the methods that a plain run tries on SDXL and PixArt
EVERY_METHOD = [
    pytest.param(family, method, id=f"{family}-{method.name}", marks=[pytest.mark.slow] if is_slow else [])
    for family in ("stable-diffusion-xl", PIXART, "toy")
    for method in BUILT_IN
    for is_slow in [family != "toy" and method.name not in QUICK]
]


@pytest.fixture
def toy() -> Backbone:
    return Toy()


@pytest.fixture
def family(request: pytest.FixtureRequest) -> Backbone:
    """A base model of the family that the test is run with."""
    if request.param in ("tiny", "toy"):
        return request.getfixturevalue("backbone" if request.param == "tiny" else "toy")
    return request.getfixturevalue("of_family")(request.param)


def weights(backbone: Backbone) -> str:
    tables = [table.embedding.weight for table in backbone.tables.values()]
    return digest(*backbone.denoiser.state_dict().values(), *tables)


def learned(backbone: Backbone, pictures, config: TrainConfig, timeline: Timeline, name: str) -> LearnedConcept:
    few = {"replay_pictures": 1} if timeline.method is GENERATIVE_REPLAY else {}
    config = config.under(timeline.method).updated(few)
    with train_concept(backbone, Concept(name, f"<{name}>", pictures), timeline, config) as training:
        assert [step.step for step in training] == [1, 2, 3, 4]
        return training.finish()


@pytest.mark.parametrize("family", FAMILIES, indirect=True)
def test_a_backbone_is_frozen_and_its_matrices_are_the_denoisers(family) -> None:
    assert not any(parameter.requires_grad for parameter in family.denoiser.parameters())
    for name, linear in family.matrices.items():
        assert family.denoiser.get_submodule(name) is linear
    assert {parameter.device for parameter in family.denoiser.parameters()} == {family.device}
    assert {parameter.dtype for parameter in family.denoiser.parameters()} == {family.dtype}


@pytest.mark.parametrize("family", FAMILIES, indirect=True)
def test_prompts_become_a_conditioning_and_that_a_prediction(family) -> None:
    family.installation.install((), reserve="<rex>")
    read = family.encode(["a photo of <rex>", "far", "a photo of <rex>"])
    batch, length = read.mask.shape
    assert batch == 3 and read.text.shape[0] == 3 and read.text.shape[-2] == length
    assert read.mask.dtype == torch.bool and torch.equal(read.text[0], read.text[2])
    where = read.positions["<rex>"]
    assert where.dtype == torch.bool and where.sum(1).tolist() == [1, 0, 1] and not (where & ~read.mask).any()
    x0 = family.to_latents([Image.new("RGB", (32, 48), "red")] * 3)
    x_t = family.noise_scheduler.add_noise(x0, torch.randn_like(x0), torch.tensor([1, 500, 900]))
    assert family.predict(x_t, torch.tensor([1, 500, 900]), read).shape == x0.shape


@pytest.mark.parametrize("family", FAMILIES, indirect=True)
def test_gradients_reach_the_token_in_every_table(family) -> None:
    family.installation.install((), reserve="<rex>")
    start = {name: table.random_start(torch.Generator()) for name, table in family.tables.items()}
    token = TokenEmbedding("<rex>", family.tables, start)
    x_t = family.to_latents([Image.new("RGB", (32, 32))])
    with token.attached():
        family.predict(x_t, torch.tensor([500]), family.encode(["a photo of <rex>"])).square().sum().backward()
    assert all(vector.grad.abs().max() > 0 for vector in token.parameters())


@pytest.mark.parametrize("family", FAMILIES, indirect=True)
def test_pictures_become_latents_and_latents_pictures(family) -> None:
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (32, 48, 3), dtype=np.uint8)) for _ in range(2)]
    latents = family.to_latents(pictures)
    assert latents.shape[0] == 2 and latents.dtype == torch.float32
    assert 48 // latents.shape[3] == 32 // latents.shape[2]
    assert [picture.size for picture in family.from_latents(latents)] == [(48, 32)] * 2


@pytest.mark.parametrize("family", FAMILIES, indirect=True)
def test_each_picture_has_noise_of_its_own(family, settings: SamplingConfig) -> None:
    steps: list[int] = []
    read, nothing = family.encode(["a photo"] * 2), family.encode([""] * 2)
    generators = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    one, other = family.draw(read, nothing, settings.updated({"steps": 3}), generators, steps.append)
    assert one.size == (settings.width, settings.height) and one.tobytes() != other.tobytes()
    assert steps == [1, 2, 3]


@pytest.mark.parametrize("family", FAMILIES, indirect=True)
def test_the_grid_is_the_backbones(family, settings: SamplingConfig) -> None:
    width = 32 + family.size_grid
    assert generate(family, EMPTY, "a photo", settings.updated({"width": width}))[0].size == (width, 32)
    with pytest.raises(SettingsError, match=f"width {width + 1}.*multiple of {family.size_grid}"):
        generate(family, EMPTY, "a photo", settings.updated({"width": width + 1}))


@pytest.mark.parametrize("family,method", EVERY_METHOD, indirect=["family"])
def test_every_method_learns_and_draws_on_any_backbone(family, pictures, config, settings, method, monkeypatch) -> None:
    monkeypatch.setattr("clora_core.methods.ewc.FISHER_DRAWS", 2)
    before, timeline = weights(family), replace(EMPTY, method=method)
    shapes = {name: (1, table.weight.shape[1]) for name, table in family.tables.items()}
    drawn = {}
    for name in ("rex", "mug"):
        timeline = timeline.then(learned(family, pictures, config, timeline, name))
        assert weights(family) == before
        drawn[name] = generate(family, timeline, "a photo of <rex>", settings)[0]
    assert drawn["rex"].size == (32, 32)
    for concept in timeline.concepts:
        assert {name: value.shape for name, value in concept.embeddings.items()} == shapes
        again = LearnedConcept.from_json(concept.to_json(), concept.tensors())
        assert digest(*again.tensors().values()) == digest(*concept.tensors().values())
    rewound = generate(family, timeline.as_of(1), "a photo of <rex>", settings)[0]
    assert rewound.tobytes() == drawn["rex"].tobytes()
    generate(family, EMPTY, "a photo", settings)
    assert weights(family) == before


@pytest.mark.parametrize("family", ["stable-diffusion-xl", "toy"], indirect=True)
def test_all_of_a_tokens_embeddings_are_learned(family, pictures, config) -> None:
    still = config.updated({"token_learning_rate": 0.0})
    start, concept = (learned(family, pictures, each, EMPTY, "rex").embeddings for each in (still, config))
    for table in family.tables:
        assert not torch.equal(start[table], concept[table])
    one, other = start.values()
    assert not torch.equal(one, other)


def test_a_concept_of_other_tables_is_refused(toy, learn, empty) -> None:
    concept, before = learn("Rex", empty), weights(toy)
    with pytest.raises(ConceptError, match=r"<rex>.*another base model"):
        toy.installation.install((concept,))
    assert weights(toy) == before
