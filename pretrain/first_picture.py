"""The first picture of a fresh home: ``python -m pretrain.first_picture`` writes ``first`` of clora.json.

Every concept of the example timeline is drawn with the seeds 0 to 7. Of those pictures that look as much like their
person's real ones as half of that person's pictures do, the one whose eyes are most alike is first: people are drawn
from the front, and a smeared or missing eye is no mirror image of the other one.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from clora_core.data.picture_sets import read_samples
from clora_core.disk import ASSETS
from clora_core.drawing.generate import generate
from clora_core.measures.likeness import likeness, mean_features, network_of
from clora_core.models.description import PRESET_FILE, read_base
from clora_core.models.loading import load_backbone
from clora_core.store.store import ConceptStore

EXAMPLE, SEEDS, AT_ONCE = "five-people", 8, 4
EYES, HALF, AXES = (0.28, 0.61), 0.27, (0.44, 0.56)
"""Where eyes are, as shares of a picture's side: from which height to which, how far to either side of the face's axis,
and where that can be."""

Drawn = tuple[str, int, float, float]
"""Prompt, seed, likeness to the real pictures, likeness of the two eyes."""


def eyes_alike(picture: Image.Image) -> float:
    """Correlation of the left half of the band of the eyes with the right half mirrored, about the axis where it is
    highest: 1 = the same."""
    grey = np.asarray(picture.convert("L"), float)
    side = len(grey)
    band, half = grey[round(EYES[0] * side) : round(EYES[1] * side)], round(HALF * side)
    axes = range(round(AXES[0] * side), round(AXES[1] * side) + 1)
    pairs = ((band[:, axis - half : axis], band[:, axis : axis + half][:, ::-1]) for axis in axes)
    return max(float(np.corrcoef(left.ravel(), right.ravel())[0, 1]) for left, right in pairs)


def drawn() -> Iterator[list[Drawn]]:
    """What was drawn of each concept."""
    base = read_base(ASSETS / "base")
    backbone = load_backbone(ASSETS / "base", "cpu")
    network = network_of(base.path, backbone)
    real = {}
    for sample in read_samples(ASSETS / "base" / "people"):
        real[sample.token] = mean_features(network, [Image.open(path).convert("RGB") for path in sample.pictures])
    with tempfile.TemporaryDirectory() as home:
        store = ConceptStore(Path(home))
        store.adopt(ASSETS / "timelines" / EXAMPLE)
        timeline = store.load(EXAMPLE, base.id, to_draw=True)
        for concept in timeline.concepts:
            prompt, found = f"a photo of {concept.token}", []
            for seed in range(0, SEEDS, AT_ONCE):
                asked = base.sampling.updated({"seed": seed, "pictures": AT_ONCE})
                for number, picture in enumerate(generate(backbone, timeline, prompt, asked)):
                    alike = likeness(mean_features(network, [picture]), real[concept.token])
                    found.append((prompt, seed + number, alike, eyes_alike(picture)))
            yield found


def choose() -> tuple[str, int]:
    """Prompt and seed of the first picture."""
    good: list[Drawn] = []
    for found in drawn():
        usual = statistics.median(alike for _, _, alike, _ in found)
        good += [one for one in found if one[2] >= usual]
    prompt, seed, alike, eyes = max(good, key=lambda one: one[3])
    print(f"{prompt}, seed {seed}: looks {alike:.2f} like the real pictures, and its eyes {eyes:.2f} like each other")
    return prompt, seed


def main() -> None:
    prompt, seed = choose()
    file = ASSETS / "base" / PRESET_FILE
    preset = json.loads(file.read_text())
    file.write_text(json.dumps(preset | {"first": {"prompt": prompt, "seed": seed}}, indent=2) + "\n")


if __name__ == "__main__":
    main()
