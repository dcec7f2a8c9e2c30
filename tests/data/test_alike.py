"""Pictures that are nearly the same are found, and only they: measured on the sample people."""

from __future__ import annotations

import io
import itertools

import pytest
from PIL import Image, ImageEnhance

from clora_core.data.alike import NEARLY, apart, nearly_same, picture_hash
from clora_core.disk import ASSETS


@pytest.fixture(scope="module")
def people() -> list[Image.Image]:
    files = sorted((ASSETS / "base/people").glob("*/*.png"))
    return [Image.open(file).convert("RGB") for file in files]


def saved_again(image: Image.Image) -> Image.Image:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=60)
    return Image.open(data).convert("RGB")


def test_a_picture_saved_again_made_smaller_or_brighter_is_known_and_another_one_is_not(
    people: list[Image.Image],
) -> None:
    hashes = [picture_hash(image) for image in people]
    assert min(apart(one, other) for one, other in itertools.combinations(hashes, 2)) > NEARLY
    changes = (
        saved_again,
        lambda image: image.resize((90, 90)),
        lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    )
    for change in changes:
        again = [picture_hash(change(image)) for image in people[::4]]
        found = nearly_same(again, hashes)
        assert len(found) >= 0.9 * len(again) and all(4 * place == other for place, other in found)


def test_pairs_are_found_among_themselves_and_in_others(people: list[Image.Image]) -> None:
    one, two, three = (picture_hash(people[number]) for number in (0, 20, 40))
    assert nearly_same([one, two, one]) == [(2, 0)] and nearly_same([one, two]) == []
    assert nearly_same([three, two], [one, two]) == [(1, 1)] and nearly_same([one], []) == []
    assert nearly_same([one, ""], ["00", ""]) == []  # of another version, or none
