"""PixArt-Sigma: no U-Net but a transformer that attends to the text in each of its layers, which T5 has read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from diffusers import PixArtSigmaPipeline
from tokenizers.normalizers import Lowercase, Sequence
from torch import Tensor

from clora_core.errors import SettingsError
from clora_core.models.backbone import Conditioning
from clora_core.models.pipeline import PipelineBackbone, Reader
from clora_core.settings.drawing import SamplingConfig

TABLE = "t5"
PIECES = 300  # of a prompt, as the pipeline reads it


class PixArtSigma(PipelineBackbone):
    """diffusers' PixArtSigmaPipeline as a `Backbone`.

    Prompts are read in small letters, as PixArt was taught. They are not cleaned: that takes <rex> for a mark of a web
    page. Every size on the grid is drawn as it is. The transformer also predicts a variance, which no sampler here
    reads: it is left out.
    """

    always = MappingProxyType({"use_resolution_binning": False, "clean_caption": False})
    unchecked = ("^adaln_single", "^caption_projection")

    def __init__(self, pipe: PixArtSigmaPipeline) -> None:
        tokenizer, text_encoder = pipe.tokenizer, pipe.text_encoder
        own = tokenizer.backend_tokenizer.normalizer
        tokenizer.backend_tokenizer.normalizer = Sequence([Lowercase(), *([own] if own else [])])
        tokenizer.model_max_length = PIECES
        # one table: transformers keeps two modules with the same numbers, of which it shows one and reads the other
        text_encoder.set_input_embeddings(text_encoder.get_input_embeddings())
        super().__init__(pipe, pipe.transformer, pipe.transformer.config.patch_size)
        if pipe.vae.dtype == torch.float16 and pipe.vae.config.force_upcast:
            pipe.vae.to(torch.float32)  # in fp16 it overflows

    def readers(self) -> dict[str, Reader]:
        """See `PipelineBackbone`."""
        return {TABLE: (self.pipe.tokenizer, self.pipe.text_encoder)}

    def _text(self, read: Mapping[str, tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor | None]:
        """The last states of the text encoder."""
        ids, mask = read[TABLE]
        return self.pipe.text_encoder(ids, attention_mask=mask)[0], None

    def attended(self, conditioning: Conditioning) -> Tensor:
        """See `Backbone`. It is projected to the transformer's own width."""
        attended: Tensor = self.pipe.transformer.caption_projection(conditioning.text.to(self.dtype))
        return attended

    def _predict(self, x_t: Tensor, t: Tensor, conditioning: Conditioning) -> Tensor:
        """See `PipelineBackbone`."""
        predicted: Tensor = self.denoiser(
            x_t.to(self.dtype),
            encoder_hidden_states=conditioning.text.to(self.dtype),
            encoder_attention_mask=conditioning.mask,
            timestep=t,
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
        ).sample
        return predicted[:, : x_t.shape[1]]

    def told(self, conditioning: Conditioning, negative: Conditioning) -> dict[str, Tensor | None]:
        """See `PipelineBackbone`."""
        return {
            "prompt_embeds": conditioning.text,
            "prompt_attention_mask": conditioning.mask,
            "negative_prompt": None,
            "negative_prompt_embeds": negative.text,
            "negative_prompt_attention_mask": negative.mask,
        }

    def asked(self, settings: SamplingConfig) -> dict[str, Any]:
        """See `PipelineBackbone`."""
        asked = super().asked(settings)
        if asked.pop("guidance_rescale"):
            raise SettingsError("PixArt-Sigma cannot rescale its guidance. Set guidance rescale to 0.")
        return asked

    def _reporting(self, report: Callable[[int], None]) -> dict[str, Any]:
        """It reports each step, not each timestep."""
        return {"callback": lambda step, _, __: report((step + 1) * self.pipe.scheduler.order - 1)}
