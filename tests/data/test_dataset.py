"""Augmentation, its masks and wording, and batches as a function of (seed, step)."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from clora_core.concepts import Concept
from clora_core.data.dataset import (
    CLOSE_UP_SCALES,
    FAR_AWAY_BELOW,
    GREY,
    LatentDataset,
    encode_views,
    framed,
    latent_mask,
    make_views,
)
from clora_core.data.pictures import accepted, open_pictures
from clora_core.errors import ConceptError
from clora_core.seeds import generator_for


@pytest.fixture
def concept(pictures) -> Concept:
    return Concept("Rex", "<rex>", pictures)


@pytest.fixture
def red() -> list[Image.Image]:
    return [Image.new("RGB", (60, 40), (255, 0, 0))]


@pytest.mark.parametrize(
    ("template", "framing", "expected"),
    [
        ("a photo of {}", "", "a photo of {}"),
        ("a photo of {}", "far away", "a far away photo of {}"),
        ("a photo of {}", "close-up", "a close-up photo of {}"),
        ("{} in a garden", "far away", "{} in a garden, far away"),
    ],
)
def test_the_framing_is_said_in_the_prompt(template: str, framing: str, expected: str) -> None:
    assert framed(template, framing) == expected


def test_the_first_view_is_the_plain_middle_of_the_picture(concept, config) -> None:
    image = Image.new("RGB", (64, 32), "black")
    image.paste("white", (16, 0, 48, 32))
    view = make_views([image], concept, config)[0]
    assert view.prompt == "a photo of <rex>" and view.valid.all()
    assert np.asarray(view.image).min() == 255


def test_a_view_says_how_large_its_picture_was_and_where_it_was_cut(concept, config) -> None:
    """Each pixel's colour is its place, so that a view tells its scale, and where its corner comes from."""
    x, y = np.meshgrid(np.arange(120), np.arange(80))
    image = Image.fromarray(np.stack([x, y, 0 * x], -1).astype(np.uint8))
    views = make_views([image], concept, config.updated({"augment_copies": 30, "resolution": 40}))
    assert views[0].sizes == (80, 120, 0, 10, 40, 40)
    assert {view.sizes[:2] + view.sizes[4:] for view in views} == {(80, 120, 40, 40)}
    filled = [view for view in views if view.valid.all()]
    for view in filled:
        corner, opposite = (np.asarray(view.image, float)[end, end, :2] for end in (0, -1))
        scale = 39 / (opposite - corner)
        assert np.allclose(corner * scale, (view.sizes[3], view.sizes[2]), atol=1.5)
    assert len({view.sizes for view in filled}) > 5


def test_a_caption_extends_the_prompt_of_its_picture_alone(concept, config, red) -> None:
    views = make_views(red * 3, concept, config.updated({"augment_copies": 1}), ("", "in the snow", "<REX> asleep"))
    assert [view.prompt for view in views] == ["a photo of <rex>", "a photo of <rex>, in the snow", "<rex> asleep"]


def test_a_mask_takes_its_pixels_out_of_every_view_and_changes_no_picture(concept, config) -> None:
    """Left half red and counted, right half blue and masked out: nothing that counts is blue."""
    image, mask = Image.new("RGB", (60, 40), (255, 0, 0)), Image.new("L", (60, 40), 255)
    image.paste((0, 0, 255), (30, 0, 60, 40))
    mask.paste(0, (28, 0, 60, 40))
    many = config.updated({"augment_copies": 40, "augment_share": 0.6, "flip": True})
    plain, masked = make_views([image], concept, many), make_views([image], concept, many, masks=[mask])
    for one, other in zip(plain, masked, strict=True):
        assert one.image.tobytes() == other.image.tobytes() and one.prompt == other.prompt
        counted = np.asarray(other.image)[other.valid]
        assert other.valid.any() and (other.valid <= one.valid).all() and other.valid.sum() < one.valid.sum()
        assert counted[:, 2].max() < 64
    unmasked = make_views([image], concept, many, ("",), (None,))
    assert all((a.valid == b.valid).all() and a.prompt == b.prompt for a, b in zip(plain, unmasked, strict=True))


def test_views_show_the_picture_where_valid_and_grey_elsewhere(concept, config, red) -> None:
    views = make_views(red, concept, config.updated({"augment_copies": 40, "augment_share": 1.0}))
    wording = Counter()
    for view in views:
        pixels = np.asarray(view.image)
        assert (pixels[view.valid] == (255, 0, 0)).all() and (pixels[~view.valid] == GREY).all()
        side = round(float(view.valid.sum()) ** 0.5)
        if view.prompt == "a far away photo of <rex>":
            assert side <= FAR_AWAY_BELOW * config.resolution + 1
        elif view.prompt == "a close-up photo of <rex>":
            assert side == config.resolution
        else:
            assert view.prompt == "a photo of <rex>" and side >= FAR_AWAY_BELOW * config.resolution - 1
        wording[view.prompt] += 1
    assert len(wording) == 3 and min(wording.values()) >= 4


