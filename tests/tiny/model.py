"""A tiny random Stable Diffusion model, saved and loaded as a real one: the code path of the app, in seconds.

Unlike SD 1.5 in every way nothing may assume: a 4x VAE, v-prediction, a text width of 32, a small BPE.
"""

from __future__ import annotations

import string
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

RESOLUTION = 32  # pixels; latents are 8 x 8
TEXT_DIM = 32
MERGES = ("p h", "o t", "ph ot", "phot o</w>", "o f</w>", "f a", "a r</w>", "a w")


def build_tiny_model(folder: Path) -> Path:
    """Write the model into `folder` with save_pretrained and return it."""
    torch.manual_seed(7)
    tokenizer = tiny_tokenizer()
    pipe = StableDiffusionPipeline(
        vae=AutoencoderKL(
            block_out_channels=(8, 8, 8),
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=4,
            sample_size=RESOLUTION,
            scaling_factor=0.5,
        ),
        text_encoder=tiny_text_encoder(tokenizer),
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(
            sample_size=RESOLUTION // 4,
            block_out_channels=(8, 16),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            layers_per_block=1,
            cross_attention_dim=TEXT_DIM,
            attention_head_dim=2,
            norm_num_groups=4,
        ),
        scheduler=DPMSolverMultistepScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            prediction_type="v_prediction",
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder)
    return folder


def tiny_tokenizer(**more: str) -> CLIPTokenizer:
    """It reads 24 pieces. more: for CLIPTokenizer, as its pad_token."""
    letters = list(string.ascii_lowercase + string.digits + "<>-.,'!")
    words = [*letters, *(letter + "</w>" for letter in letters), *(pair.replace(" ", "") for pair in MERGES)]
    vocab = {word: number for number, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(vocab=vocab, merges=[tuple(pair.split()) for pair in MERGES], model_max_length=24, **more)


def tiny_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_DIM,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=24,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
