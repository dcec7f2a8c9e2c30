"""Stable Diffusion XL and its children: two CLIP text encoders, a vector for the whole prompt, and sizes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from diffusers import StableDiffusionXLPipeline
from torch import Tensor

from clora_core.models.backbone import Conditioning
from clora_core.models.pipeline import Reader
from clora_core.models.stable_diffusion import StableDiffusion

TABLES = ("clip_l", "clip_g")  # as other programmes call the two text encoders, in the order of the pipeline


class StableDiffusionXL(StableDiffusion):
    """diffusers' own pipeline as a `Backbone`: the base, not the refiner.

    Each text encoder has a token table of its own. The vector of a prompt is read where the prompt ends.
    """

    def __init__(self, pipe: StableDiffusionXLPipeline) -> None:
        super().__init__(pipe)
        # transformers reads it at the highest id where the config has the old 2, and a token added has a higher one
        pipe.text_encoder_2.text_model.eos_token_id = pipe.tokenizer_2.eos_token_id
        if pipe.vae.dtype == torch.float16 and pipe.vae.config.force_upcast:
            pipe.vae.to(torch.float32)  # in fp16 it overflows

    def readers(self) -> dict[str, Reader]:
        """See `PipelineBackbone`."""
        first, second = TABLES
        pipe = self.pipe
        return {first: (pipe.tokenizer, pipe.text_encoder), second: (pipe.tokenizer_2, pipe.text_encoder_2)}

    def _text(self, read: Mapping[str, tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """The last states but one of both text encoders side by side; the vector is that of the second."""
        encoders = (self.pipe.text_encoder, self.pipe.text_encoder_2)
        both = zip(encoders, read.values(), strict=True)
        one, other = (text_encoder(ids, output_hidden_states=True) for text_encoder, (ids, _) in both)
        text = torch.cat([one.hidden_states[-2], other.hidden_states[-2]], dim=-1)  # (B, 77, d + d')
        return text.to(self.dtype), other.text_embeds

    def _predict(self, x_t: Tensor, t: Tensor, conditioning: Conditioning) -> Tensor:
        """See `Backbone`. Without sizes, the picture is whole and as large as its latents say."""
        assert conditioning.pooled is not None
        sizes = conditioning.sizes
        if sizes is None:
            height, width = (side * self.pipe.vae_scale_factor for side in x_t.shape[-2:])
            sizes = torch.tensor([[height, width, 0, 0, height, width]] * len(x_t))
        told = {"text_embeds": conditioning.pooled.to(self.dtype), "time_ids": sizes.to(self.device)}
        text = conditioning.text.to(self.dtype)
        return self.pipe.unet(x_t.to(self.dtype), t, text, added_cond_kwargs=told).sample

    def told(self, conditioning: Conditioning, negative: Conditioning) -> dict[str, Tensor | None]:
        """See `PipelineBackbone`."""
        pooled = {"pooled_prompt_embeds": conditioning.pooled, "negative_pooled_prompt_embeds": negative.pooled}
        return super().told(conditioning, negative) | pooled
