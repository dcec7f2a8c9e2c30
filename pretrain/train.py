"""Train the embedded model: ``python -m pretrain.train vae|unet|decoder --corpus DIR --work DIR``.

All stages write checkpoints (safetensors) every few minutes and go on from them when started again.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import random
import shutil
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionPipeline
from diffusers.models.attention_processor import AttnProcessor
from diffusers.training_utils import EMAModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm
from transformers import CLIPTokenizer

from clora_core.learning.noise import shifted_timesteps
from clora_core.models.description import WORDS_FILE
from pretrain.captions import caption
from pretrain.corpus import Corpus
from pretrain.model import (
    LATENT_CHANNELS,
    LATENT_SIDE,
    build_scheduler,
    build_text_encoder,
    build_unet,
    build_vae,
)
from pretrain.optimiser import MuonAdamW
from pretrain.tokenizer import known_words, save_tokenizer

FACE = slice(3, 14), slice(4, 12)  # rows and columns of the 16 x 16 latents


def batch_indices(seed: int, step: int, size: int, count: int) -> np.ndarray:
    """Which pictures step ``step`` sees: a function of its arguments, so that a resumed run sees the same ones."""
    return np.random.default_rng((seed, step)).integers(0, count, size)


def to_tensor(pictures: np.ndarray, device: str) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) in [-1, 1], channels last."""
    tensor = torch.from_numpy(np.array(pictures)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    return tensor.contiguous(memory_format=torch.channels_last)


def learning_rate(step: int, total: int, peak: float, warm_up: int = 150, fall: float = 0.3) -> float:
    """Linear warm-up, the peak, then linearly to zero over the last ``fall`` of the steps."""
    return peak * min(1.0, step / warm_up, (1 - step / total) / fall)


class Checkpoint:
    """Model, EMA and optimiser of one stage on disk: ``<stage>.safetensors`` and ``<stage>.json``, written
    atomically."""

    def __init__(self, folder: Path, stage: str, model: nn.Module, optimiser: MuonAdamW, ema: EMAModel):
        self.path = folder / f"{stage}.safetensors"
        self.model, self.optimiser, self.ema = model, optimiser, ema

    def save(self, step: int) -> None:
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"ema.{index}": tensor for index, tensor in enumerate(self.ema.shadow_params)}
        for index, parameter in enumerate(self.optimiser.parameters):
            for key, value in self.optimiser.state_of(parameter).items():
                tensors[f"optimiser.{index}.{key}"] = value
        partial = self.path.with_suffix(".partial")
        copies = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
        save_file(copies, partial, metadata={"step": str(step)})
        partial.replace(self.path)

    def load(self) -> int:
        """The step to go on from, 0 if there is no checkpoint."""
        if not self.path.exists():
            return 0
        tensors = load_file(self.path)
        pick = {name.split(".", 1)[1]: value for name, value in tensors.items() if name.startswith("model.")}
        self.model.load_state_dict(pick)
        for index, shadow in enumerate(self.ema.shadow_params):
            shadow.copy_(tensors[f"ema.{index}"])
        for name, value in tensors.items():
            if name.startswith("optimiser."):
                _, number, key = name.split(".")
                parameter = self.optimiser.parameters[int(number)]
                state = self.optimiser.state_of(parameter)
                state[key] = value if key == "step" else value.to(parameter.device)
        with safe_open(self.path, "pt") as file:
            self.ema.optimization_step = step = int(file.metadata()["step"])
        return step


def vae_loss(picture: Tensor, decoded: Tensor, kl: Tensor) -> Tensor:
    """L1 + L1 of the gradients (crisp lines) + a light KL. picture, decoded: (B, 3, H, W); kl: (B,) summed over
    latents."""
    difference = decoded - picture
    lines = difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()
    latents = LATENT_CHANNELS * LATENT_SIDE**2
    return difference.abs().mean() + 0.5 * lines + 1e-4 * kl.mean() / latents


def train_vae(args: argparse.Namespace) -> None:
    """Stage 1: the autoencoder; or, as stage "decoder", more of its decoder alone, which leaves latents as they are."""
    torch.manual_seed(args.seed)
    pictures = np.load(args.corpus / "pictures.npy", mmap_mode="r")
    alone = args.stage == "decoder"
    start_from = args.work / "vae" if alone else args.base and args.base / "vae"
    vae = AutoencoderKL.from_pretrained(start_from) if start_from else build_vae()
    vae.to(args.device, memory_format=torch.channels_last)
    for part in (vae.encoder, vae.quant_conv) if alone else ():
        part.requires_grad_(False)
    parameters = [parameter for parameter in vae.parameters() if parameter.requires_grad]
    optimiser = MuonAdamW(vae, args.rate)
    ema = EMAModel(parameters, decay=0.998, use_ema_warmup=True, power=0.75)
    checkpoint = Checkpoint(args.work, args.stage, vae, optimiser, ema)
    start, total = checkpoint.load(), args.samples // args.batch
    seconds, losses = time.time(), []
    for step in range(start + 1, total + 1):
        optimiser.set_rate(learning_rate(step, total, args.rate))
        x = to_tensor(pictures[np.sort(batch_indices(args.seed, step, args.batch, len(pictures)))], args.device)
        with torch.autocast(args.device, torch.bfloat16, enabled=args.bf16):
            posterior = vae.encode(x).latent_dist
            decoded = vae.decode(posterior.sample()).sample
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
            checkpoint.save(step)
    ema.copy_to(parameters)
    vae.save_pretrained(args.work / "vae")
    if alone and (args.work / "base").exists():
        base = AutoencoderKL.from_config(AutoencoderKL.load_config(args.work / "base" / "vae"))
        base.load_state_dict(vae.state_dict())
        base.half().save_pretrained(args.work / "base" / "vae")


