"""What the rest of the code asks of SDXL, held against diffusers' own pipeline."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers import UNet2DConditionModel
from tiny.drawn import by_the_pipeline
from transformers import CLIPTextConfig

from clora_core.concepts import Concept, Timeline
from clora_core.errors import ModelError, SettingsError
from clora_core.learning.trainer import train_concept
from clora_core.models.cross_attention import cross_attention_matrices
from clora_core.models.loading import load_backbone
from clora_core.models.stable_diffusion_xl import StableDiffusionXL
from clora_core.settings.memory import Savings
from clora_core.settings.methods import DREAMBOOTH

PROMPTS = ["a photo of a dog", "far away", "a photo of a dog"]


def test_a_full_size_unet_has_140_matrices() -> None:
    """453,120 values for each unit of rank; the shape of SDXL base 1.0."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            block_out_channels=(320, 640, 1280),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=(1, 2, 10),
            attention_head_dim=(5, 10, 20),
            cross_attention_dim=2048,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        )
    matrices = cross_attention_matrices(unet).values()
    assert len(matrices) == 140
    assert sum(linear.in_features + linear.out_features for linear in matrices) == 453_120


def test_prompts_are_encoded_as_diffusers_does(xl) -> None:
    ours = xl.encode(PROMPTS)
    text, _, pooled, _ = xl.pipe.encode_prompt(PROMPTS, num_images_per_prompt=1, do_classifier_free_guidance=False)
    assert torch.allclose(ours.text, text, atol=1e-5) and torch.allclose(ours.pooled, pooled, atol=1e-5)
    assert ours.text.shape[2] == sum(table.weight.shape[1] for table in xl.tables.values())
    assert ours.mask.sum(1).tolist() == [xl.tables["clip_g"].length(prompt) for prompt in PROMPTS]


def test_a_prompts_vector_is_read_where_the_prompt_ends_also_with_a_token(xl) -> None:
    """The config has CLIP's old end token, with which transformers takes the highest id: a learned token has it."""
    assert CLIPTextConfig.from_pretrained(xl.pipe.config._name_or_path, subfolder="text_encoder_2").eos_token_id == 2
    encoder, table = xl.pipe.text_encoder_2, xl.tables["clip_g"]
    xl.installation.install((), reserve="<rex>")
    prompt = "a <rex> far away"
    ids, _ = table.read([prompt])
    end = table.length(prompt) - 1
    assert ids[0, end] == table.tokenizer.eos_token_id < table.id_of("<rex>")
    last = encoder(ids, output_hidden_states=True).hidden_states[-1][:, end]
    expected = encoder.text_projection(encoder.text_model.final_layer_norm(last))
    assert torch.allclose(xl.encode([prompt]).pooled, expected, atol=1e-5)


def test_what_is_drawn_is_what_the_pipeline_draws(xl, settings) -> None:
    settings = settings.updated({"guidance_rescale": 0.5, "width": 48})
    ours = xl.draw(*(xl.encode([text] * 2) for text in ("a photo", "far")), settings, _two(), lambda step: None)
    theirs = by_the_pipeline(xl.pipe, settings, _two())
    assert [picture.tobytes() for picture in ours] == [picture.tobytes() for picture in theirs]


def _two() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in (3, 4)]


def test_learning_sees_the_size_that_drawing_has(xl) -> None:
    """The prediction of a step of the pipeline, without guidance."""
    x, t, read = torch.randn(1, 4, 16, 24), torch.tensor([400]), xl.encode(["a photo"])
    told = {"text_embeds": read.pooled, "time_ids": torch.tensor([[32, 48, 0, 0, 32, 48]])}
    theirs = xl.pipe.unet(x, t, read.text, added_cond_kwargs=told).sample
    assert torch.equal(xl.predict(x, t, read), theirs)


def test_learning_tells_how_large_the_pictures_were(xl, pictures, config, monkeypatch) -> None:
    told, predict = [], xl.predict

    def spy(x_t, t, conditioning):
        told.append(conditioning.sizes.tolist())
        return predict(x_t, t, conditioning)

    plain = config.updated({"augment_copies": 1, "steps": 2})
    with train_concept(xl, Concept("Rex", "<rex>", pictures), Timeline("t", "T", ""), plain) as training:
        monkeypatch.setattr(xl, "predict", spy)
        list(training)
    assert told == [[[48, 40, 3, 0, 32, 32]] * 2] * 2


def test_sizes_change_the_prediction(xl) -> None:
    x, t, read = torch.randn(1, 4, 16, 16), torch.tensor([400]), xl.encode(["a photo"])
    large, small = (replace(read, sizes=torch.tensor([[side, side, 0, 0, 32, 32]])) for side in (1024, 32))
    assert torch.equal(xl.predict(x, t, small), xl.predict(x, t, read))
    assert not torch.allclose(xl.predict(x, t, small), xl.predict(x, t, large))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_vae_that_overflows_in_fp16_stays_in_fp32(folders, precision) -> None:
    xl = load_backbone(folders / "stable-diffusion-xl", "cpu", precision)
    assert xl.pipe.vae.dtype == (torch.float32 if precision == "fp16" else torch.bfloat16)
    latents = xl.to_latents([xl.from_latents(torch.zeros(1, 4, 16, 16))[0]])
    assert latents.dtype == torch.float32 and latents.isfinite().all()


def test_a_model_stored_in_8_bits_learns_as_one_with_the_same_numbers_in_32(folders, pictures, config) -> None:
    """Gradients go through widened weights: what is learned is what a model of rounded weights learns."""
    narrow, wide = (load_backbone(folders / "stable-diffusion-xl", "cpu", "fp32") for _ in range(2))
    assert isinstance(narrow, StableDiffusionXL)
    narrow.store_in_8_bits()
    rounded = {name: weight for name, weight in narrow.denoiser.named_parameters() if weight.dtype != torch.float32}
    assert len(rounded) > 20 and {weight.dtype for weight in rounded.values()} == {torch.float8_e4m3fn}
    assert not {f"{name}.weight" for name in (*narrow.matrices, *narrow.queries)} & rounded.keys()
    with torch.no_grad():
        for name, weight in rounded.items():
            wide.denoiser.get_parameter(name).copy_(weight.float())
    timeline, rex, losses = Timeline("test", "Test", "base"), Concept("Rex", "<rex>", pictures), []
    for backbone in (narrow, wide):
        with train_concept(backbone, rex, timeline, config) as training:
            training.fit = replace(training.fit, savings=Savings(checkpointing=True))
            losses.append([(step.loss, step.grad_norm) for step in training])
    assert losses[0] == [pytest.approx(step, rel=1e-5) for step in losses[1]]
    assert narrow.dtype == torch.float32 and {w.dtype for w in rounded.values()} == {torch.float8_e4m3fn}
    with pytest.raises(SettingsError, match="8 bits"):
        train_concept(narrow, rex, replace(timeline, method=DREAMBOOTH), config.under(DREAMBOOTH))
    with pytest.raises(ModelError, match="graphics card"):
        load_backbone(folders / "stable-diffusion-xl", "cpu", "fp8")
