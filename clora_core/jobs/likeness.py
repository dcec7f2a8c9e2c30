"""How like its own pictures a new concept is drawn: what is measured of it, and what is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from clora_core.data.pictures import FORMATS, Opening, open_pictures, usable
from clora_core.measures.features import Array, Features, unit
from clora_core.measures.likeness import Look, network_for, networks, square
from clora_core.models.backbone import Backbone


@dataclass(frozen=True, eq=False)
class RealPictures:
    """The pictures a concept is learned from, as the measure sees them.

    networks: all that may judge on this base model, by name.  network: the one that judges these.
    mean: their mean features (D,), of length 1.  each: (N,) how like the others each one is.  typical: the one nearest
    to the mean.
    """

    networks: Mapping[str, Features]
    network: Features
    mean: Array
    each: Array
    typical: Image.Image

    @property
    def look(self) -> Look:
        """What is kept of them for later."""
        return Look(self.network.name, self.mean)

    @property
    def alike(self) -> float:
        """How like the others a real picture is: what a drawn one can reach."""
        return float(self.each.mean())

    def likeness(self, paths: Sequence[Path]) -> Array:
        """(N,): how like them each of these pictures is."""
        return self.likeness_to(self.look, paths)

    def likeness_to(self, look: Look, paths: Sequence[Path]) -> Array:
        """(N,): how like what was kept of other real pictures each of these is."""
        return features(self.networks[look.network], paths) @ look.mean


def features(network: Features, paths: Sequence[Path]) -> Array:
    """(N, D) float32 of length 1, of N picture files."""
    images = []
    for path in paths:
        with Image.open(path, formats=FORMATS) as image:
            images.append(square(image.convert("RGB")))
    return unit(network.raw(images))


def look_at(model: str, backbone: Backbone, paths: Sequence[Path], opening: Opening) -> RealPictures:
    """What the measure sees of a concept's own pictures. model: the base model's folder or Hub id.

    Raises ValueError when none of them can be read.
    """
    images = [square(image) for image in usable(open_pictures(paths, 1, opening)).images]
    if not images:
        raise ValueError("none of the pictures can be read any more")
    known = networks(model, backbone)
    network = network_for(known, images)
    rows = network.raw(images)
    total = rows.sum(axis=0)
    others = unit(total - rows) if len(rows) > 1 else unit(rows)
    each = (unit(rows) * others).sum(axis=1)
    mean = unit(total)
    typical = images[int(np.argmax(unit(rows) @ mean))]
    return RealPictures(known, network, mean, each, typical)