def encode_pictures(args: argparse.Namespace, vae: AutoencoderKL) -> np.ndarray:
    """The latents (N, C, h, w) float16 of the first ``args.pictures`` pictures, encoded once and kept on disk."""
    path = args.work / "latents.npy"
    if path.exists():
        return np.load(path, mmap_mode="r")
    pictures = np.load(args.corpus / "pictures.npy", mmap_mode="r")[: args.pictures]
    latents = np.empty((len(pictures), LATENT_CHANNELS, LATENT_SIDE, LATENT_SIDE), np.float16)
    for first in tqdm(range(0, len(pictures), 32), desc="latents", mininterval=10):
        x = to_tensor(pictures[first : first + 32], args.device)
        with torch.no_grad(), torch.autocast(args.device, torch.bfloat16, enabled=args.bf16):
            latents[first : first + 32] = vae.encode(x).latent_dist.mean.float().cpu().numpy()
    with open(path.with_suffix(".partial"), "wb") as file:
        np.save(file, latents)
    path.with_suffix(".partial").rename(path)
    return latents


def face_weight(device: str) -> Tensor:
    """(1, 1, h, w) of mean 1: ``FACE``, where a portrait has its brows, eyes, nose, mouth and chin, counts three
    times the rest."""
    weight = torch.ones(1, 1, LATENT_SIDE, LATENT_SIDE, device=device)
    weight[..., FACE[0], FACE[1]] = 3.0
    return weight / weight.mean()


