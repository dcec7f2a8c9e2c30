"""A detector of eyes: ``python -m pretrain.eyes --out FILE`` trains it, ``pretrain.evaluate --eyes FILE`` uses it.

A briefly trained model leaves eyes out or smears them. What is missing is known exactly on renders: a portrait is
rendered with its eyes and without, and where the two differ is where the eyes are; each eye is kept, left out or
smeared.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter
from torch import Tensor

from clora_core.measures.attributes import AttributeNetwork, pixels
from pretrain.corpus import render
from pretrain.people import draw_person
from pretrain.scenes import Scene, Sitter, draw_scene, draw_sitter
from pretrain.schedule import learning_rate

EYES = {"left eye": ["drawn", "missing"], "right eye": ["drawn", "missing"]}  # left and right of the picture
VISIBLE = 12  # pixels of an eye; fewer, and hair or a hat hides it


def portraits(count: int, key: str, unseen: bool) -> list[Scene]:
    """``count`` ordinary portraits, a function of the arguments."""
    scenes = []
    for index in range(count):
        rng = random.Random(f"eyes/{key}/{index}")
        sitter = draw_sitter(rng, draw_person(rng, unseen=unseen), hats=False)
        scenes.append(draw_scene(rng, (sitter,), plain=True))
    return scenes


def without_eyes(scene: Scene) -> Scene:
    """The same scene, its one sitter without eyes."""
    sitter = scene.sitters[0]
    person = sitter.person
    blind = type(person)(person.sex, {**person.face, "eye": {"id": "none"}}, person.words)
    changed = Sitter(blind, sitter.name, sitter.look, sitter.words)
    return Scene((changed,), scene.background, scene.words, scene.view)


def spoil(picture: np.ndarray, blind: np.ndarray, rng: random.Random) -> tuple[np.ndarray, list[int]] | None:
    """The picture (H, W, 3) with each eye kept, left out or smeared, and 1 for each that is not as it should be.

    ``blind`` is the picture without eyes. None if an eye cannot be seen to begin with.
    """
    differs = np.abs(picture.astype(int) - blind).sum(2) > 60  # (H, W)
    columns = np.flatnonzero(differs.any(0))
    if not len(columns):
        return None
    middle = (columns[0] + columns[-1] + 1) // 2
    halves = [np.s_[:, :middle], np.s_[:, middle:]]
    if min(differs[half].sum() for half in halves) < VISIBLE:
        return None
    soft = np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(rng.uniform(3, 6))))
    near = np.asarray(Image.fromarray(differs).convert("L").filter(ImageFilter.MaxFilter(9))) > 0
    found, labels = picture.copy(), []
    for half in halves:
        fate = rng.choice(["kept", "kept", "kept", "left out", "smeared"])
        if fate != "kept":
            other = blind if fate == "left out" else soft
            found[half] = np.where(near[half][..., None], other[half], picture[half])
        labels.append(int(fate != "kept"))
    return found, labels


def examples(count: int, key: str, unseen: bool) -> tuple[np.ndarray, Tensor]:
    """Pictures (N, 128, 128, 3) and labels (N, 2) from ``count`` portraits."""
    scenes = portraits(count, key, unseen)
    both = (other for scene in scenes for other in (scene, without_eyes(scene)))
    drawn = [np.asarray(picture) for picture in render(both)]
    rng = random.Random(key)
    pairs = zip(drawn[::2], drawn[1::2], strict=True)
    kept = [found for found in (spoil(picture, blind, rng) for picture, blind in pairs) if found]
    return np.stack([picture for picture, _ in kept]), torch.tensor([labels for _, labels in kept])


def train(pictures: np.ndarray, labels: Tensor, epochs: int, batch: int = 64) -> AttributeNetwork:
    """Cross entropy of both eyes; small shifts as augmentation."""
    torch.manual_seed(0)
    network = AttributeNetwork(EYES)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.02)
    total = epochs * (len(pictures) // batch)
    for step in range(1, total + 1):
        optimiser.param_groups[0]["lr"] = learning_rate(step, total, 2e-3, warm_up=30, fall=0.5)
        chosen = torch.randint(len(pictures), (batch,))
        shift = tuple(int(value) for value in torch.randint(-4, 5, (2,)))
        outputs = network(pixels(pictures[chosen.numpy()]).roll(shift, (2, 3)))
        truth = labels[chosen]
        losses = [F.cross_entropy(output, truth[:, i]) for i, output in enumerate(outputs)]
        torch.stack(losses).sum().backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if step % 20 == 0:
            print(f"eyes {step}/{total} loss {float(torch.stack(losses).mean()):.3f}", flush=True)
    return network.eval()


def both_drawn(network: AttributeNetwork, pictures: list[Image.Image]) -> list[bool]:
    """Whether both eyes are found, picture by picture."""
    return [set(found.values()) == {"drawn"} for found in network.classify(pictures)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the detector of eyes.")
    parser.add_argument("--out", type=Path, required=True, help="file to write, .safetensors")
    parser.add_argument("--portraits", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int, help="of PyTorch on a CPU")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    network = train(*examples(args.portraits, "train", unseen=False), args.epochs)
    network.save(args.out)
    pictures, labels = examples(1000, "held-out", unseen=True)
    found = both_drawn(network, [Image.fromarray(picture) for picture in pictures])
    true = [not any(row) for row in labels.tolist()]
    right = sum(a == b for a, b in zip(found, true, strict=True)) / len(true)
    print(f"{right:.1%} right of {len(true)} held-out renders, {sum(true)} of them with both eyes")


if __name__ == "__main__":
    main()
