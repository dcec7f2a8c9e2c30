"""How alike two sets of pictures look: the cosine of their mean features. 1 = the same; real pictures of one person
have about 0.9, of two about 0.5.

The features are the base model's own, so that nothing is downloaded: those of the small network that ships beside the
embedded model (``AttributeNetwork.raw``), else the latents of its VAE. They were chosen on the thirty benchmark people
by how well the mean of four held-out pictures is told to be of the right person and not of a wrong one, from the mean
of the eight taught ones (``scripts/likeness.py`` prints the table): AUC 0.995 for the network (0.991 for a single
picture), 0.991 for the latents (0.961), and less than 0.971 (0.897) for every block of the U-Net.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from clora_core.measures.attributes import ATTRIBUTES_FILE, AttributeNetwork
from clora_core.measures.features import Array, Features, unit
from clora_core.models.backbone import Backbone

LATENT_SIDE = 128  # px at which pictures are encoded: the cost grows with the square


class Latents:
    """The latents of a base model's VAE, the whole plane: what stands where counts, too."""

    name = "VAE latents"

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        grid = backbone.size_grid
        self._side = max(LATENT_SIDE // grid, 1) * grid

    def raw(self, images: Sequence[Image.Image], batch_size: int = 16) -> Array:
        """(N, C h w) float32."""
        rows = []
        for first in range(0, len(images), batch_size):
            batch = [
                image.convert("RGB").resize((self._side, self._side)) for image in images[first : first + batch_size]
            ]
            rows.append(self._backbone.to_latents(batch).flatten(1).float().cpu().numpy())
        return np.concatenate(rows)


def small_network(model: str) -> Features | None:
    """The network that ships in the model's folder; None where there is none. Needs no model in memory."""
    file = Path(model) / ATTRIBUTES_FILE
    return AttributeNetwork.load(file) if file.is_file() else None


def network_of(model: str, backbone: Backbone) -> Features:
    """What likeness is measured with on this base model, see the top of this file. model: its folder or Hub id."""
    return small_network(model) or Latents(backbone)


def square(image: Image.Image) -> Image.Image:
    """The middle of a picture, as it is learned from."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def mean_features(network: Features, images: Sequence[Image.Image]) -> Array:
    """(D,) float32, of length 1: the mean features of N pictures of any size."""
    with torch.inference_mode():
        rows = network.raw([square(image) for image in images])
    return np.asarray(unit(rows.mean(axis=0)), dtype=np.float32)


def likeness(one: Array, other: Array) -> float:
    """Of two sets of pictures with these ``mean_features``, -1 to 1."""
    return float(one @ other)
