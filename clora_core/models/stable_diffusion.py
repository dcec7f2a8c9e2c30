"""Stable Diffusion 1.x and 2.x, and models built alike: a U-Net, one CLIP text encoder, a VAE."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline
from PIL import Image
from torch import Tensor, nn

from clora_core.concepts import tokens_in
from clora_core.models.backbone import Conditioning
from clora_core.models.cross_attention import cross_attention_matrices
from clora_core.models.installation import Installation
from clora_core.models.samplers import check_steps, sampler_name, scheduler_named
from clora_core.models.tokens import TokenTable
from clora_core.settings.drawing import SamplingConfig

TABLE = "clip"


class StableDiffusion:
    """diffusers' own pipeline as a `Backbone`.

    The pipeline is frozen and made silent; it stays on its device. Its tokenizer is never changed: prompts are read
    with that of the token table.
    """

    def __init__(self, pipe: StableDiffusionPipeline) -> None:
        self.pipe = pipe
        for part in (pipe.unet, pipe.vae, pipe.text_encoder):
            part.requires_grad_(False)
        for part in (pipe.unet, pipe.vae):
            part.to(memory_format=torch.channels_last)  # the layout in which convolutions are fastest
        pipe.set_progress_bar_config(disable=True)
        self.denoiser = pipe.unet
        self.matrices: Mapping[str, nn.Linear] = cross_attention_matrices(pipe.unet)
        self.tables: Mapping[str, TokenTable] = {TABLE: TokenTable(pipe.tokenizer, pipe.text_encoder)}
        self.installation = Installation(self.denoiser, self.matrices, self.tables)
        self.noise_scheduler = DDPMScheduler.from_config(pipe.scheduler.config)
        self.device, self.dtype = pipe.unet.device, pipe.unet.dtype
        halvings = len(pipe.unet.config.block_out_channels) - 1
        self.size_grid = max(8, pipe.vae_scale_factor * 2**halvings)  # diffusers wants 8

    @property
    def sampler(self) -> str:
        """See `Backbone`."""
        return sampler_name(self.pipe.scheduler)

    def encode(self, prompts: Sequence[str]) -> Conditioning:
        """The text encoder's last states (B, 77, d); alike prompts are computed once. What is longer is cut."""
        table, text_encoder = self.tables[TABLE], self.pipe.text_encoder
        different = list(dict.fromkeys(prompts))
        ids, mask = (values.to(self.device) for values in table.read(different))  # (D, 77)
        reads_mask = getattr(text_encoder.config, "use_attention_mask", False)
        text = text_encoder(ids, attention_mask=mask if reads_mask else None)[0].to(text_encoder.dtype)
        rows = [different.index(prompt) for prompt in prompts]
        tokens = [token for token in tokens_in(" ".join(different)) if token in table.tokens]
        positions = {token: (ids == table.id_of(token))[rows] for token in tokens}
        return Conditioning(text[rows], mask[rows].bool(), positions)

    def predict(self, x_t: Tensor, t: Tensor, conditioning: Conditioning) -> Tensor:
        """See `Backbone`."""
        return self.pipe.unet(x_t.to(self.dtype), t, conditioning.text.to(self.dtype)).sample

    def to_latents(self, pictures: Sequence[Image.Image]) -> Tensor:
        """The mean of the VAE's distribution times its `scaling_factor`."""
        vae = self.pipe.vae
        pixels = self.pipe.image_processor.preprocess(list(pictures))  # (N, 3, H, W) in -1..1
        with torch.no_grad():
            encoded = vae.encode(pixels.to(vae.device, vae.dtype))
        return encoded.latent_dist.mode().float() * vae.config.scaling_factor

    def from_latents(self, latents: Tensor) -> list[Image.Image]:
        """See `Backbone`."""
        vae = self.pipe.vae
        with torch.no_grad():
            decoded = vae.decode(latents.to(vae.device, vae.dtype) / vae.config.scaling_factor).sample
        return self.pipe.image_processor.postprocess(decoded)

    def draw(
        self,
        conditioning: Conditioning,
        negative: Conditioning,
        settings: SamplingConfig,
        generators: Sequence[torch.Generator],
        on_step: Callable[[int], None],
    ) -> list[Image.Image]:
        """diffusers' own loop. Raises SettingsError for a sampler that is not known or takes fewer steps."""
        scheduler = scheduler_named(settings.sampler, self.pipe.scheduler)
        check_steps(scheduler, settings.steps)

        def report(_: Any, step: int, __: Any, values: dict[str, Any]) -> dict[str, Any]:
            on_step((step + 1) * settings.steps // len(scheduler.timesteps))  # some take two for one
            return values

        own, self.pipe.scheduler = self.pipe.scheduler, scheduler
        try:
            return self.pipe(
                prompt_embeds=conditioning.text,
                negative_prompt_embeds=negative.text,
                num_inference_steps=settings.steps,
                guidance_scale=settings.guidance_scale,
                guidance_rescale=settings.guidance_rescale,
                width=settings.width,
                height=settings.height,
                generator=list(generators),
                callback_on_step_end=report,
            ).images
        finally:
            self.pipe.scheduler = own
