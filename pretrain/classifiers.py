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
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pretrain.corpus import Corpus
from pretrain.people import FACIAL_HAIR, GLASSES, HAIR_COLOURS, SKINS
from pretrain.scenes import BACKGROUNDS, CLOTHES, PLACES, Scene
from pretrain.train import learning_rate

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


class Classifier(nn.Module):
    """Pictures (B, 3, 128, 128) in [-1, 1] to one tensor of logits (B, classes) for each attribute."""

    def __init__(self) -> None:
        super().__init__()
        widths, layers = (3, 32, 48, 96, 160, 224), []
        for before, width in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(before, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU()]
            layers += (
                [nn.Conv2d(width, width, 3, 1, 1), nn.BatchNorm2d(width), nn.ReLU()] if before > 3 else []
            )
        self.body = nn.Sequential(*layers, nn.Flatten())  # (B, 224 * 4 * 4)
        self.heads = nn.ModuleList(nn.Linear(224 * 16, len(names)) for names in CLASSES.values())

    def forward(self, x: Tensor) -> list[Tensor]:
        features = F.dropout(self.body(x), 0.3, self.training)
        return [head(features) for head in self.heads]


def pixels(pictures: np.ndarray) -> Tensor:
    """(B, 128, 128, 3) uint8 to the classifier's input."""
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def classify(network: Classifier, pictures: Sequence[Image.Image] | np.ndarray) -> list[dict[str, str]]:
    """The class of every attribute for every picture."""
    array = np.stack([np.asarray(picture) for picture in pictures])
    rows = []
    for first in range(0, len(array), 64):
        best = [logits.argmax(1).tolist() for logits in network(pixels(array[first : first + 64]))]
        rows += [dict(zip(CLASSES, row, strict=True)) for row in zip(*best, strict=True)]
    return [{key: CLASSES[key][number] for key, number in row.items()} for row in rows]


def accuracy(network: Classifier, pictures: np.ndarray, scenes: Sequence[Scene]) -> dict[str, float]:
    """Share of right answers for each attribute, over the scenes in which it can be seen."""
    found, true = classify(network, pictures), [labels(scene) for scene in scenes]
    result = {}
    for key in CLASSES:
        right = [guess[key] == truth[key] for guess, truth in zip(found, true, strict=True) if key in truth]
        result[key] = sum(right) / len(right)
    return result


def load_classifier(path: Path) -> Classifier:
    """The trained classifier, ready to judge."""
    network = Classifier()
    network.load_state_dict(load_file(path))
    return network.eval()


def train(pictures: np.ndarray, scenes: Sequence[Scene], epochs: int, seed: int = 0) -> Classifier:
    """Cross entropy summed over the attributes; small shifts as augmentation."""
    torch.manual_seed(seed)
    network, wanted = Classifier(), targets(scenes)
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
            loss = sum(
                F.cross_entropy(o.float(), truth[:, i])
                for i, o in enumerate(outputs)
                if (truth[:, i] >= 0).any()
            )
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
    pictures = np.load(args.corpus / "pictures.npy", mmap_mode="r")[: args.pictures]
    corpus = Corpus("train")
    network = train(pictures, [corpus[index] for index in range(len(pictures))], args.epochs)
    save_file(network.state_dict(), args.out)
    held_out, corpus = np.load(args.held_out / "pictures.npy", mmap_mode="r"), Corpus("held-out")
    scenes = [corpus[index] for index in range(len(held_out))]
    for key, share in accuracy(network, held_out, scenes).items():
        print(f"{key}: {share:.1%} right on held-out renders")


if __name__ == "__main__":
    main()
