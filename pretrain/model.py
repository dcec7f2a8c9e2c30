"""The three parts of the embedded model, in Stable Diffusion's own classes: shapes and sizes are written here only."""

from __future__ import annotations

from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

TEXT_WIDTH = 256
TOKENS = 77
LATENT_CHANNELS = 12
LATENT_SIDE = 16


def build_vae() -> AutoencoderKL:
    """Pictures (B, 3, 128, 128) to latents (B, 12, 16, 16) and back; convolutions only."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 32, 128, 192),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        mid_block_add_attention=False,
        sample_size=128,
    )


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Token ids (B, 77) to (B, 77, 256)."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            projection_dim=TEXT_WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def build_unet() -> UNet2DConditionModel:
    """v-prediction on latents (B, 12, 16, 16), cross-attention at 8 x 8 and 4 x 4.

    The level at 16 x 16 is narrow and has no attention: it makes 8 x 8 cells of the latents and latents of them again.
    So a sample costs 5.6 GFLOP forward and backward instead of the 18.0 of the two wide levels at 16 x 16 and 8 x 8.
    """
    return UNet2DConditionModel(
        sample_size=LATENT_SIDE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(64, 192, 320),
        layers_per_block=1,
        time_embedding_dim=256,
        attention_head_dim=(2, 3, 5),  # diffusers means the number of heads: 64 channels each
        cross_attention_dim=TEXT_WIDTH,
        norm_num_groups=16,
        use_linear_projection=True,
    )


def build_scheduler() -> DPMSolverMultistepScheduler:
    """Stable Diffusion's scaled-linear schedule with zero terminal signal, v-prediction, stochastic DPM-Solver++ 2M."""
    return DPMSolverMultistepScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        algorithm_type="sde-dpmsolver++",
        timestep_spacing="trailing",
        steps_offset=1,
        rescale_betas_zero_snr=True,
    )
