"""Stable Diffusion 1.x and 2.x, and models built alike: a U-Net, one CLIP text encoder, a VAE."""

from __future__ import annotations

from collections.abc import Mapping

from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from torch import Tensor

from clora_core.models.backbone import Conditioning
from clora_core.models.pipeline import PipelineBackbone, Reader

TABLE = "clip"


class StableDiffusion(PipelineBackbone):
    """diffusers' StableDiffusionPipeline as a `Backbone`."""

    unchecked = ("proj_in$", "proj_out$", "_embedding")

    def __init__(self, pipe: StableDiffusionPipeline | StableDiffusionXLPipeline) -> None:
        halvings = len(pipe.unet.config.block_out_channels) - 1
        super().__init__(pipe, pipe.unet, 2**halvings)

    def readers(self) -> dict[str, Reader]:
        """See `PipelineBackbone`."""
        return {TABLE: (self.pipe.tokenizer, self.pipe.text_encoder)}

    def _text(self, read: Mapping[str, tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor | None]:
        """The last states of the text encoder."""
        text_encoder, (ids, mask) = self.pipe.text_encoder, read[TABLE]
        reads_mask = getattr(text_encoder.config, "use_attention_mask", False)
        return text_encoder(ids, attention_mask=mask if reads_mask else None)[0].to(text_encoder.dtype), None

    def _predict(self, x_t: Tensor, t: Tensor, conditioning: Conditioning) -> Tensor:
        """See `PipelineBackbone`."""
        predicted: Tensor = self.denoiser(x_t.to(self.dtype), t, conditioning.text.to(self.dtype)).sample
        return predicted

    def told(self, conditioning: Conditioning, negative: Conditioning) -> dict[str, Tensor | None]:
        """See `PipelineBackbone`."""
        return {"prompt_embeds": conditioning.text, "negative_prompt_embeds": negative.text}
