"""A family of its own: no U-Net, no VAE, two text encoders. What a `Backbone` must be, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from PIL import Image
from torch import Tensor, nn

from clora_core.models.backbone import Conditioning
from clora_core.models.installation import Installation
from clora_core.models.tokens import TokenTable
from clora_core.settings.drawing import SamplingConfig
from tiny.model import tiny_text_encoder, tiny_tokenizer


class Toy:
    """Predicts one colour, read from the mean of the text; its latents are pictures at half the size."""

    device, dtype, size_grid, sampler = torch.device("cpu"), torch.float32, 2, "DDIM"

    def __init__(self) -> None:
        torch.manual_seed(0)
        tokenizer = tiny_tokenizer()
        self.text_encoders = {name: tiny_text_encoder(tokenizer).requires_grad_(False) for name in ("left", "right")}
        self.tables = {name: TokenTable(tokenizer, encoder) for name, encoder in self.text_encoders.items()}
        width = sum(table.weight.shape[1] for table in self.tables.values())
        self.denoiser = nn.ModuleDict({"to_v": nn.Linear(width, 3, bias=False), "out": nn.Linear(3, 3)})
        self.denoiser.requires_grad_(False)
        self.matrices = {"to_v": self.denoiser["to_v"]}
        self.queries = self.outputs = {}
        self.installation = Installation(self.denoiser, self.matrices, self.tables)
        self.noise_scheduler = DDPMScheduler()

    def encode(self, prompts: Sequence[str]) -> Conditioning:
        read = {name: table.read(prompts) for name, table in self.tables.items()}
        outputs = [self.text_encoders[name](ids) for name, (ids, _) in read.items()]
        text = torch.cat([output.last_hidden_state for output in outputs], dim=-1)  # (B, S, 2 d)
        table, (ids, mask) = self.tables["left"], read["left"]
        positions = {token: ids == table.id_of(token) for token in table.tokens}
        return Conditioning(text, mask.bool(), positions, pooled=outputs[1].pooler_output)

    def attended(self, conditioning: Conditioning) -> Tensor:
        return conditioning.text

    def predict(self, x_t: Tensor, t: Tensor, conditioning: Conditioning) -> Tensor:
        with self.installation.gates.reading(conditioning):
            colour = self.denoiser["out"](self.denoiser["to_v"](conditioning.text).mean(1))  # (B, 3)
        return x_t - colour[:, :, None, None]

    def to_latents(self, pictures: Sequence[Image.Image]) -> Tensor:
        half = [np.asarray(picture.reduce(2), dtype=np.float32) for picture in pictures]
        return torch.from_numpy(np.stack(half)).permute(0, 3, 1, 2) / 127.5 - 1

    def from_latents(self, latents: Tensor) -> list[Image.Image]:
        pixels = ((latents.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
        return [Image.fromarray(picture).resize((2 * picture.shape[1], 2 * picture.shape[0])) for picture in pixels]

    def keep_activations(self, kept: bool) -> None:
        """There is but one layer."""

    def picture_bytes(self, side: int) -> int:
        return 12 * side**2

    @torch.no_grad()
    def draw(
        self,
        conditioning: Conditioning,
        negative: Conditioning,
        settings: SamplingConfig,
        generators: Sequence[torch.Generator],
        on_step: Callable[[int], None],
    ) -> list[Image.Image]:
        scheduler = DDIMScheduler.from_config(self.noise_scheduler.config)
        scheduler.set_timesteps(settings.steps)
        shape = (3, settings.height // 2, settings.width // 2)
        x = torch.stack([torch.randn(shape, generator=generator) for generator in generators])
        for done, t in enumerate(scheduler.timesteps, 1):
            towards, away = (self.predict(x, t, each) for each in (conditioning, negative))
            x = scheduler.step(away + settings.guidance_scale * (towards - away), t, x).prev_sample
            on_step(done)
        return self.from_latents(x)
