"""The first picture of a fresh home: ``python -m pretrain.first_picture`` writes ``first`` of clora.json.

Every concept of the example timeline is drawn with the seeds 0 to 7. The picture that looks most like its person's
real pictures is first.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from PIL import Image

from clora_core.data.picture_sets import read_samples
from clora_core.disk import ASSETS
from clora_core.drawing.generate import generate
from clora_core.measures.likeness import likeness, mean_features, network_of
from clora_core.models.description import PRESET_FILE, read_base
from clora_core.models.loading import load_backbone
from clora_core.store.store import ConceptStore

EXAMPLE, SEEDS, AT_ONCE = "five-people", 8, 4


def choose() -> tuple[str, int]:
    """Prompt and seed of the first picture."""
    base = read_base(ASSETS / "base")
    backbone = load_backbone(ASSETS / "base", "cpu")
    network = network_of(base.path, backbone)
    real = {}
    for sample in read_samples(ASSETS / "base" / "people"):
        real[sample.token] = mean_features(network, [Image.open(path).convert("RGB") for path in sample.pictures])
    best, first = -1.0, ("", 0)
    with tempfile.TemporaryDirectory() as home:
        store = ConceptStore(Path(home))
        store.adopt(ASSETS / "timelines" / EXAMPLE)
        timeline = store.load(EXAMPLE, base.id, to_draw=True)
        for concept in timeline.concepts:
            prompt = f"a photo of {concept.token}"
            for seed in range(0, SEEDS, AT_ONCE):
                asked = base.sampling.updated({"seed": seed, "pictures": AT_ONCE})
                pictures = generate(backbone, timeline, prompt, asked)
                for number, picture in enumerate(pictures):
                    alike = likeness(mean_features(network, [picture]), real[concept.token])
                    if alike > best:
                        best, first = alike, (prompt, seed + number)
    print(f"{first[0]}, seed {first[1]}, looks {best:.2f} like the real pictures")
    return first


def main() -> None:
    prompt, seed = choose()
    file = ASSETS / "base" / PRESET_FILE
    preset = json.loads(file.read_text())
    file.write_text(json.dumps(preset | {"first": {"prompt": prompt, "seed": seed}}, indent=2) + "\n")


if __name__ == "__main__":
    main()
