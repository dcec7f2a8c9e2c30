"""What comes in: mended or refused by file name, one picture never stopping the others."""

from __future__ import annotations

import re
import struct
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw, ImageOps

from clora_core.data.pictures import MAX_KEPT_SIDE, MAX_PICTURES, accepted, minimum_side, open_pictures, usable
from clora_core.disk import ASSETS
from clora_core.errors import PictureError
from clora_core.measures.difference import difference, of_shapes
from clora_core.verdict import health
from demo.uploads import PICTURE_TYPES


def noise(size: tuple[int, int] = (64, 48), seed: int = 0, mode: str = "RGB") -> Image.Image:
    """A random picture that JPEG keeps well enough: 16 px blocks."""
    rng = np.random.default_rng(seed)
    bands = Image.fromarray(rng.integers(0, 256, (size[1] // 16, size[0] // 16, 3), dtype=np.uint8))
    return bands.resize(size, Image.Resampling.NEAREST).convert(mode)


def opened(path: Path, min_side: int = 32):
    (checked,) = open_pictures([path], min_side)
    assert (checked.image is None) != (checked.problem is None)
    return checked


def same(image: Image.Image | None, expected: Image.Image, tolerance: float) -> bool:
    assert image is not None and image.mode == "RGB" and image.size == expected.size
    return float(np.abs(np.asarray(image, float) - np.asarray(expected.convert("RGB"), float)).mean()) <= tolerance


@pytest.mark.parametrize(
    ("suffix", "tolerance"), [("png", 0), ("jpg", 4), ("webp", 8), ("avif", 8)]
)  # lossy formats blur the edges of the blocks
def test_the_four_formats_open(tmp_path: Path, suffix: str, tolerance: float) -> None:
    path = tmp_path / f"a.{suffix}"
    noise().save(path, quality=95) if suffix != "png" else noise().save(path)
    checked = opened(path)
    assert same(checked.image, noise(), tolerance) and checked.note is None


def test_exif_rotation_is_applied_and_dropped(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    noise().save(tmp_path / "a.png", exif=exif)
    checked = opened(tmp_path / "a.png")
    assert same(checked.image, noise().transpose(Image.Transpose.ROTATE_270), 0)
    assert "upright" in checked.note and not checked.image.getexif()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_goes_on_white(tmp_path: Path, mode: str) -> None:
    clear = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (0, 0, 20, 40))
    clear.convert(mode).save(tmp_path / "a.png")
    checked = opened(tmp_path / "a.png")
    assert checked.image.getpixel((5, 5)) == (0, 0, 0) and checked.image.getpixel((35, 5)) == (255, 255, 255)
    assert "white" in checked.note


def test_cmyk_is_converted(tmp_path: Path) -> None:
    noise(mode="CMYK").save(tmp_path / "a.jpg", quality=95)
    checked = opened(tmp_path / "a.jpg")
    assert same(checked.image, noise(), 6) and "CMYK" in checked.note


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64 * 48).astype(np.uint16).reshape(48, 64)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    checked = opened(tmp_path / "a.png")
    assert same(checked.image, Image.fromarray((ramp / 257).round().astype(np.uint8)), 0)
    assert "16-bit" in checked.note


def test_a_colour_profile_is_followed(tmp_path: Path) -> None:
    """A profile that calls red green and green red: the picture comes out with the two swapped."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")
    red, green, blue = noise().split()
    noise().save(tmp_path / "srgb.png", icc_profile=profile)
    noise().save(tmp_path / "swapped.png", icc_profile=swapped)
    assert same(opened(tmp_path / "srgb.png").image, noise(), 1)
    assert same(opened(tmp_path / "swapped.png").image, Image.merge("RGB", (green, red, blue)), 3)


@pytest.mark.parametrize("kind", ["LAB", "nonsense"])
def test_an_unsound_colour_profile_is_ignored(tmp_path: Path, kind: str) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    noise().save(tmp_path / "a.png", icc_profile=lab if kind == "LAB" else b"nonsense")
    assert same(opened(tmp_path / "a.png").image, noise(), 0)


def bomb(path: Path, width: int, height: int) -> None:
    """A tiny PNG whose header claims a huge picture."""

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def test_each_bad_file_is_refused_by_itself_and_the_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as where it is not installed
    noise().save(tmp_path / "good.png")
    noise(seed=1).save(tmp_path / "fine.jpg")
    noise((24, 64)).save(tmp_path / "small.png")
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "phone.HEIC").write_bytes(b"whatever")
    (tmp_path / "renamed.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    noise((256, 256), 2).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:-400])
    noise().save(tmp_path / "moving.webp", save_all=True, append_images=[noise(seed=3)])
    noise().save(tmp_path / "moving.png", save_all=True, append_images=[noise(seed=3)])
    noise().save(tmp_path / "old.gif")
    bomb(tmp_path / "bomb.png", 12_000, 12_000)
    bomb(tmp_path / "huge.png", 60_000, 60_000)
    noise().save(tmp_path / "twin.webp", lossless=True)
    expected = {
        "good.png": None, "fine.jpg": None,
        "small.png": "24 x 64 pixels.*at least 32", "text.png": "JPEG, PNG",
        "empty.jpg": "empty", "phone.HEIC": "HEIC.*pip install.*JPEG or PNG", "renamed.jpg": "HEIC.*pip install",
        "cut.png": "Damaged", "moving.webp": "An animation", "moving.png": "An animation", "old.gif": "GIF.*PNG",
        "bomb.png": "many pixels.*12000 x 12000", "huge.png": "many pixels", "missing.png": "cannot be read",
        "twin.webp": "same picture as good.png",
    }  # fmt: skip
    checked = open_pictures([tmp_path / name for name in expected], 32)
    for picture, (name, problem) in zip(checked, expected.items(), strict=True):
        assert picture.path.name == name
        if problem is None:
            assert picture.problem is None and picture.image is not None
        else:
            assert picture.image is None
            assert name not in picture.problem and picture.sentence == f"{name}: {picture.problem}"
            assert re.search(problem, picture.problem), picture.problem
    shown = {picture.path.name for picture in checked if picture.shown}
    assert shown == {"small.png", "moving.webp", "moving.png", "twin.webp"}


def test_heic_opens_upright_where_pillow_heif_is_installed(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = pillow_heif.from_pillow(noise((64, 48)))
    turned.save(tmp_path / "a.heic", quality=95, exif=exif.tobytes())
    checked = opened(tmp_path / "a.heic")
    assert same(checked.image, noise().transpose(Image.Transpose.ROTATE_270), 12)
    assert not checked.image.getexif()
    (tmp_path / "cut.heic").write_bytes((tmp_path / "a.heic").read_bytes()[:300])
    assert "Damaged" in opened(tmp_path / "cut.heic").problem


def test_caption_and_mask_beside_a_picture_come_with_it(tmp_path: Path) -> None:
    for name in "abc":
        noise(seed=ord(name)).save(tmp_path / f"{name}.jpg")
    plain = usable(open_pictures(sorted(tmp_path.glob("*.jpg")), 32))
    assert plain.captions == ("", "", "") and plain.masks == (None, None, None)
    (tmp_path / "b.txt").write_text("in the\nsnow \n", encoding="utf-8")
    half = Image.new("L", (32, 24))
    half.paste(255, (0, 0, 16, 24))
    half.save(tmp_path / "c-masklabel.png")
    found = usable(open_pictures(sorted(tmp_path.glob("*.jpg")), 32))
    assert found.captions == ("", "in the snow", "")
    assert found.masks[:2] == (None, None) and found.masks[2].size == (64, 48)
    assert found.masks[2].getpixel((5, 5)) == 255 and found.masks[2].getpixel((60, 5)) == 0
    assert found.sha256 != plain.sha256 and found.hashes == plain.hashes


@pytest.mark.parametrize(
    ("mask", "problem"),
    [
        (Image.new("L", (64, 48)), "all black"),
        (Image.new("L", (48, 64), 255), "another shape"),
        (b"no picture", "cannot be opened"),
    ],
    ids=["black", "shape", "damaged"],
)
def test_a_mask_that_cannot_be_used_refuses_its_picture(
    tmp_path: Path, mask: Image.Image | bytes, problem: str
) -> None:
    noise().save(tmp_path / "a.jpg")
    beside = tmp_path / "a-masklabel.png"
    mask.save(beside) if isinstance(mask, Image.Image) else beside.write_bytes(mask)
    assert re.search(f"a-masklabel.png.*{problem}", opened(tmp_path / "a.jpg").problem)


def test_a_text_that_is_no_caption_refuses_its_picture(tmp_path: Path) -> None:
    noise().save(tmp_path / "a.jpg")
    (tmp_path / "a.txt").write_bytes(b"\0" * 20)
    assert "a.txt" in opened(tmp_path / "a.jpg").problem


def test_large_pictures_are_shrunk_to_bound_memory(tmp_path: Path) -> None:
    noise((2400, 1200)).save(tmp_path / "a.png")
    assert opened(tmp_path / "a.png").image.size == (MAX_KEPT_SIDE, MAX_KEPT_SIDE // 2)


def test_three_are_needed_and_of_more_than_thirty_the_rest_is_not_even_opened(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(MAX_PICTURES + 2)]
    for number, path in enumerate(paths):
        noise(seed=number).save(path)
    with pytest.raises(PictureError, match="3 to 30 pictures, got 1. Add at least 2 more"):
        accepted(open_pictures(paths[:1], 32))
    noise((8, 8)).save(paths[4])  # leaves room for one of the rest
    paths[-1].write_text("not opened, so nothing is said of what is in it")
    checked = open_pictures(paths, 32)
    assert len(accepted(checked).images) == MAX_PICTURES and checked[-2].image
    assert checked[-1].problem == "One more than 30. Take out another to use it."


def test_too_few_usable_pictures_say_which_were_refused(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        noise(seed=number).save(path)
    assert len(accepted(open_pictures(paths, minimum_side(64))).images) == 3
    paths[1].write_bytes(b"")
    with pytest.raises(PictureError, match=r"got 2.*1.png: The file is empty"):
        accepted(open_pictures(paths, 32))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def exif_of(*entries: tuple[int, int, int, bytes]) -> bytes:
    """An EXIF block of (tag, type, count, value) entries, little-endian."""
    at, body, rest = 8 + 2 + 12 * len(entries) + 4, b"", b""
    for tag, kind, count, raw in sorted(entries):
        if len(raw) > 4:
            raw, rest = struct.pack("<I", at + len(rest)), rest + raw + b"\0" * (len(raw) % 2)
        body += struct.pack("<HHI", tag, kind, count) + raw.ljust(4, b"\0")
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + body + b"\0\0\0\0" + rest


@pytest.mark.parametrize(
    "odd",
    [
        (0x011A, 10, 1, struct.pack("<ii", -72, 1)),  # a negative resolution
        (0x0100, 2, 6, b"640px\0"),  # a width as text
        (0x0128, 4, 1, struct.pack("<I", 70000)),  # a unit out of range
    ],
    ids=["resolution", "width", "unit"],
)
def test_odd_exif_entries_do_not_keep_a_picture_from_being_turned(tmp_path: Path, odd: tuple) -> None:
    turn = (0x0112, 3, 1, struct.pack("<H", 6))
    noise().save(tmp_path / "a.jpg", quality=95, exif=exif_of(turn, odd))
    assert same(opened(tmp_path / "a.jpg").image, noise().transpose(Image.Transpose.ROTATE_270), 4)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_put_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    noise().save(tmp_path / "a.png", exif=exif)
    assert same(opened(tmp_path / "a.png").image, ImageOps.exif_transpose(Image.open(tmp_path / "a.png")), 0)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"zTXt", b"workflow\0\0" + zlib.compress(b"w" * 2_000_000)),
        (b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(b"w" * 2_000_000)),
        (b"iCCP", b"large\0\0" + zlib.compress(b"w" * 2_000_000)),
        (b"eXIf", b"Exif\0\0" * 350_000),  # Pillow 12 takes seconds, growing with the square
    ],
    ids=["text", "international text", "profile", "exif"],
)
def test_a_png_opens_without_what_is_oversized_beside_its_pixels(tmp_path: Path, kind: bytes, body: bytes) -> None:
    noise().save(tmp_path / "a.png")
    raw = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(raw[:33] + chunk(kind, body) + raw[33:])
    assert same(opened(tmp_path / "a.png").image, noise(), 0)


def test_of_a_strip_the_middle_is_used_and_said(tmp_path: Path) -> None:
    noise((960, 128)).save(tmp_path / "a.png")
    checked = opened(tmp_path / "a.png")
    assert same(checked.image, noise((960, 128)).crop((224, 0, 736, 128)), 0) and "only its middle" in checked.note


def test_a_huge_jpeg_is_decoded_smaller_and_a_huge_png_of_16_bit_takes_little_memory(tmp_path: Path) -> None:
    small = noise((640, 480))
    small.resize((12_000, 9_000), Image.Resampling.NEAREST).save(tmp_path / "a.jpg", quality=80)
    checked = opened(tmp_path / "a.jpg")
    assert same(checked.image, small.resize((2048, 1536), Image.Resampling.NEAREST), 3)
    Image.fromarray(np.zeros((6_000, 6_000), dtype=np.uint16)).save(tmp_path / "b.png")
    tracemalloc.start()
    assert opened(tmp_path / "b.png").image.size == (MAX_KEPT_SIDE, MAX_KEPT_SIDE)
    assert tracemalloc.get_traced_memory()[1] < 100e6  # what numpy holds: bands, not three copies in float64
    tracemalloc.stop()


def test_windows_names_for_jpeg_are_offered() -> None:
    assert {".jfif", ".jpe", ".jpg"} <= set(PICTURE_TYPES)


def portrait(path: Path, background: str, hair: int = 20) -> Path:
    """A face with black lines before a plain background."""
    picture = Image.new("RGB", (128, 128), background)
    draw = ImageDraw.Draw(picture)
    draw.ellipse((34, 34 - hair, 94, 120), fill="saddlebrown", outline="black", width=3)
    draw.ellipse((40, 40, 88, 116), fill="peachpuff", outline="black", width=3)
    for x in (52, 70):
        draw.ellipse((x, 62, x + 8, 68), fill="black")
    picture.save(path)
    return path


def test_a_difference_is_one_of_shapes_and_not_of_backgrounds(tmp_path: Path) -> None:
    one, again = portrait(tmp_path / "one.png", "palegreen"), portrait(tmp_path / "again.png", "lightblue")
    assert difference(one, one) == 0.0
    wall = of_shapes(Image.open(one), Image.open(again))
    assert health(wall) == "as good as new"
    other = portrait(tmp_path / "other.png", "palegreen", hair=-30)
    assert of_shapes(Image.open(one), Image.open(other)) > 4 * wall
    people = [ASSETS / "base" / "people" / name / "01.png" for name in ("ada", "bruno")]
    assert health(difference(*people)) == "lost"
    Image.new("RGB", (128, 128), "palegreen").save(tmp_path / "gone.png")
    assert difference(one, tmp_path / "gone.png") > 0.95  # the plain background is no reason to say less
    plain = tmp_path / "gone.png"
    assert difference(plain, plain) == 0.0
    with pytest.raises(ValueError, match="different sizes"):
        Image.open(one).resize((200, 200)).save(tmp_path / "larger.png")
        difference(one, tmp_path / "larger.png")


@pytest.mark.parametrize("damage", ["cut off", "overwritten"])
def test_a_damaged_picture_has_no_difference(tmp_path: Path, damage: str) -> None:
    whole, broken = tmp_path / "whole.png", tmp_path / "broken.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)).save(whole)
    data = whole.read_bytes()
    second = data.rindex(b"IDAT")
    damaged = data[:second] if damage == "cut off" else data[:second] + b"\0\0\0\0" + data[second + 4 :]
    broken.write_bytes(damaged)
    with pytest.raises(OSError):
        difference(whole, broken)


def test_a_difference_is_the_mean_over_windows_of_what_the_paper_says(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    x, y = (rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(2))
    for name, values in (("x", x), ("y", y)):
        Image.fromarray(values).save(tmp_path / f"{name}.png")
    found = []
    for row in range(58):
        for column in range(58):
            for channel in range(3):
                a, b = (v[row : row + 7, column : column + 7, channel].ravel() / 255 for v in (x, y))
                (var_a, cov), (_, var_b) = np.cov(a, b, bias=True)
                found.append((2 * cov + 0.0009) / (var_a + var_b + 0.0009))
    assert difference(tmp_path / "x.png", tmp_path / "y.png") == pytest.approx(1 - np.mean(found), abs=1e-9)
