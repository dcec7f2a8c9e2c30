"""How good a U-Net is, by a figure without luck: its loss on fixed triples of picture, noise and timestep.

Training never sees these pictures.
"""

from __future__ import annotations

import itertools
import random

import numpy as np
import torch
from diffusers import AutoencoderKL, DDPMScheduler
from torch import nn
from transformers import CLIPTokenizer

from pretrain.autoencoder import encode
from pretrain.captions import caption
from pretrain.corpus import Corpus, render
from pretrain.loss import v_error
from pretrain.scenes import Scene

TIMESTEPS = (100, 300, 500, 700, 900)
UNSEEN = 10_000_000  # pictures of named people from this index on are not rendered for training


def held_out_scenes(count: int) -> list[Scene]:
    """``count`` scenes of people who were kept out, then as many with named people."""
    later = (Corpus("train")[index] for index in itertools.count(UNSEEN))
    named = (scene for scene in later if any(sitter.name for sitter in scene.sitters))
    return [Corpus("held-out")[index] for index in range(count)] + list(itertools.islice(named, count))


class HeldOut:
    """``count`` pictures of unseen and as many of named people, each with its own noise at all :data:`TIMESTEPS`."""

    def __init__(self, vae: AutoencoderKL, tokenizer: CLIPTokenizer, count: int = 48) -> None:
        scenes = held_out_scenes(count)
        texts = [caption(scene, random.Random(index)) for index, scene in enumerate(scenes)]
        self.ids = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
        pictures = np.stack([np.asarray(picture) for picture in render(iter(scenes))])
        self.latents = torch.from_numpy(encode(vae, pictures)).float() * vae.config.scaling_factor
        self.noise = torch.randn(self.latents.shape, generator=torch.Generator().manual_seed(0))

    @torch.no_grad()
    def losses(self, model: nn.ModuleDict, scheduler: DDPMScheduler) -> dict[str, float]:
        """The mean squared error of the v-prediction: of all, of unseen and of named people, and at each timestep."""
        device, half = model["unet"].device, len(self.latents) // 2
        table = torch.empty(len(TIMESTEPS), len(self.latents))
        for row, t in enumerate(TIMESTEPS):
            for part in torch.arange(len(self.latents)).split(32):
                x, noise, ids = (tensor[part].to(device) for tensor in (self.latents, self.noise, self.ids))
                at = torch.full((len(part),), t, device=device)
                text = model["text_encoder"](ids).last_hidden_state
                error = v_error(model["unet"], scheduler, x, noise, at, text)
                table[row, part] = error.mean(dim=(1, 2, 3)).cpu()
        found = {"held_out": table.mean(), "unseen": table[:, :half].mean(), "named": table[:, half:].mean()}
        found |= {f"t{t}": row.mean() for t, row in zip(TIMESTEPS, table, strict=True)}
        return {key: value.item() for key, value in found.items()}
