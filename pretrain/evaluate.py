"""Measure the embedded model: ``python -m pretrain.evaluate --base DIR --held-out DIR --classifier FILE --out DIR``.

Writes ``figures.json`` and grids of pictures. Features are EfficientNet-lite0's. Every part can be asked for alone.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from clora_core.concepts import Concept, SamplingConfig, Timeline, TrainConfig
from clora_core.drawing.generate import generate
from clora_core.learning.trainer import train_concept
from clora_core.measures.attributes import AttributeNetwork
from clora_core.measures.features import EfficientNetLite0, Features, unit, unit_features
from clora_core.measures.metrics import cosine, cosine_within, kid, nearest_share
from clora_core.models.backbone import Backbone
from clora_core.models.description import read_base
from clora_core.models.loading import load_backbone
from pretrain.captions import plain_caption
from pretrain.classifiers import CLASSES, accuracy, labels
from pretrain.corpus import Corpus, named_person, names, render, rendered
from pretrain.eyes import both_drawn
from pretrain.people import draw_person
from pretrain.sample_people import portraits
from pretrain.scenes import draw_scene, draw_sitter

EMPTY = Timeline("evaluate", "evaluate", "")


def vae_figures(backbone: Backbone, held_out: np.ndarray, features: Features, out: Path) -> dict[str, float]:
    """PSNR over 256 held-out portraits, and how well twelve unseen people survive encode and decode."""
    single = [index for index in range(600) if len(Corpus("held-out")[index].sitters) == 1][:256]
    pictures = held_out[single]
    decoded = _reconstruct(backbone, pictures)
    errors = ((decoded.astype(float) - pictures) ** 2).mean(axis=(1, 2, 3))
    save_grid(
        [Image.fromarray(p) for pair in zip(pictures[:16], decoded[:16], strict=True) for p in pair],
        8,
        out / "vae.png",
    )
    between, real = [], []
    for number in range(12):
        person = draw_person(random.Random(f"vae/{number}"), unseen=True)
        originals = list(render(portraits(person, f"vae/{number}", 8)))
        again = [Image.fromarray(p) for p in _reconstruct(backbone, np.stack([np.asarray(p) for p in originals]))]
        a, b = unit_features(features, originals), unit_features(features, again)
        apart = ~np.eye(len(a), dtype=bool)  # never a picture with itself or its own reconstruction
        between.append((b @ a.T)[apart].mean())
        real.append(cosine_within(a))
    psnr = float(np.mean(10 * np.log10(255**2 / errors)))
    return {
        "psnr_db": psnr,
        "cosine_reconstructed_real": float(np.mean(between)),
        "cosine_real_real": float(np.mean(real)),
    }


def _reconstruct(backbone: Backbone, pictures: np.ndarray) -> np.ndarray:
    decoded: list[Image.Image] = []
    for first in range(0, len(pictures), 16):
        images = [Image.fromarray(picture) for picture in pictures[first : first + 16]]
        decoded += backbone.from_latents(backbone.to_latents(images))
    return np.stack([np.asarray(picture) for picture in decoded])


def prompt_figures(
    backbone: Backbone,
    settings: SamplingConfig,
    network: AttributeNetwork,
    eyes: AttributeNetwork | None,
    features: Features,
    count: int,
    out: Path,
) -> dict[str, Any]:
    """Attributes and eyes found in pictures drawn from held-out captions, and their KID against held-out renders."""
    scenes = []
    for index in range(count):
        rng = random.Random(f"prompt/{index}")
        sitter = draw_sitter(rng, draw_person(rng, unseen=True), hats=False)
        scenes.append(draw_scene(rng, (sitter,), plain=True))
    drawn = [_draw(backbone, plain_caption(scene), settings, seed) for seed, scene in enumerate(scenes)]
    save_grid(drawn[:48], 12, out / "prompts.png")
    found, right = network.classify(drawn), {}
    for key in [key for key in CLASSES if key != "people"]:
        pairs = [
            (guess[key], labels(scene)[key]) for guess, scene in zip(found, scenes, strict=True) if key in labels(scene)
        ]
        right[key] = sum(a == b for a, b in pairs) / len(pairs)
        if key == "glasses":  # prompts say "glasses" without naming the frame
            right[key] = sum((a == "none") == (b == "none") for a, b in pairs) / len(pairs)
    other = [draw_scene(rng, (draw_sitter(rng, draw_person(rng, unseen=True), hats=False),), plain=True)
             for rng in (random.Random(f"kid/{index}") for index in range(2 * count))]  # fmt: skip
    renders = features.raw(list(render(iter(other))))
    if eyes:
        right["both eyes"] = sum(both_drawn(eyes, drawn)) / count
    return {
        "right": right,
        "pictures": count,
        "kid_x1000": 1e3 * kid(features.raw(drawn), renders[:count]),
        "kid_floor_x1000": 1e3 * kid(renders[count:], renders[:count]),
    }


def named_figures(
    backbone: Backbone, settings: SamplingConfig, features: Features, people: int, pictures: int, out: Path
) -> dict[str, float]:
    """The first named people drawn by name: likeness to their renders, nearest of them, and KID against them."""
    shown = names()[:people]
    real = {name: list(render(portraits(named_person(name), f"named/{name}", 16))) for name in shown}
    drawn = {
        name: [_draw(backbone, f"a photo of {name}", settings, seed) for seed in range(pictures)] for name in shown
    }
    save_grid([p for name in shown for p in [real[name][0], *drawn[name]]], pictures + 1, out / "named.png")
    true = {name: unit_features(features, real[name]) for name in shown}
    found = {name: unit_features(features, drawn[name]) for name in shown}
    raw = [features.raw([p for name in shown for p in group[name]]) for group in (drawn, real)]
    return {
        "people": people,
        "cosine": float(np.mean([cosine(found[name], true[name]) for name in shown])),
        "real_to_real": float(np.mean([cosine(true[name][:8], true[name][8:]) for name in shown])),
        "nearest": float(np.mean([nearest_share(found[name], name, true) for name in shown])),
        "kid_x1000": 1e3 * kid(*raw),
    }


def pair_figures(
    backbone: Backbone, settings: SamplingConfig, network: AttributeNetwork, count: int, out: Path
) -> dict[str, float]:
    """Share of prompts for two people that are drawn as two."""
    prompts = []
    for index in range(count):
        rng = random.Random(f"pair/{index}")
        sitters = tuple(draw_sitter(rng, draw_person(rng, unseen=True), hats=False) for _ in range(2))
        prompts.append(plain_caption(draw_scene(rng, sitters, plain=True)))
    drawn = [_draw(backbone, prompt, settings, seed) for seed, prompt in enumerate(prompts)]
    save_grid(drawn, 8, out / "pairs.png")
    return {
        "drawn_as_two": sum(guess["people"] == "2" for guess in network.classify(drawn)) / count,
        "pictures": count,
    }


def plasticity_figures(
    backbone: Backbone, config: TrainConfig, settings: SamplingConfig, features: Features, people: int, out: Path
) -> dict[str, Any]:
    """Each unseen person learned alone as a first concept: mean cosine to real pictures and nearest person."""
    real, drawn, seconds = {}, {}, []
    for number in range(people):
        name, person = f"p{number}", draw_person(random.Random(f"plasticity/{number}"), unseen=True)
        folder = out / "people" / name
        folder.mkdir(parents=True, exist_ok=True)
        taught = []
        for index, picture in enumerate(render(portraits(person, f"teach/{name}", 8))):
            taught.append(folder / f"{index}.png")
            picture.save(taught[-1])
        real[name] = unit_features(features, list(render(portraits(person, f"real/{name}", 16))))
        began = time.time()
        with train_concept(backbone, Concept(name, f"<{name}>", tuple(taught)), EMPTY, config) as training:
            for _ in training:
                pass
            timeline = EMPTY.then(training.finish())
        seconds.append(time.time() - began)
        pictures = [_draw(backbone, f"a photo of <{name}>", settings, seed, timeline) for seed in range(8)]
        drawn[name] = unit_features(features, pictures)
        save_grid([Image.open(path) for path in taught] + pictures, 8, out / f"{name}.png")
        print(f"{name}: cosine {cosine(drawn[name], real[name]):.3f}, {seconds[-1]:.0f} s", flush=True)
    mine = {name: round(len(own) * nearest_share(own, name, real)) for name, own in drawn.items()}
    return {
        "cosine": {name: cosine(drawn[name], real[name]) for name in drawn},
        "mean_cosine": float(np.mean([cosine(drawn[name], real[name]) for name in drawn])),
        "mean_feature_cosine": float(np.mean([unit(drawn[n].mean(0)) @ unit(real[n].mean(0)) for n in drawn])),
        "real_to_real": float(np.mean([cosine(real[name][:8], real[name][8:]) for name in real])),
        "pictures_nearest_of_8": mine,
        "mean_seconds": float(np.mean(seconds)),
    }


def _draw(
    backbone: Backbone, prompt: str, settings: SamplingConfig, seed: int, timeline: Timeline = EMPTY
) -> Image.Image:
    return generate(backbone, timeline, prompt, settings.updated({"seed": seed, "pictures": 1}))[0]


def save_grid(pictures: Sequence[Image.Image], columns: int, path: Path) -> None:
    """The pictures in rows of ``columns``, in the order given."""
    w, h = pictures[0].size
    rows = -(-len(pictures) // columns)
    grid = Image.new("RGB", (columns * w, rows * h), "white")
    for index, picture in enumerate(pictures):
        grid.paste(picture, (index % columns * w, index // columns * h))
    grid.save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the embedded model.")
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--held-out", type=Path, required=True, help="folder of the held-out pictures")
    parser.add_argument("--classifier", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--parts", nargs="+", default=["judge", "vae", "prompts", "named", "pairs", "plasticity"])
    parser.add_argument("--pictures", type=int, default=200, help="prompts of one person to draw")
    parser.add_argument("--pairs", type=int, default=48)
    parser.add_argument("--people", type=int, default=10)
    parser.add_argument("--named", type=int, default=12, help="people of the corpus to draw by name")
    parser.add_argument("--eyes", type=Path, help="detector of pretrain.eyes")
    parser.add_argument("--threads", type=int, help="of PyTorch on a CPU")
    parser.add_argument("--train", type=json.loads, default={}, help="settings over the model's own, as JSON")
    parser.add_argument("--sampling", type=json.loads, default={}, help="settings over the model's own, as JSON")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    base, features = read_base(args.base), EfficientNetLite0()
    backbone, network = load_backbone(args.base), AttributeNetwork.load(args.classifier)
    eyes = AttributeNetwork.load(args.eyes) if args.eyes else None
    held_out = rendered(args.held_out)
    settings, config = base.sampling.updated(args.sampling), base.train.updated(args.train)
    corpus = Corpus("held-out")
    measures: dict[str, Callable[[], Any]] = {
        "judge": lambda: accuracy(network, held_out, [corpus[index] for index in range(len(held_out))]),
        "vae": lambda: vae_figures(backbone, held_out, features, args.out),
        "prompts": lambda: prompt_figures(backbone, settings, network, eyes, features, args.pictures, args.out),
        "named": lambda: named_figures(backbone, settings, features, args.named, 4, args.out),
        "pairs": lambda: pair_figures(backbone, settings, network, args.pairs, args.out),
        "plasticity": lambda: plasticity_figures(backbone, config, settings, features, args.people, args.out),
    }
    path = args.out / "figures.json"
    figures = json.loads(path.read_text()) if path.exists() else {}
    for part in args.parts:
        figures[part] = measures[part]()
        print(part, json.dumps(figures[part]), flush=True)
        path.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
