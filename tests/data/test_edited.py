"""A picture cut, masked and described: what is learned from, and what is found again when it is edited once more."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clora_core.data.edited import Edit, apply_edit, edit_of, original_of
from clora_core.data.pictures import open_pictures
from clora_core.errors import PictureError


@pytest.fixture
def original(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 100, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "rex.png")
    return tmp_path / "rex.png"


def left_half() -> bytes:
    mask, data = Image.new("L", (50, 30)), io.BytesIO()
    mask.paste(255, (0, 0, 25, 30))
    mask.save(data, "PNG")
    return data.getvalue()


def test_what_was_chosen_is_learned_from_and_found_again(original: Path) -> None:
    image = Image.open(original).convert("RGB")
    chosen = Edit((0.4, 0.0, 1.0, 1.0), "in the snow", left_half())
    cut = apply_edit(original, image, chosen, 32)
    assert original_of(cut) == original and original_of(original) == original
    (checked,) = open_pictures([cut], 32)
    assert checked.image.tobytes() == image.crop((40, 0, 100, 60)).tobytes()
    assert checked.caption == "in the snow" and checked.name == "rex.png"
    assert np.asarray(checked.mask)[:, :10].all() and not np.asarray(checked.mask)[:, 10:].any()
    again = edit_of(cut, image.size)
    assert (again.box, again.caption) == (chosen.box, chosen.caption)
    assert apply_edit(original, image, again, 32) == cut
    assert open_pictures([cut], 32)[0].mask.tobytes() == checked.mask.tobytes()


def test_what_was_chosen_can_be_taken_back(original: Path) -> None:
    image = Image.open(original).convert("RGB")
    apply_edit(original, image, Edit((0.0, 0.0, 0.6, 1.0), "a hat", left_half()), 32)
    assert apply_edit(original, image, Edit(), 32) == original
    assert list(original.parent.iterdir()) == [original]
    assert edit_of(original, image.size) == Edit()


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (Edit((0.0, 0.0, 0.2, 1.0)), "too small: 20 x 60"),
        (Edit((0.5, 0.0, 1.5, 1.0)), "outside"),
        (Edit((0.6, 0.0, 1.0, 1.0), mask=left_half()), "mask covers all"),
        (Edit(mask=b"no picture"), "mask cannot be read"),
    ],
    ids=["small", "outside", "covered", "damaged"],
)
def test_a_choice_that_cannot_be_used_changes_nothing(original: Path, edit: Edit, problem: str) -> None:
    image = Image.open(original).convert("RGB")
    cut = apply_edit(original, image, Edit((0.0, 0.0, 0.6, 1.0), "a hat"), 32)
    before = {path.name: path.read_bytes() for path in original.parent.iterdir()}
    with pytest.raises(PictureError, match=problem):
        apply_edit(original, image, edit, 32)
    assert {path.name: path.read_bytes() for path in original.parent.iterdir()} == before and cut.exists()
