"""Attribute classifiers that judge whether prompts were followed: ``python -m pretrain.classifiers --corpus DIR ...``.

One small convolutional network with a head for each attribute, trained on renders and checked on held-out renders.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from clora_core.measures.attributes import AttributeNetwork, pixels
from pretrain.corpus import Corpus, rendered
from pretrain.people import FACIAL_HAIR, GLASSES, HAIR_COLOURS, SKINS
from pretrain.scenes import BACKGROUNDS, CLOTHES, PLACES, Scene
from pretrain.schedule import learning_rate

CLASSES = {
    "hair colour": [*HAIR_COLOURS],
    "skin": [*SKINS],
    "background": [*BACKGROUNDS, *PLACES],
    "clothes": [*CLOTHES],
    "glasses": [*GLASSES],
    "beard": sorted(set(FACIAL_HAIR.values())),
    "people": ["1", "2"],
}


def labels(scene: Scene) -> dict[str, str]:
    """The true class of each attribute that can be seen in the scene."""
    if len(scene.sitters) == 2:
        return {"people": "2"}
    sitter = scene.sitters[0]
    words = {**sitter.person.words, **sitter.words, **scene.words}
    found = {"people": "1"}
    if words["style"] == "":
        found |= {"skin": words["skin"], "background": words["background"], "clothes": words["clothes"]}
        found |= {
            "glasses": words["glasses"],
            "beard": words["facial_hair"],
            "hair colour": words["hair_colour"],
        }
    if words["hat"]:
        found.pop("hair colour", None)  # the hat hides it
    if words["framing"] == "close-up":
        found.pop("clothes", None)  # out of the picture
    return {key: value for key, value in found.items() if value in CLASSES[key]}


def targets(scenes: Sequence[Scene]) -> Tensor:
    """(N, attributes) class numbers, -100 where the attribute cannot be seen (cross entropy leaves those out)."""
    rows = [labels(scene) for scene in scenes]
    return torch.tensor(
        [[names.index(row[key]) if key in row else -100 for key, names in CLASSES.items()] for row in rows]
    )


def accuracy(network: AttributeNetwork, pictures: np.ndarray, scenes: Sequence[Scene]) -> dict[str, float]:
    """Share of right answers for each attribute, over the scenes in which it can be seen."""
    found = network.classify([Image.fromarray(picture) for picture in pictures])
    true = [labels(scene) for scene in scenes]
    result = {}
    for key in CLASSES:
        right = [guess[key] == truth[key] for guess, truth in zip(found, true, strict=True) if key in truth]
        result[key] = sum(right) / len(right)
    return result


def train(pictures: np.ndarray, scenes: Sequence[Scene], epochs: int, seed: int = 0) -> AttributeNetwork:
    """Cross entropy summed over the attributes; small shifts as augmentation."""
    torch.manual_seed(seed)
    network, wanted = AttributeNetwork(CLASSES), targets(scenes)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.02)
    total, batch, step, began = epochs * len(pictures) // 64, 64, 0, time.time()
    while step < total:
        order = torch.randperm(len(pictures))
        for chosen in order.split(batch):
            step += 1
            optimiser.param_groups[0]["lr"] = learning_rate(min(step, total), total, 2e-3)
            shift = tuple(int(value) for value in torch.randint(-4, 5, (2,)))
            x = pixels(pictures[np.sort(chosen.numpy())]).roll(shift, (2, 3))
            with torch.autocast("cpu", torch.bfloat16):
                outputs = network(x)
            truth = wanted[chosen.sort().values]
            seen = [i for i in range(len(outputs)) if (truth[:, i] >= 0).any()]
            loss = sum((F.cross_entropy(outputs[i].float(), truth[:, i]) for i in seen), torch.zeros(()))
            loss.backward()
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            if step % 50 == 0:
                print(
                    f"classifier {step}/{total} loss {float(loss):.3f} {time.time() - began:.0f} s",
                    flush=True,
                )
    return network.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the attribute classifiers.")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the training pictures")
    parser.add_argument("--held-out", type=Path, required=True, help="folder of the held-out pictures")
    parser.add_argument("--out", type=Path, required=True, help="file to write, .safetensors")
    parser.add_argument("--pictures", type=int, default=16_000)
    parser.add_argument("--epochs", type=int, default=6)
    args = parser.parse_args()
    pictures = rendered(args.corpus)[: args.pictures]
    corpus = Corpus("train")
    network = train(pictures, [corpus[index] for index in range(len(pictures))], args.epochs)
    network.save(args.out)
    held_out, corpus = rendered(args.held_out), Corpus("held-out")
    scenes = [corpus[index] for index in range(len(held_out))]
    for key, share in accuracy(network, held_out, scenes).items():
        print(f"{key}: {share:.1%} right on held-out renders")


if __name__ == "__main__":
    main()
