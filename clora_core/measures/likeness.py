"""How alike two sets of pictures look: the cosine of their mean features. 1 = the same; real pictures of one person
have about 0.9, of two about 0.5.

The features are the base model's own, so that nothing is downloaded: those of the small network that ships beside the
embedded model (``AttributeNetwork.raw``), else the latents of its VAE. They were chosen on the thirty benchmark people
by how well the mean of four held-out pictures is told to be of the right person and not of a wrong one, from the mean
of the eight taught ones (``scripts/likeness.py`` prints the table): AUC 0.995 for the network (0.991 for a single
picture), 0.991 for the latents (0.961), and less than 0.971 (0.897) for every block of the U-Net.

Of pictures that the small network does not know what to make of (``far_off``) it calls all alike: there the latents
are used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from clora_core.measures.attributes import ATTRIBUTES_FILE, AttributeNetwork
from clora_core.measures.features import Array, Features, unit
from clora_core.models.backbone import Backbone
from clora_core.verdict import SURE

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


def small_network(model: str) -> AttributeNetwork | None:
    """The network that ships in the model's folder; None where there is none. Needs no model in memory."""
    file = Path(model) / ATTRIBUTES_FILE
    return AttributeNetwork.load(file) if file.is_file() else None


def far_off(network: AttributeNetwork, images: Sequence[Image.Image]) -> bool:
    """Whether pictures are far from anything that the base model draws: its network is not SURE of what it sees there.

    How well the VAE brings pictures back says less: a drawn dog (error 0.036 of the range) comes back like people do
    (0.025 to 0.053).
    """
    return network.sureness([square(image) for image in images]) < SURE


def networks(model: str, backbone: Backbone) -> dict[str, Features]:
    """What likeness is measured with on this base model, by name, the best one first. model: its folder or Hub id."""
    found: list[Features] = [*filter(None, [small_network(model)]), Latents(backbone)]
    return {network.name: network for network in found}


def network_for(known: Mapping[str, Features], images: Sequence[Image.Image]) -> Features:
    """The first of the ``networks`` that can judge these pictures: the small one knows what it was trained on only."""
    able = (n for n in known.values() if not isinstance(n, AttributeNetwork) or not far_off(n, images))
    return next(able)


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


@dataclass(frozen=True, eq=False)
class Look:
    """What is kept of a concept's real pictures: their ``mean_features`` (D,), and the name of the network that saw
    them."""

    network: str
    mean: Array

    def to_bytes(self) -> bytes:
        """As a safetensors file."""
        return save({"mean": self.mean}, {"network": self.network})

    @classmethod
    def read(cls, path: Path) -> Look | None:
        """From such a file; None where there is none, or it is damaged: likeness is then not known."""
        try:
            with safe_open(path, "np") as file:
                return cls((file.metadata() or {}).get("network", ""), file.get_tensor("mean"))
        except (OSError, SafetensorError):
            return None
