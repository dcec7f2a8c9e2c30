"""Tiny random models of every family, saved as real ones are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from clora_core.models.clip_tokenizer import END
from tiny.model import RESOLUTION, tiny_tokenizer

FAMILIES = ("stable-diffusion-v1", "stable-diffusion-v2", "stable-diffusion-xl")
PIXART = "pixart-sigma"
WIDTHS = {"quick_gelu": 8, "gelu": 12}  # of the text, by the activation of the text encoder
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


def build_family(name: str, folder: Path) -> Path:
    """Write a tiny model of one of FAMILIES, by the name of its folder of configs, or of PIXART."""
    torch.manual_seed(5)
    if name == PIXART:
        return _build_pixart(folder)
    common: dict[str, Any] = {
        "vae": _vae(),
        "tokenizer": tiny_tokenizer(pad_token="!" if name.endswith("v2") else END),
    }
    plain = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    if name == "stable-diffusion-v1":
        pipe = StableDiffusionPipeline(
            **common,
            **plain,
            text_encoder=_text_encoder(CLIPTextModel, "quick_gelu"),
            unet=_unet(cross_attention_dim=8, attention_head_dim=2),
            scheduler=PNDMScheduler(**BETAS, skip_prk_steps=True),
        )
    elif name == "stable-diffusion-v2":
        pipe = StableDiffusionPipeline(
            **common,
            **plain,
            text_encoder=_text_encoder(CLIPTextModel, "gelu"),
            unet=_unet(cross_attention_dim=12, attention_head_dim=(1, 2), use_linear_projection=True),
            scheduler=DDIMScheduler(**BETAS, prediction_type="v_prediction", clip_sample=False),
        )
    else:
        pipe = StableDiffusionXLPipeline(
            **common,
            text_encoder=_text_encoder(CLIPTextModel, "quick_gelu"),
            text_encoder_2=_text_encoder(CLIPTextModelWithProjection, "gelu"),
            tokenizer_2=tiny_tokenizer(pad_token="!"),
            unet=_unet(
                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
                transformer_layers_per_block=(1, 2),
                cross_attention_dim=20,
                attention_head_dim=(1, 2),
                use_linear_projection=True,
                addition_embed_type="text_time",
                addition_time_embed_dim=4,
                projection_class_embeddings_input_dim=36,
            ),
            scheduler=EulerDiscreteScheduler(**BETAS, timestep_spacing="leading"),
            add_watermarker=False,
        )
    pipe.save_pretrained(folder)
    return folder


def _build_pixart(folder: Path) -> Path:
    """With what the published one has: no additional conditions, a variance, patches of two, unused rows of words."""
    tokenizer = tiny_t5_tokenizer()
    shape = {"d_model": 16, "d_ff": 16, "d_kv": 8, "num_heads": 2, "num_layers": 2, "feed_forward_proj": "gated-gelu"}
    transformer = PixArtTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=4,
        num_layers=2,
        cross_attention_dim=8,
        caption_channels=16,
        sample_size=RESOLUTION // 2,
        use_additional_conditions=False,
        interpolation_scale=1,
    )
    torch.nn.init.normal_(transformer.scale_shift_table)
    pipe = PixArtSigmaPipeline(
        vae=_vae(),
        tokenizer=tokenizer,
        text_encoder=T5EncoderModel(T5Config(vocab_size=len(tokenizer) + 4, **shape)),
        transformer=transformer,
        scheduler=DPMSolverMultistepScheduler(beta_start=0.0001, beta_end=0.02),
    )
    pipe.save_pretrained(folder)
    return folder


T5_PIECES = (
    "<pad>",
    "</s>",
    "<unk>",
    "\u2581",
    *"abcdefghijklmnopqrstuvwxyz<>,.",
    "\u2581photo",
    "\u2581of",
    "\u2581far",
)


def tiny_t5_tokenizer() -> T5Tokenizer:
    scores = [(piece, 0.0 if piece.startswith("<") else -float(max(1, 9 - len(piece)))) for piece in T5_PIECES]
    return T5Tokenizer(vocab=scores, extra_ids=2, model_max_length=512)


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(4, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=RESOLUTION,
    )


def _unet(**more: Any) -> UNet2DConditionModel:
    shape = {"block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4, "sample_size": RESOLUTION // 2}
    blocks = {
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    }
    return UNet2DConditionModel(**{**shape, **blocks, **more})


def _text_encoder(kind: type, activation: str) -> Any:
    width = WIDTHS[activation]
    ids = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}  # as the real ones have them
    shape = {"hidden_size": width, "intermediate_size": width, "projection_dim": width, "hidden_act": activation}
    words = {"vocab_size": len(tiny_tokenizer()), "max_position_embeddings": 24}
    return kind(CLIPTextConfig(**shape, **ids, **words, num_hidden_layers=2, num_attention_heads=2))
