"""A tiny random Stable Diffusion XL: two text encoders of different widths, a tokenizer that pads with "!", epsilon."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from tiny.model import RESOLUTION, tiny_tokenizer

WIDTHS = (16, 24)  # of the text, by text encoder
SIZES = 8  # of each number of a picture's size and crop, embedded


def build_tiny_xl(folder: Path) -> Path:
    """Write the model into `folder` with save_pretrained and return it."""
    torch.manual_seed(11)
    first, second = tiny_tokenizer(), tiny_tokenizer(pad_token="!")
    pipe = StableDiffusionXLPipeline(
        vae=AutoencoderKL(
            block_out_channels=(8, 8, 8),
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=4,
            sample_size=RESOLUTION,
            scaling_factor=0.13025,
        ),
        text_encoder=CLIPTextModel(_text_config(WIDTHS[0], len(first), "quick_gelu")),
        text_encoder_2=CLIPTextModelWithProjection(_text_config(WIDTHS[1], len(second), "gelu")),
        tokenizer=first,
        tokenizer_2=second,
        unet=UNet2DConditionModel(
            sample_size=RESOLUTION // 4,
            block_out_channels=(8, 16),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            layers_per_block=1,
            transformer_layers_per_block=(1, 2),
            cross_attention_dim=sum(WIDTHS),
            attention_head_dim=(1, 2),
            use_linear_projection=True,
            norm_num_groups=4,
            addition_embed_type="text_time",
            addition_time_embed_dim=SIZES,
            projection_class_embeddings_input_dim=6 * SIZES + WIDTHS[1],
        ),
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            steps_offset=1,
            timestep_spacing="leading",
        ),
        add_watermarker=False,
    )
    pipe.save_pretrained(folder)
    return folder


def _text_config(width: int, words: int, activation: str) -> CLIPTextConfig:
    """With the end token that the real ones have in their config, which is not the tokenizer's."""
    return CLIPTextConfig(
        vocab_size=words,
        hidden_size=width,
        intermediate_size=width,
        projection_dim=width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=24,
        hidden_act=activation,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
    )