def test_a_close_up_is_enlarged(concept, config) -> None:
    """A picture whose left half is black: enlarged, its edge is cut somewhere inside the view."""
    image = Image.new("RGB", (32, 32), "white")
    image.paste("black", (0, 0, 16, 32))
    views = make_views([image], concept, config.updated({"augment_copies": 40, "augment_share": 1.0}))
    blacks = [np.asarray(v.image)[0, :, 0] < 128 for v in views if "close-up" in v.prompt]
    largest = CLOSE_UP_SCALES[1] * 16
    assert all(black.sum() <= largest + 1 for black in blacks)
    assert any(black.sum() > 16 for black in blacks) and any(black.sum() < 16 for black in blacks)


def test_no_share_means_no_resizing_and_flip_mirrors(concept, config) -> None:
    image = Image.new("RGB", (32, 32), "white")
    image.paste("black", (0, 0, 16, 32))
    plain = make_views([image], concept, config.updated({"augment_copies": 20, "augment_share": 0.0}))
    assert all(view.valid.all() and np.asarray(view.image)[0, 0, 0] == 0 for view in plain)
    flipped = make_views([image], concept, config.updated({"augment_copies": 20, "augment_share": 0.0, "flip": True}))
    assert {int(np.asarray(view.image)[0, 0, 0]) for view in flipped} == {0, 255}


def test_views_are_a_function_of_the_seed(concept, config) -> None:
    images = accepted(open_pictures(concept.pictures, 32)).images
    config = config.updated({"augment_copies": 4})
    one, same = make_views(images, concept, config), make_views(images, concept, config)
    other = make_views(images, concept, config.updated({"seed": 1}))
    assert [v.image.tobytes() for v in one] == [v.image.tobytes() for v in same]
    assert [v.image.tobytes() for v in one] != [v.image.tobytes() for v in other]


def test_a_latent_cell_is_valid_only_well_inside_the_picture() -> None:
    valid = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    valid[..., 6:26, 0:20] = True  # rows 2..5 are whole cells of 4, columns 0..4
    expected = torch.zeros(8, 8)
    expected[3:5, 0:4] = 1  # one cell less inside the canvas, none at its edge
    assert torch.equal(latent_mask(valid, 4)[0, 0], expected)
    assert latent_mask(torch.ones(1, 1, 32, 32), 8).min() == 1


def test_latents_are_the_vaes_and_scaled(backbone, concept, config) -> None:
    backbone.installation.install((), reserve="<rex>")
    images = accepted(open_pictures(concept.pictures, 32)).images
    views = make_views(images, concept, config.updated({"augment_copies": 3}))
    dataset = encode_views(backbone, views)
    assert dataset.latents.shape == (12, 4, 8, 8) and dataset.masks.shape == (12, 1, 8, 8)
    pixels = torch.from_numpy(np.asarray(views[5].image) / 127.5 - 1).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        mean = backbone.pipe.vae.encode(pixels).latent_dist.mean * 0.5  # the tiny VAE's scaling factor
    assert torch.allclose(dataset.latents[5:6], mean, atol=1e-5)
    assert dataset.prompts[5] == views[5].prompt


def test_encoding_says_how_far_it_is(backbone, concept, config) -> None:
    backbone.installation.install((), reserve="<rex>")
    images = [Image.new("RGB", (64, 64))] * 10
    told: list[tuple[int, int]] = []
    encode_views(
        backbone,
        make_views(images, concept, config.updated({"augment_copies": 1})),
        lambda done, total: told.append((done, total)),
    )
    assert told == [(0, 10), (8, 10)]


def test_a_prompt_too_long_for_the_token_is_refused(backbone, concept, config) -> None:
    backbone.installation.install((), reserve="<rex>")
    long = Concept("Rex", "<rex>", concept.pictures, template="a b c d e f g h i j k l m n o p q r s t u v {}")
    views = make_views([Image.new("RGB", (32, 32))], long, config)
    with pytest.raises(ConceptError, match="Shorten the template"):
        encode_views(backbone, views)


def _numbered(count: int) -> LatentDataset:
    latents = torch.arange(float(count)).view(count, 1, 1, 1)
    return LatentDataset(
        latents, torch.ones(count, 1, 1, 1), tuple(map(str, range(count))), torch.arange(6 * count).reshape(count, 6)
    )


def test_batches_see_every_view_equally_often() -> None:
    dataset, seen = _numbered(7), Counter()
    for step in range(1, 8):
        latents, _, prompts, sizes = dataset.batch(seed=3, step=step, size=3)
        assert [str(row // 6) for row in sizes[:, 0].tolist()] == prompts
        assert [str(int(value)) for value in latents.flatten()] == prompts
        seen.update(prompts)
    assert set(seen.values()) == {3} and len(seen) == 7


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    dataset = _numbered(50)
    in_order = [dataset.batch(0, step, 4)[2] for step in range(1, 30)]
    assert dataset.batch(0, 29, 4)[2] == in_order[-1]
    assert dataset.batch(1, 1, 4)[2] != in_order[0]


def test_generators_of_other_seeds_and_uses_differ() -> None:
    keys = [(0, "noise", 1), (0, "noise", 2), (1, "noise", 1), (0, "order", 1)]
    drawn = {float(torch.rand((), generator=generator_for(*key))) for key in keys}
    assert len(drawn) == 4
    assert torch.rand((), generator=generator_for(*keys[0])) == torch.rand((), generator=generator_for(*keys[0]))
