"""What the rest of the code asks of Stable Diffusion, held against diffusers' own pipeline."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tiny.drawn import by_the_pipeline

from clora_core.concepts import OLD_TABLE
from clora_core.errors import SettingsError
from clora_core.models.backbone import check_size

PROMPTS = ["a photo of a dog", "far away", "a photo of a dog"]


def test_prompts_are_encoded_as_diffusers_does(backbone) -> None:
    ours = backbone.encode(PROMPTS)
    theirs = backbone.pipe.encode_prompt(PROMPTS, backbone.device, 1, False)[0]
    assert torch.allclose(ours.text, theirs, atol=1e-5)
    lengths = [backbone.tables["clip"].length(prompt) for prompt in PROMPTS]
    assert ours.mask.sum(1).tolist() == lengths and all(ours.mask[:, 0])
    assert ours.pooled is None and ours.sizes is None and not ours.positions


def test_its_table_is_the_one_that_older_files_speak_of(backbone) -> None:
    assert list(backbone.tables) == [OLD_TABLE]


def test_alike_prompts_are_encoded_once(backbone) -> None:
    seen: list[int] = []
    text_encoder = backbone.pipe.text_encoder
    handle = text_encoder.register_forward_hook(lambda module, inputs, output: seen.append(len(output[0])))
    try:
        backbone.encode(PROMPTS)
    finally:
        handle.remove()
    assert seen == [2]


def test_a_prompt_says_where_its_tokens_stand(backbone, learn, empty) -> None:
    backbone.installation.install((learn("Rex", empty), learn("Mug", empty)))
    read = backbone.encode(["a photo of <rex>", "<MUG> far <rex> <mug> <cat>"])
    assert read.positions.keys() == {"<rex>", "<mug>"}  # <cat> is not known
    ids = backbone.tables["clip"].read(["a photo of <rex>", "<MUG> far <rex> <mug> <cat>"])[0]
    for token, counts in (("<rex>", [1, 1]), ("<mug>", [0, 2])):
        assert torch.equal(read.positions[token], ids == backbone.tables["clip"].id_of(token))
        assert read.positions[token].sum(1).tolist() == counts


def test_a_long_prompt_is_cut(backbone) -> None:
    read = backbone.encode(["photo " * 40, "photo " * 22])
    assert torch.equal(read.text[0], read.text[1]) and read.mask.all()


def test_a_picture_survives_the_way_there_and_back(backbone) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8))
    latents = backbone.to_latents([picture])
    assert latents.shape == (1, 4, 8, 12) and latents.dtype == torch.float32
    (back,) = backbone.from_latents(latents)
    pipe = backbone.pipe
    with torch.no_grad():
        decoded = pipe.vae.decode(pipe.vae.encode(pipe.image_processor.preprocess(picture)).latent_dist.mean).sample
    expected = ((decoded[0].clamp(-1, 1) + 1) * 127.5).round().permute(1, 2, 0).numpy()
    assert back.size == (48, 32) and np.abs(np.asarray(back, float) - expected).max() <= 1


def test_what_is_drawn_is_what_the_pipeline_draws(backbone, settings) -> None:
    settings = settings.updated({"negative_prompt": "far", "guidance_rescale": 0.5, "width": 48})
    read = [backbone.encode([text] * 2) for text in ("a photo", "far")]
    generators = [torch.Generator().manual_seed(seed) for seed in (3, 4)]
    steps: list[int] = []
    ours = backbone.draw(*read, settings, generators, steps.append)
    generators = [torch.Generator().manual_seed(seed) for seed in (3, 4)]
    theirs = by_the_pipeline(backbone.pipe, settings, generators)
    assert [picture.tobytes() for picture in ours] == [picture.tobytes() for picture in theirs]
    assert steps == [1, 2]


def test_a_size_off_the_grid_is_refused(backbone) -> None:
    check_size(backbone, width=48, height=40)
    with pytest.raises(SettingsError, match="height 36.*multiple of 8"):
        check_size(backbone, width=48, height=36)
