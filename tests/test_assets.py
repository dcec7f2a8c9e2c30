"""What ships in assets/: the embedded model, the sample people, the example timeline."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from diffusers import StableDiffusionPipeline
from PIL import Image

from clora_core.concepts import Timeline
from clora_core.drawing.generate import generate
from clora_core.measures.difference import difference
from clora_core.measures.features import EfficientNetLite0, unit_features
from clora_core.measures.metrics import cosine
from clora_core.models.description import read_base, unknown_words
from clora_core.models.loading import load_backbone
from clora_core.store.store import ConceptStore

ROOT = Path(__file__).parent.parent
BASE = ROOT / "assets" / "base"
PEOPLE = sorted((BASE / "people").iterdir())
HELD_OUT = ROOT / "assets" / "benchmarks" / "sample" / "held_out"


def test_the_embedded_model_is_small_and_safe() -> None:
    files = [path for path in BASE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 80e6
    assert {path.suffix for path in files} <= {".json", ".txt", ".md", ".safetensors", ".png", ".webp"}


def test_the_embedded_model_loads_and_draws_as_any_stable_diffusion_pipeline() -> None:
    pipe = StableDiffusionPipeline.from_pretrained(str(BASE))
    picture = pipe("a photo of a man", num_inference_steps=2).images[0]
    assert picture.size == (128, 128) and np.asarray(picture).std() > 10
    assert pipe.tokenizer("a photo of a man").input_ids[-1] == pipe.tokenizer.eos_token_id
    assert list(unknown_words(BASE, "a photo of a man riding a zebra")) == ["riding", "zebra"]


def test_the_preset_is_found() -> None:
    base = read_base(BASE)
    assert (base.train.resolution, base.sampling.width, base.sampling.height) == (128, 128, 128)


def test_the_embedded_model_draws_a_picture_and_follows_the_background() -> None:
    backbone = load_backbone(BASE, "cpu")
    empty = Timeline("none", "none", "")
    settings = read_base(BASE).sampling.updated({"seed": 3, "steps": 6})
    means = {}
    for colour in ("red", "blue"):
        picture = generate(backbone, empty, f"a portrait of a man, {colour} background", settings)[0]
        means[colour] = np.asarray(picture)[:16, :16].reshape(-1, 3).mean(0)  # the corner shows the background
    assert means["red"][0] > means["red"][1] + 40
    assert means["blue"][2] > means["blue"][0] + 40


@pytest.mark.parametrize("folder", PEOPLE, ids=lambda path: path.name)
def test_a_sample_person_has_eight_pictures_a_name_and_a_token(folder: Path) -> None:
    concept = json.loads((folder / "concept.json").read_text())
    assert concept["token"] == f"<{concept['name'].lower()}>"
    pictures = sorted(folder.glob("*.png"))
    assert len(pictures) == 8 and len(list((HELD_OUT / folder.name).glob("*.png"))) == 8
    assert {Image.open(path).size for path in pictures} == {(128, 128)}


def test_the_features_tell_the_sample_people_apart() -> None:
    network = EfficientNetLite0()
    taught, unseen = (
        {
            f.name: unit_features(network, [Image.open(p) for p in sorted((root / f.name).glob("*.png"))[:4]])
            for f in PEOPLE
        }
        for root in (BASE / "people", HELD_OUT)
    )
    for name, rows in unseen.items():
        assert max(taught, key=lambda other: cosine(rows, taught[other])) == name


def test_the_example_timeline_belongs_to_the_embedded_model() -> None:
    examples = sorted((ROOT / "assets" / "timelines").iterdir())
    assert examples
    base = read_base(BASE)
    for example in examples:
        record = json.loads((example / "timeline.json").read_text())
        assert record["base_id"] == base.id
        size = sum(path.stat().st_size for path in example.rglob("*") if path.is_file())
        assert size < 900_000 * len(record["concepts"])


def test_a_weight_takes_a_person_out_of_the_prompt(tmp_path: Path) -> None:
    """Scaling the rows of the word would leave her there: see `drawing.weights`."""
    store, base, backbone = ConceptStore(tmp_path), read_base(BASE), load_backbone(BASE, "cpu")
    store.adopt(ROOT / "assets" / "timelines" / "five-people")
    timeline = store.load("five-people", base.id, to_draw=True)
    settings = base.sampling.updated({"seed": 3, "steps": 6})

    def drawn(name: str, prompt: str) -> Path:
        generate(backbone, timeline, prompt, settings)[0].save(tmp_path / f"{name}.png")
        return tmp_path / f"{name}.png"

    gone, more = drawn("gone", "a photo of (<ada>:0)"), drawn("more", "a photo of (<ada>:1.5)")
    other = drawn("other", "a photo of <bruno>")
    assert difference(gone, more) > 0.6 * difference(drawn("ada", "a photo of <ada>"), other)
