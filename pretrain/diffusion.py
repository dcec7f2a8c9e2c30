"""Stage "unet": text encoder and U-Net together, on the latents of the corpus."""

from __future__ import annotations

import argparse
import copy
import random
import shutil
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from diffusers.training_utils import EMAModel
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from clora_core.models.description import PRESET_FILE, WORDS_FILE
from pretrain.autoencoder import encoded, read_vae
from pretrain.captions import caption
from pretrain.checkpoints import Checkpoint, Log, keep_best
from pretrain.corpus import Corpus
from pretrain.held_out import HeldOut
from pretrain.loss import unet_loss
from pretrain.model import build_scheduler, build_text_encoder, build_unet
from pretrain.optimiser import MuonAdamW
from pretrain.schedule import batch_indices, learning_rate
from pretrain.tokenizer import corpus_captions, known_words, save_tokenizer


def by_name(corpus: Corpus, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices below ``count`` of the pictures that show nobody named, and of those that do."""
    named = np.array([any(sitter.name for sitter in corpus[index].sitters) for index in range(count)])
    return np.flatnonzero(~named), np.flatnonzero(named)


def base_tokenizer(base: Path, work: Path) -> CLIPTokenizer:
    """The tokenizer of the model to go on from, also put where a new one would be; the model's preset goes with it."""
    shutil.copy(base / PRESET_FILE, work)
    shutil.copytree(base / "tokenizer", work / "tokenizer", dirs_exist_ok=True)
    return CLIPTokenizer.from_pretrained(work / "tokenizer")


def take_over(unet: UNet2DConditionModel, known: UNet2DConditionModel) -> float:
    """Copy what fits from a U-Net that may have fewer levels at the fine end; returns the share of weights taken over.

    Down blocks are counted from the coarse end, up blocks as they are; with more levels the ends are new.
    """
    more = len(unet.down_blocks) - len(known.down_blocks)
    weights, taken = unet.state_dict(), 0
    for name, tensor in known.state_dict().items():
        part, _, rest = name.partition(".")
        if part == "down_blocks":
            number, _, rest = rest.partition(".")
            name = f"down_blocks.{int(number) + more}.{rest}"
        if more and part in ("conv_in", "conv_out", "conv_norm_out"):
            continue
        if name in weights and weights[name].shape == tensor.shape:
            weights[name] = tensor
            taken += tensor.numel()
    unet.load_state_dict(weights)
    return taken / sum(tensor.numel() for tensor in weights.values())


def build(args: argparse.Namespace, tokenizer: CLIPTokenizer) -> nn.ModuleDict:
    """Text encoder and U-Net, from scratch or with what fits of ``--base``, ready to be trained."""
    model = nn.ModuleDict({"text_encoder": build_text_encoder(tokenizer), "unet": build_unet()})
    if args.base:
        words = CLIPTextModel.from_pretrained(args.base / "text_encoder").state_dict()
        model["text_encoder"].load_state_dict(words)
        share = take_over(model["unet"], UNet2DConditionModel.from_pretrained(args.base / "unet"))
        print(f"{share:.1%} of the U-Net's weights are those of {args.base}", flush=True)
    model.float().to(args.device, memory_format=torch.channels_last).train()
    if args.device == "cpu":
        model["unet"].set_attn_processor(AttnProcessor())  # flash attention's backward is slower on a CPU
    return model


def train_unet(args: argparse.Namespace) -> None:
    """Stage 2, on the latents of stage 1 that are encoded by now."""
    torch.manual_seed(args.seed)
    vae = read_vae(args)
    vae.to(args.device, memory_format=torch.channels_last)
    latents = encoded(args.work)[: args.pictures]
    scale = float(1 / latents[:2000].astype(np.float32).std())
    vae.register_to_config(scaling_factor=scale, _name_or_path="")  # no path of this machine in what is saved
    tokenizer = base_tokenizer(args.base, args.work) if args.base else save_tokenizer(args.work / "tokenizer")
    model = build(args, tokenizer)
    optimiser = MuonAdamW(model, args.rate)
    ema = EMAModel(model.parameters(), decay=0.994, use_ema_warmup=True, power=0.75)  # stepped every 4th step
    checkpoint, log = Checkpoint(args.work, "unet", model, optimiser, ema), Log(args.work, "unet")
    scheduler, corpus = DDPMScheduler.from_config(build_scheduler().config), Corpus("train")
    held_out = HeldOut(vae, tokenizer)
    plain, named = by_name(corpus, len(latents))
    if not (args.work / WORDS_FILE).exists():
        (args.work / WORDS_FILE).write_text("\n".join(known_words(corpus_captions())) + "\n")
    start, total = checkpoint.load() // args.batch, args.samples // args.batch
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
        x = torch.from_numpy(latents[chosen]).to(args.device).float() * scale
        with torch.autocast(args.device, torch.bfloat16, enabled=args.bf16):
            text = model["text_encoder"](ids)
            loss = unet_loss(model["unet"], scheduler, x, text.last_hidden_state, args.shift)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if step % 4 == 0:
            ema.step(model.parameters())
        losses.append(loss.item())
        if step % args.save_every == 0 or step == total:
            checkpoint.save(step * args.batch)
        if step % args.measure_every == 0 or step == total:
            rate = len(losses) * args.batch / (time.time() - seconds)
            averaged = average(model, ema)
            figures = held_out.losses(averaged, scheduler)
            log.write(step * args.batch, trained=sum(losses) / len(losses), per_second=rate, **figures)
            finish = partial(save_pipeline, vae=vae, tokenizer=tokenizer, averaged=averaged)
            keep_best(args.work, figures["held_out"], finish)
            finish(args.work / "base")
            seconds, losses = time.time(), []


def average(model: nn.ModuleDict, ema: EMAModel) -> nn.ModuleDict:
    """A copy of ``model`` with the averaged weights."""
    averaged = copy.deepcopy(model).eval()
    ema.copy_to(averaged.parameters())
    return averaged


def save_pipeline(folder: Path, vae: AutoencoderKL, tokenizer: CLIPTokenizer, averaged: nn.ModuleDict) -> None:
    """A StableDiffusionPipeline in fp16 safetensors; the networks themselves are left as they are."""
    networks = {name: copy.deepcopy(network) for name, network in {"vae": vae, **averaged}.items()}
    pipe = StableDiffusionPipeline(
        **networks,
        tokenizer=tokenizer,
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.to("cpu", torch.float16).save_pretrained(folder)
    pipe.text_encoder.config.dtype = "float32"  # what a plain from_pretrained loads it in, as it does U-Net and VAE
    pipe.text_encoder.config.save_pretrained(folder / "text_encoder")
    for name in (WORDS_FILE, PRESET_FILE):
        if (folder.parent / name).exists():
            shutil.copy(folder.parent / name, folder)
