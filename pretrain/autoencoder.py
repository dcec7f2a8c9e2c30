"""Stages "vae" and "decoder": the autoencoder, and what the U-Net reads of it, the latents of the corpus."""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from tqdm import tqdm

from pretrain.checkpoints import Checkpoint
from pretrain.corpus import rendered
from pretrain.model import LATENT_CHANNELS, LATENT_SIDE, build_vae
from pretrain.optimiser import MuonAdamW
from pretrain.schedule import batch_indices, learning_rate

LATENTS = "latents.f16"
ONE = LATENT_CHANNELS * LATENT_SIDE**2 * 2  # bytes of one picture's latents


def to_tensor(pictures: np.ndarray, device: str) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) in [-1, 1], channels last."""
    tensor = torch.from_numpy(np.array(pictures)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    return tensor.contiguous(memory_format=torch.channels_last)


def vae_loss(picture: Tensor, decoded: Tensor, kl: Tensor) -> Tensor:
    """L1 + L1 of the gradients (crisp lines) + a light KL.

    picture, decoded: (B, 3, H, W); kl: (B,), summed over latents.
    """
    difference = decoded - picture
    lines = difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()
    latents = LATENT_CHANNELS * LATENT_SIDE**2
    return difference.abs().mean() + 0.5 * lines + 1e-4 * kl.mean() / latents


def with_noise(latents: Tensor, most: float) -> Tensor:
    """Latents (B, C, h, w) as a briefly trained U-Net might draw them, so that the decoder learns to forgive:

    z + s d n,    d the deviation of z, s drawn evenly from [0, most) for each picture, n normal noise
    """
    s = most * torch.rand(len(latents), 1, 1, 1, device=latents.device)
    return latents + s * latents.std() * torch.randn_like(latents) if most else latents


def read_vae(args: argparse.Namespace) -> AutoencoderKL:
    """The autoencoder that an earlier stage trained, or that of ``--base``."""
    folder = args.work if (args.work / "vae").exists() or not args.base else args.base
    return AutoencoderKL.from_pretrained(folder / "vae")


def train_vae(args: argparse.Namespace) -> None:
    """Stage 1: the autoencoder; or, as stage "decoder", more of its decoder alone, which leaves latents as they are."""
    torch.manual_seed(args.seed)
    pictures = rendered(args.corpus)
    alone = args.stage == "decoder"
    vae = read_vae(args) if alone or args.base else build_vae()
    vae.to(args.device, memory_format=torch.channels_last)
    for part in (vae.encoder, vae.quant_conv) if alone else ():
        part.requires_grad_(False)
    parameters = [parameter for parameter in vae.parameters() if parameter.requires_grad]
    optimiser = MuonAdamW(vae, args.rate)
    ema = EMAModel(parameters, decay=0.998, use_ema_warmup=True, power=0.75)
    checkpoint = Checkpoint(args.work, args.stage, vae, optimiser, ema)
    start, total = checkpoint.load() // args.batch, args.samples // args.batch
    seconds, losses = time.time(), []
    for step in range(start + 1, total + 1):
        torch.manual_seed(args.seed * 1_000_003 + step)
        optimiser.set_rate(learning_rate(step, total, args.rate))
        x = to_tensor(pictures[np.sort(batch_indices(args.seed, step, args.batch, len(pictures)))], args.device)
        with torch.autocast(args.device, torch.bfloat16, enabled=args.bf16):
            with torch.set_grad_enabled(not alone):
                posterior = vae.encode(x).latent_dist
            decoded = vae.decode(with_noise(posterior.sample(), args.latent_noise)).sample
        loss = vae_loss(x, decoded.float(), posterior.kl())
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        ema.step(parameters)
        losses.append(F.mse_loss(decoded.detach().float(), x).item())
        if step % 50 == 0:
            psnr = 10 * math.log10(4 / (sum(losses[-50:]) / len(losses[-50:])))
            rate = 50 * args.batch / (time.time() - seconds)
            print(f"{args.stage} {step}/{total} psnr {psnr:.2f} dB, {rate:.1f} pictures/s", flush=True)
            seconds = time.time()
        if step % args.save_every == 0 or step == total:
            checkpoint.save(step * args.batch)
    ema.copy_to(parameters)
    vae.save_pretrained(args.work / "vae")
    if alone and (args.work / "base").exists():
        base = AutoencoderKL.from_config(AutoencoderKL.load_config(args.work / "base" / "vae"))
        base.load_state_dict(vae.state_dict())
        base.half().save_pretrained(args.work / "base" / "vae")


def encoded(work: Path) -> np.ndarray:
    """The latents that are encoded so far, (N, C, h, w) float16, read from disk when asked for."""
    path = work / LATENTS
    shape = (path.stat().st_size // ONE, LATENT_CHANNELS, LATENT_SIDE, LATENT_SIDE)
    return np.memmap(path, np.float16, "r", shape=shape)


@torch.no_grad()
def encode(vae: AutoencoderKL, pictures: np.ndarray, bf16: bool = False) -> np.ndarray:
    """The latents (B, C, h, w) float16 of pictures (B, H, W, 3) uint8: the means of the posterior, not scaled."""
    device = str(vae.device)
    with torch.autocast(vae.device.type, torch.bfloat16, enabled=bf16):
        mean: Tensor = vae.encode(to_tensor(pictures, device)).latent_dist.mean
    return mean.float().cpu().numpy().astype(np.float16)


def encode_corpus(args: argparse.Namespace) -> None:
    """Stage "latents": append those of the pictures that were rendered since to ``latents.f16``."""
    vae = read_vae(args)
    vae.to(args.device, memory_format=torch.channels_last)
    pictures = rendered(args.corpus)[: args.pictures]
    with open(args.work / LATENTS, "ab") as file:
        done = file.tell() // ONE
        file.truncate(done * ONE)
        for first in tqdm(range(done, len(pictures), 32), desc="latents", mininterval=10):
            file.write(encode(vae, pictures[first : first + 32], args.bf16).tobytes())
