"""Prints how well each kind of features tells the right person from a wrong one, on the benchmark's pictures:

    python scripts/likeness.py

A person is the mean of the eight taught pictures; asked is whether held-out pictures of the same person are nearer to
it than those of the others (AUC: 1 = always, 0.5 = by chance), four at a time and one at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.stats import rankdata

from clora_core.disk import ASSETS
from clora_core.errors import SettingsError
from clora_core.measures.attributes import ATTRIBUTES_FILE, AttributeNetwork
from clora_core.measures.features import Array, EfficientNetLite0, Features, unit
from clora_core.measures.likeness import Latents
from clora_core.models.backbone import Backbone
from clora_core.models.loading import load_backbone

BASE, SETS = ASSETS / "base", ("sample", "fresh", "tuning")
TIMESTEP = 50


class Block:
    """Means over the plane of what one block of the U-Net gives, for pictures with a little noise and no prompt."""

    def __init__(self, backbone: Backbone, block: str) -> None:
        self.name, self._backbone = f"U-Net, {block}", backbone
        self._block = backbone.denoiser.get_submodule(block)

    def raw(self, images: Sequence[Image.Image], batch_size: int = 16) -> Array:
        """(N, C) float32."""
        import torch

        found: list[torch.Tensor] = []
        take = self._block.register_forward_hook(
            lambda _, __, output: found.append(output[0] if isinstance(output, tuple) else output)
        )
        with torch.inference_mode():
            latents = self._backbone.to_latents([image.convert("RGB").resize((128, 128)) for image in images])
            noise = torch.randn(latents[:1].shape, generator=torch.Generator().manual_seed(0)).expand_as(latents)
            times = torch.full((len(images),), TIMESTEP)
            noisy = self._backbone.noise_scheduler.add_noise(latents, noise, times)
            self._backbone.predict(noisy, times, self._backbone.encode([""] * len(images)))
        take.remove()
        return found[0].float().mean((2, 3)).numpy()


class Colours:
    """Square roots of the shares of 8 x 4 x 4 colours: what no network is needed for."""

    name = "colours"

    def raw(self, images: Sequence[Image.Image], batch_size: int = 16) -> Array:
        """(N, 128) float32."""
        rows = []
        for image in images:
            pixels = np.asarray(image.convert("HSV").resize((64, 64))).reshape(-1, 3)
            counts, _ = np.histogramdd(pixels, bins=(8, 4, 4), range=[(0, 256)] * 3)
            rows.append(np.sqrt(counts.ravel() / len(pixels)))
        return np.array(rows, dtype=np.float32)


def people(sets: Sequence[str] = SETS) -> dict[str, tuple[list[Path], list[Path]]]:
    """By name, taught and held-out pictures of the benchmark people."""
    found = {}
    for name in sets:
        folder = ASSETS / "benchmarks" / name
        for held_out in sorted((folder / "held_out").iterdir()):
            taught = (BASE / "people" if name == "sample" else folder / "taught") / held_out.name
            found[held_out.name] = (_pictures(taught), _pictures(held_out))
    return found


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix != ".json")


def auc(network: Features, pictures: dict[str, tuple[list[Path], list[Path]]], at_once: int) -> float:
    """Share of (right, wrong) pairs in which ``at_once`` held-out pictures of the right person are the nearer ones."""
    taught = [_look(network, paths) for paths, _ in pictures.values()]
    known = np.stack([unit(rows.mean(axis=0)) for rows in taught])
    right, wrong = [], []
    for place, (_, paths) in enumerate(pictures.values()):
        rows = _look(network, paths)
        for first in range(0, len(rows), at_once):
            scores = known @ unit(rows[first : first + at_once].mean(axis=0))
            right.append(scores[place])
            wrong += [score for other, score in enumerate(scores) if other != place]
    ranks = rankdata([*right, *wrong])[: len(right)]
    return float((ranks.sum() - len(right) * (len(right) + 1) / 2) / (len(right) * len(wrong)))


def _look(network: Features, paths: Sequence[Path]) -> Array:
    return network.raw([Image.open(path).convert("RGB") for path in paths])


def main() -> None:
    """Print the table."""
    backbone = load_backbone(BASE, "cpu")
    blocks = ("down_blocks.0", "down_blocks.1", "mid_block", "up_blocks.0", "up_blocks.1")
    networks: list[Features] = [
        AttributeNetwork.load(BASE / ATTRIBUTES_FILE),
        Latents(backbone),
        *(Block(backbone, block) for block in blocks),
        Colours(),
    ]
    try:
        networks.append(EfficientNetLite0())  # does not ship: what there is to reach
    except SettingsError as error:
        print(error)
    found = people()
    print(f"{len(found)} people\n\n| features | AUC of four | AUC of one |\n|---|---|---|")
    for network in networks:
        print(f"| {network.name} | {auc(network, found, 4):.3f} | {auc(network, found, 1):.3f} |", flush=True)


if __name__ == "__main__":
    main()
