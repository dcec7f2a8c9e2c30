"""Train the embedded model: ``python -m pretrain.train vae|decoder|latents|unet --corpus DIR --work DIR``.

All stages write what they have every few minutes and go on from it when started again with the same command.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from pretrain.autoencoder import encode_corpus, train_vae
from pretrain.diffusion import train_unet

STAGES = {  # stage -> what runs it, and how many samples, in which batches, at which rate
    "vae": (train_vae, 24_000, 8, 2e-3),
    "decoder": (train_vae, 16_000, 8, 1e-3),
    "latents": (encode_corpus, 0, 32, 0.0),
    "unet": (train_unet, 1_000_000, 32, 1e-3),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the embedded model.")
    parser.add_argument("stage", choices=[*STAGES])
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the pictures of pretrain.corpus")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints and results")
    parser.add_argument("--base", type=Path, help="a model of the same shapes to go on from, instead of from scratch")
    parser.add_argument("--samples", type=int, help="pictures to see in all")
    parser.add_argument(
        "--pictures",
        type=int,
        help="how many pictures of the corpus the U-Net uses; all that are there if not given",
    )
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rate", type=float, help="peak learning rate")
    parser.add_argument("--shift", type=float, default=2.0, help="of the U-Net's timesteps; 1 = all alike")
    parser.add_argument(
        "--latent-noise",
        type=float,
        default=0.0,
        help="VAE stages: most noise on what is decoded, in deviations of the latents",
    )
    parser.add_argument("--threads", type=int, help="of PyTorch on a CPU")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--save-every", type=int, default=400, help="steps between checkpoints")
    parser.add_argument("--measure-every", type=int, default=400, help="steps of the U-Net between measurements")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    run, *defaults = STAGES[args.stage]
    for name, default in zip(("samples", "batch", "rate"), defaults, strict=True):
        if getattr(args, name) is None:
            setattr(args, name, default)
    (args.work / f"{args.stage}.json").write_text(json.dumps(vars(args), default=str, indent=2) + "\n")
    run(args)


if __name__ == "__main__":
    main()
