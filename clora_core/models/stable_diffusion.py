"""Stable Diffusion 1.x and 2.x, and models built alike: a U-Net, one CLIP text encoder, a VAE."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline
from diffusers.hooks.layerwise_casting import DEFAULT_SKIP_MODULES_PATTERN
from PIL import Image
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from clora_core.concepts import tokens_in
from clora_core.models.backbone import Conditioning
from clora_core.models.cross_attention import cross_attention_matrices
from clora_core.models.installation import Installation
from clora_core.models.samplers import check_steps, sampler_name, scheduler_named
from clora_core.models.tokens import TokenTable
from clora_core.settings.drawing import SamplingConfig

TABLE = "clip"
UNCHECKED = ("proj_in$", "proj_out$", "_embedding")
"""Linear layers of a U-Net, as patterns of their names, that gradient checkpointing does not compute again."""
Reader = tuple[PreTrainedTokenizerBase, PreTrainedModel]
"""A tokenizer and the text encoder that reads its ids."""


class StableDiffusion:
    """diffusers' own pipeline as a `Backbone`.

    The pipeline is frozen and made silent; it stays on its device. Its tokenizer is never changed: prompts are read
    with that of the token table.
    """

    def __init__(self, pipe: StableDiffusionPipeline) -> None:
        self.pipe = pipe
        readers = self.readers()
        for part in (pipe.unet, pipe.vae, *(text_encoder for _, text_encoder in readers.values())):
            part.requires_grad_(False)
        for part in (pipe.unet, pipe.vae):
            part.to(memory_format=torch.channels_last)  # the layout in which convolutions are fastest
        pipe.set_progress_bar_config(disable=True)
        self.denoiser = pipe.unet
        self.matrices: Mapping[str, nn.Linear] = cross_attention_matrices(pipe.unet)
        self.queries: Mapping[str, nn.Linear] = cross_attention_matrices(pipe.unet, ["to_q"])
        self.tables: Mapping[str, TokenTable] = {name: TokenTable(*reader) for name, reader in readers.items()}
        self.installation = Installation(self.denoiser, {**self.matrices, **self.queries}, self.tables)
        self.noise_scheduler = DDPMScheduler.from_config(pipe.scheduler.config)
        self.device, self.dtype = pipe.unet.device, pipe.unet.dtype
        self._narrow = False
        halvings = len(pipe.unet.config.block_out_channels) - 1
        self.size_grid = max(8, pipe.vae_scale_factor * 2**halvings)  # diffusers wants 8

    def readers(self) -> dict[str, Reader]:
        """Who reads prompts, by the name of the token table."""
        return {TABLE: (self.pipe.tokenizer, self.pipe.text_encoder)}

    @property
    def sampler(self) -> str:
        """See `Backbone`."""
        return sampler_name(self.pipe.scheduler)

    def encode(self, prompts: Sequence[str]) -> Conditioning:
        """The text (B, 77, d) as the denoiser reads it; alike prompts are computed once. What is longer is cut."""
        different = list(dict.fromkeys(prompts))
        read = {name: table.read(different) for name, table in self.tables.items()}
        read = {name: (ids.to(self.device), mask.to(self.device)) for name, (ids, mask) in read.items()}
        text, pooled = self._text(read)
        rows = [different.index(prompt) for prompt in prompts]
        name, table = next(iter(self.tables.items()))  # all have the same words
        ids, mask = read[name]
        tokens = [token for token in tokens_in(" ".join(different)) if token in table.tokens]
        positions = {token: (ids == table.id_of(token))[rows] for token in tokens}
        return Conditioning(text[rows], mask[rows].bool(), positions, None if pooled is None else pooled[rows])

    def _text(self, read: Mapping[str, tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor | None]:
        """What is made of ids and mask (B, 77) by table: text (B, 77, d), and one vector a prompt where that is read.

        Here the last states of the text encoder.
        """
        text_encoder, (ids, mask) = self.pipe.text_encoder, read[TABLE]
        reads_mask = getattr(text_encoder.config, "use_attention_mask", False)
        return text_encoder(ids, attention_mask=mask if reads_mask else None)[0].to(text_encoder.dtype), None

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

    def store_in_8_bits(self) -> None:
        """Keep the U-Net's linear layers as float8 (e4m3) and compute with them as before, each widened for as long as
        it runs: half the memory of bf16, and other pictures, for 3 bits of a number's fraction are left.

        What concepts are learned on stays as it is. So do convolutions, whose backward pass would see the narrow
        weights. It learns with checkpointing only, else the widened ones would be kept until then.
        """
        apart = [f"^{re.escape(name)}$" for name in (*self.matrices, *self.queries)]
        skipped = (*DEFAULT_SKIP_MODULES_PATTERN, *UNCHECKED, *apart)
        self.pipe.unet.enable_layerwise_casting(
            torch.float8_e4m3fn, self.dtype, skip_modules_pattern=skipped, skip_modules_classes=(nn.Conv2d,)
        )
        self._narrow = True

    def keep_activations(self, kept: bool) -> None:
        """See `Backbone`."""
        unet, again = self.pipe.unet, _to_the_end if self._narrow else None
        if kept and not self._narrow:
            unet.disable_gradient_checkpointing()
        else:
            unet.enable_gradient_checkpointing(again)

    def picture_bytes(self, side: int) -> int:
        """Four maps of the widest layer that sees whole pictures: what goes in and out of it, and two between."""
        vae = self.pipe.vae
        widest = max(vae.config.block_out_channels[:2])
        return 4 * int(widest) * side**2 * vae.dtype.itemsize

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
            latents = self.pipe(
                **self.told(conditioning, negative),
                num_inference_steps=settings.steps,
                guidance_scale=settings.guidance_scale,
                guidance_rescale=settings.guidance_rescale,
                width=settings.width,
                height=settings.height,
                generator=list(generators),
                callback_on_step_end=report,
                output_type="latent",
            ).images
        finally:
            self.pipe.scheduler = own
        return self.from_latents(latents)

    def told(self, conditioning: Conditioning, negative: Conditioning) -> dict[str, Tensor | None]:
        """What the pipeline is told instead of prompts."""
        return {"prompt_embeds": conditioning.text, "negative_prompt_embeds": negative.text}


def _to_the_end(layer: nn.Module, *inputs: Tensor) -> Any:
    """`checkpoint` that computes a layer again to its end: one that stops before would leave its weights widened."""
    with set_checkpoint_early_stop(False):
        return checkpoint(layer, *inputs, use_reentrant=False)
