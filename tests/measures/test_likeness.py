"""Likeness: the shipped network and the latents tell the benchmark's people apart; both work on any picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny.things import dog

from clora_core.disk import ASSETS
from clora_core.measures.attributes import AttributeNetwork
from clora_core.measures.likeness import Latents, far_off, likeness, mean_features, network_for, networks, small_network
from clora_core.models.backbone import Backbone

PEOPLE = ("ada", "bruno", "chika", "dario", "farid", "hugo")


def pictures(folder: Path) -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in sorted(folder.iterdir()) if path.suffix != ".json"]


@pytest.fixture(scope="module")
def network() -> AttributeNetwork:
    found = small_network(str(ASSETS / "base"))
    assert found
    return found


def test_the_shipped_network_knows_people_it_never_saw_from_each_other(network: AttributeNetwork) -> None:
    taught = {name: mean_features(network, pictures(ASSETS / "base/people" / name)) for name in PEOPLE}
    for name in PEOPLE:
        held_out = mean_features(network, pictures(ASSETS / "benchmarks/sample/held_out" / name)[:4])
        scores = {other: likeness(held_out, taught[other]) for other in PEOPLE}
        assert max(scores, key=lambda other: scores[other]) == name
        assert scores[name] > 0.8


def test_likeness_does_not_depend_on_the_size_of_a_picture(network: AttributeNetwork) -> None:
    real = pictures(ASSETS / "base/people/ada")
    larger = [image.resize((300, 300)) for image in real]
    assert likeness(mean_features(network, real), mean_features(network, larger)) > 0.98


def test_a_model_without_a_network_of_its_own_is_asked_for_latents(backbone: Backbone, tiny_folder: Path) -> None:
    network = network_for(networks(str(tiny_folder), backbone), [])
    assert isinstance(network, Latents)
    red, blue = (Image.new("RGB", (90, 50), colour) for colour in ("red", "blue"))
    one, other = mean_features(network, [red, red]), mean_features(network, [blue])
    assert one.shape == other.shape and np.isclose(likeness(one, one), 1.0, atol=1e-5)
    assert likeness(one, other) < 0.99


def test_what_is_no_portrait_is_far_off(network: AttributeNetwork) -> None:
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)) for _ in range(3)]
    assert far_off(network, noise)
    assert far_off(network, [dog(place) for place in range(3)])
    assert not any(far_off(network, pictures(ASSETS / "base/people" / name)) for name in PEOPLE)
