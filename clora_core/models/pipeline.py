"""What the families have in common: one of diffusers' pipelines, with a denoiser, text encoders and a VAE."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from diffusers import DDPMScheduler, DiffusionPipeline, SchedulerMixin
from diffusers.hooks.layerwise_casting import DEFAULT_SKIP_MODULES_PATTERN
from PIL import Image
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from clora_core.concepts import tokens_in
from clora_core.models.backbone import Conditioning
from clora_core.models.cross_attention import cross_attention_matrices
from clora_core.models.installation import Installation
from clora_core.models.samplers import check_steps, sampler_name, scheduler_named
from clora_core.models.tokens import TokenTable
from clora_core.settings.drawing import SamplingConfig

Reader = tuple[PreTrainedTokenizerFast, PreTrainedModel]
"""A tokenizer and the text encoder that reads its ids."""


class PipelineBackbone(ABC):
    """diffusers' own pipeline as a `Backbone`; each family says in which it differs.

    The pipeline is frozen and made silent; it stays on its device. Its tokenizers are never changed: prompts are read
    with the words of the token tables.

    always: what the pipeline is told whenever it draws.  unchecked: the linear layers, as patterns of their names, that
    gradient checkpointing does not compute again.
    """

    always: Mapping[str, Any] = MappingProxyType({})
    unchecked: Sequence[str] = ()

    def __init__(self, pipe: DiffusionPipeline, denoiser: Any, cell: int) -> None:
        """denoiser: the part of the pipeline that is learned on, a ModelMixin.  cell: the side, in latents, of the
        smallest thing it sees."""
        self.pipe: Any = pipe  # its parts are set when it is made
        self.denoiser = denoiser
        readers = self.readers()
        for part in (self.denoiser, self.pipe.vae, *(text_encoder for _, text_encoder in readers.values())):
            part.requires_grad_(False)
        for part in (self.denoiser, self.pipe.vae):
            part.to(memory_format=torch.channels_last)  # the layout in which convolutions are fastest
        pipe.set_progress_bar_config(disable=True)
        self.matrices: Mapping[str, nn.Linear] = cross_attention_matrices(self.denoiser)
        self.queries: Mapping[str, nn.Linear] = cross_attention_matrices(self.denoiser, ["to_q"])
        self.outputs: Mapping[str, nn.Linear] = cross_attention_matrices(self.denoiser, ["to_out.0"])
        self.tables: Mapping[str, TokenTable] = {name: TokenTable(*reader) for name, reader in readers.items()}
        adaptable = {**self.matrices, **self.queries, **self.outputs}
        self.installation = Installation(self.denoiser, adaptable, self.tables)
        self.noise_scheduler = DDPMScheduler.from_config(self.pipe.scheduler.config)
        self.device: torch.device = denoiser.device
        self.dtype: torch.dtype = denoiser.dtype
        self._narrow = False
        self.size_grid = max(8, self.pipe.vae_scale_factor * cell)  # diffusers wants 8

    @abstractmethod
    def readers(self) -> dict[str, Reader]:
        """Who reads prompts, by the name of the token table."""

    @abstractmethod
    def _text(self, read: Mapping[str, tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor | None]:
        """What is made of ids and mask (B, S) by table: text (B, S, d), and one vector a prompt where that is read."""

    def attended(self, conditioning: Conditioning) -> Tensor:
        """See `Backbone`. The text itself."""
        return conditioning.text

    def predict(self, x_t: Tensor, t: Tensor, conditioning: Conditioning) -> Tensor:
        """See `Backbone`."""
        with self.installation.gates.reading(conditioning):
            return self._predict(x_t, t, conditioning)

    @abstractmethod
    def _predict(self, x_t: Tensor, t: Tensor, conditioning: Conditioning) -> Tensor:
        """What `predict` returns."""

    @abstractmethod
    def told(self, conditioning: Conditioning, negative: Conditioning) -> dict[str, Tensor | None]:
        """What the pipeline is told instead of prompts."""

    def asked(self, settings: SamplingConfig) -> dict[str, Any]:
        """What the pipeline is asked for, beside prompts. Raises SettingsError for what the family cannot."""
        return {
            "num_inference_steps": settings.steps,
            "guidance_scale": settings.guidance_scale,
            "guidance_rescale": settings.guidance_rescale,
            "width": settings.width,
            "height": settings.height,
            **self.always,
        }

    def _reporting(self, report: Callable[[int], None]) -> dict[str, Any]:
        """How the pipeline is made to report each timestep, from 0 on."""

        def call(_: Any, step: int, __: Any, values: dict[str, Any]) -> dict[str, Any]:
            report(step)
            return values

        return {"callback_on_step_end": call}

    @property
    def sampler(self) -> str:
        """See `Backbone`."""
        return sampler_name(self.pipe.scheduler)

    def encode(self, prompts: Sequence[str]) -> Conditioning:
        """The text (B, S, d) as the denoiser reads it; alike prompts are computed once. What is longer is cut."""
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
        """Keep the denoiser's linear layers as float8 (e4m3) and compute with them as before, each widened for as long
        as it runs: half the memory of bf16, and other pictures, for 3 bits of a number's fraction are left.

        What concepts are learned on stays as it is. So do convolutions, whose backward pass would see the narrow
        weights. It learns with checkpointing only, else the widened ones would be kept until then.
        """
        apart = [f"^{re.escape(name)}$" for name in (*self.matrices, *self.queries, *self.outputs)]
        skipped = (*DEFAULT_SKIP_MODULES_PATTERN, *self.unchecked, *apart)
        self.denoiser.enable_layerwise_casting(
            torch.float8_e4m3fn, self.dtype, skip_modules_pattern=skipped, skip_modules_classes=(nn.Conv2d,)
        )
        self._narrow = True

    def keep_activations(self, kept: bool) -> None:
        """See `Backbone`."""
        if kept and not self._narrow:
            self.denoiser.disable_gradient_checkpointing()
        else:
            self.denoiser.enable_gradient_checkpointing(_to_the_end if self._narrow else None)

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
        scheduler: SchedulerMixin = scheduler_named(settings.sampler, self.pipe.scheduler)
        check_steps(scheduler, settings.steps)

        def report(step: int) -> None:
            done = (step + 1) * settings.steps // len(scheduler.timesteps)  # some take two for one
            on_step(min(done, settings.steps))

        own, self.pipe.scheduler = self.pipe.scheduler, scheduler
        try:
            with self.installation.gates.reading(negative, conditioning), torch.no_grad():
                latents = self.pipe(
                    **self.told(conditioning, negative),
                    **self.asked(settings),
                    **self._reporting(report),
                    generator=list(generators),
                    output_type="latent",
                ).images
        finally:
            self.pipe.scheduler = own
        return self.from_latents(latents)


def _to_the_end(layer: nn.Module, *inputs: Tensor) -> Any:
    """`checkpoint` that computes a layer again to its end: one that stops before would leave its weights widened."""
    with set_checkpoint_early_stop(False):
        return checkpoint(layer, *inputs, use_reentrant=False)