def pictures_to_learn(corpus: Corpus, count: int, names: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices below ``count`` of the pictures that show nobody named, and of those whose names are among the first
    ``names``."""
    known = set(corpus.names[:names])
    plain: list[int] = []
    named: list[int] = []
    for index in tqdm(range(count), desc="who is in them", mininterval=10):
        shown = {sitter.name for sitter in corpus[index].sitters} - {None}
        if shown <= known:
            (named if shown else plain).append(index)
    return np.array(plain), np.array(named)


def unet_loss(model: nn.ModuleDict, scheduler: DDPMScheduler, latents: Tensor, ids: Tensor, shift: float) -> Tensor:
    """Mean squared error of the v-prediction. latents: (B, C, h, w) of unit variance; ids: (B, 77).

    What the caption decides (colours, layout, how many people) is decided above t = 700 of 1000: below it, the right
    caption lowers this model's loss by less than 5 %, above 900 by a quarter. Hence the shift to noisy timesteps.
    """
    noise = torch.randn_like(latents)
    u = torch.rand(len(latents), device=latents.device)
    t = shifted_timesteps(u, scheduler.config.num_train_timesteps, shift)
    text = model["text_encoder"](ids).last_hidden_state
    predicted = model["unet"](scheduler.add_noise(latents, noise, t), t, text).sample
    error = (predicted.float() - scheduler.get_velocity(latents, noise, t)).square()
    return (error * face_weight(latents.device)).mean()


def base_tokenizer(base: Path, work: Path) -> CLIPTokenizer:
    """The tokenizer of the model to go on from, also put where a new one would be."""
    shutil.copytree(base / "tokenizer", work / "tokenizer", dirs_exist_ok=True)
    return CLIPTokenizer.from_pretrained(work / "tokenizer")


def train_unet(args: argparse.Namespace) -> None:
    """Stage 2: text encoder and U-Net together, from scratch, on the latents of stage 1."""
    torch.manual_seed(args.seed)
    vae = AutoencoderKL.from_pretrained((args.base or args.work) / "vae")
    vae.to(args.device, memory_format=torch.channels_last)
    latents = encode_pictures(args, vae)
    scale = float(1 / latents[:2000].astype(np.float32).std())
    vae.register_to_config(scaling_factor=scale, _name_or_path="")  # no path of this machine in what is saved
    tokenizer = base_tokenizer(args.base, args.work) if args.base else save_tokenizer(args.work / "tokenizer")
    model = nn.ModuleDict({"text_encoder": build_text_encoder(tokenizer), "unet": build_unet()})
    for name, part in model.items() if args.base else ():
        part.load_state_dict(type(part).from_pretrained(args.base / name).state_dict())
    model.to(args.device, memory_format=torch.channels_last).train()
    if args.device == "cpu":
        model["unet"].set_attn_processor(AttnProcessor())  # flash attention's backward is slower on a CPU
    optimiser = MuonAdamW(model, args.rate)
    ema = EMAModel(model.parameters(), decay=0.994, use_ema_warmup=True, power=0.75)  # stepped every 4th step
    checkpoint = Checkpoint(args.work, "unet", model, optimiser, ema)
    scheduler, corpus = DDPMScheduler.from_config(build_scheduler().config), Corpus("train")
    plain, named = pictures_to_learn(corpus, len(latents), args.names)
    shown = np.concatenate([plain, named])
    words = known_words([caption(corpus[int(index)], random.Random(int(index))) for index in shown])
    (args.work / WORDS_FILE).write_text("\n".join(words) + "\n")
    start, total = checkpoint.load(), args.samples // args.batch
    seconds, losses = time.time(), []
    for step in range(start + 1, total + 1):
        torch.manual_seed(args.seed * 1_000_003 + step)
        optimiser.set_rate(learning_rate(step, total, args.rate))
        half = args.batch // 2
        chosen = np.concatenate(
            [
                part[batch_indices(args.seed + number, step, half, len(part))]
                for number, part in enumerate((plain, named), 1)
            ]
        )
        rng = random.Random(step)
        texts = ["" if rng.random() < 0.1 else caption(corpus[int(index)], rng) for index in chosen]
        ids = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids.to(args.device)
        x = torch.from_numpy(latents[chosen]).to(args.device).float() * vae.config.scaling_factor
        with torch.autocast(args.device, torch.bfloat16, enabled=args.bf16):
            loss = unet_loss(model, scheduler, x, ids, args.shift)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if step % 4 == 0:
            ema.step(model.parameters())
        losses.append(loss.item())
        if step % 50 == 0:
            rate = 50 * args.batch / (time.time() - seconds)
            print(f"unet {step}/{total} loss {sum(losses[-50:]) / 50:.4f}, {rate:.1f} samples/s", flush=True)
            seconds = time.time()
        if step % args.save_every == 0 or step == total:
            checkpoint.save(step)
            save_pipeline(args.work / "base", vae, tokenizer, model, ema)


def save_pipeline(
    folder: Path, vae: AutoencoderKL, tokenizer: CLIPTokenizer, model: nn.ModuleDict, ema: EMAModel
) -> None:
    """The averaged weights as a StableDiffusionPipeline in fp16 safetensors; ``model`` itself is left as it is."""
    averaged = copy.deepcopy(model)
    ema.copy_to(averaged.parameters())
    pipe = StableDiffusionPipeline(
        vae=copy.deepcopy(vae),
        text_encoder=averaged["text_encoder"],
        tokenizer=tokenizer,
        unet=averaged["unet"],
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.to("cpu", torch.float16).save_pretrained(folder)
    pipe.text_encoder.config.dtype = "float32"  # what a plain from_pretrained loads it in, as it does U-Net and VAE
    pipe.text_encoder.config.save_pretrained(folder / "text_encoder")
    shutil.copy(folder.parent / WORDS_FILE, folder / WORDS_FILE)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the embedded model.")
    parser.add_argument("stage", choices=["vae", "unet", "decoder"])
    parser.add_argument("--corpus", type=Path, required=True, help="folder with pictures.npy of pretrain.corpus")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints and results")
    parser.add_argument("--base", type=Path, help="a model of the same shapes to go on from, instead of from scratch")
    parser.add_argument("--samples", type=int, help="pictures to see in all")
    parser.add_argument("--pictures", type=int, default=60_000, help="how many pictures of the corpus the U-Net uses")
    parser.add_argument(
        "--names",
        type=int,
        default=300,
        help="U-Net stage: how many of the named people it is shown",
    )
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rate", type=float, help="peak learning rate")
    parser.add_argument("--shift", type=float, default=2.0, help="of the U-Net's timesteps; 1 = all alike")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--save-every", type=int, default=400, help="steps between checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    defaults = {"vae": (24_000, 8, 2e-3), "decoder": (16_000, 8, 1e-3), "unet": (160_000, 32, 1e-3)}[args.stage]
    args.samples, args.batch, args.rate = (
        given if given is not None else default
        for given, default in zip((args.samples, args.batch, args.rate), defaults, strict=True)
    )
    (args.work / f"{args.stage}.json").write_text(json.dumps(vars(args), default=str, indent=2) + "\n")
    {"vae": train_vae, "decoder": train_vae, "unet": train_unet}[args.stage](args)


if __name__ == "__main__":
    main()
