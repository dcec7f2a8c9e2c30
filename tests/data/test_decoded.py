"""Pictures kept on their way from the upload to the worker: none is decoded twice, as long as there is room."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clora_core.data import pictures
from clora_core.data.decoded import KEPT_BYTES, Decoded
from clora_core.data.pictures import open_pictures


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three different pictures of 40 x 48 pixels."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (48, 40, 3), dtype=np.uint8)).save(path)
    return paths


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[Image.Image]:
    """Every picture that is decoded."""
    found, decode = [], pictures._to_rgb

    def counted(image: Image.Image, notes: list[str]) -> Image.Image:
        found.append(image)
        return decode(image, notes)

    monkeypatch.setattr(pictures, "_to_rgb", counted)
    return found


def test_a_copy_is_the_same_picture(files: list[Path], decodes: list[Image.Image], tmp_path: Path) -> None:
    decoded = Decoded()
    first = open_pictures(files, 32, decoded.open)
    copies = [Path(shutil.copyfile(path, tmp_path / f"copy-{path.name}")) for path in files]
    again = open_pictures(copies, 16, decoded.open)
    assert len(decodes) == 3
    assert [picture.path for picture in again] == copies
    assert [(p.image, p.sha256) for p in again] == [(p.image, p.sha256) for p in first]
    assert [p.image.tobytes() for p in first] == [p.image.tobytes() for p in open_pictures(files, 32)]


def test_what_is_wrong_is_said_of_each_file(files: list[Path], tmp_path: Path) -> None:
    decoded = Decoded()
    open_pictures(files, 32, decoded.open)
    (small,) = open_pictures(files[:1], 64, decoded.open)
    assert small == open_pictures(files[:1], 64)[0] and "40 x 48 pixels" in str(small.problem)
    (twin, missing) = (tmp_path / "twin.png", tmp_path / "missing.png")
    shutil.copyfile(files[0], twin)
    found = open_pictures([files[0], twin, missing], 32, decoded.open)
    assert found == open_pictures([files[0], twin, missing], 32)
    assert "same picture as 0.png" in str(found[1].problem) and "cannot be read" in str(found[2].problem)


def test_those_used_longest_ago_are_dropped_to_bound_memory(files: list[Path], decodes: list[Image.Image]) -> None:
    decoded = Decoded(most_bytes=2 * 3 * 40 * 48)
    for path in (files[0], files[1], files[0], files[2], files[0], files[1]):
        decoded.open(path, 32)
    assert len(decodes) == 4  # the second again at the end


def test_there_is_room_for_the_most_and_largest_pictures_of_a_concept(tmp_path: Path) -> None:
    Image.new("RGB", (2100, 2100)).save(tmp_path / "large.png")
    largest = Decoded().open(tmp_path / "large.png", 32).image
    assert largest and 3 * largest.width * largest.height * pictures.MAX_PICTURES <= KEPT_BYTES
