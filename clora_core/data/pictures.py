"""Pictures in: opened, checked, put upright and into RGB, each refused or mended by file name.

JPEG, PNG, WebP and AVIF. A refused file never stops the others.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from clora_core.errors import PictureError

MIN_PICTURES, MAX_PICTURES = 3, 30
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "AVIF")  # MPO: JPEG with a second view in it, as phones write
MAX_PIXELS = 120_000_000  # a 108-megapixel phone passes; read from the header, before anything is decoded
MAX_FILE_BYTES = 200_000_000
MAX_KEPT_SIDE = 2048  # pixels; larger pictures are shrunk to it once opened, to bound memory
HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis")
HEIC_SUFFIXES = (".heic", ".heif")


@dataclass(frozen=True)
class CheckedPicture:
    """One file: `image` (RGB, upright) or the `problem` with it, never both; `note` says what was mended."""

    path: Path
    image: Image.Image | None
    problem: str | None = None
    note: str | None = None


def minimum_side(resolution: int) -> int:
    """The shortest side in pixels worth learning at `resolution`: half of it, so enlarged twice at most."""
    return resolution // 2


def open_pictures(paths: Sequence[Path | str], min_side: int) -> list[CheckedPicture]:
    """Open and check every file, in the order given; never raises for what is in a file.

    min_side: shortest side in pixels to accept. A picture that has the same pixels as an earlier one is
    refused as a duplicate, and what comes after MAX_PICTURES good ones without being opened, to bound memory. Every
    problem names the file, what is wrong and what to do.
    """
    checked: list[CheckedPicture] = []
    seen: dict[str, str] = {}
    for path in map(Path, paths):
        if len(seen) == MAX_PICTURES:
            checked.append(_refused(path, f"is one more than {MAX_PICTURES}. Take out another to use it."))
            continue
        picture = _open(path, min_side)
        if picture.image is not None:
            key = _digest(picture.image)
            if key in seen:
                picture = _refused(path, f"is the same picture as {seen[key]}. Use a different one.")
            else:
                seen[key] = path.name
        checked.append(picture)
    return checked


def pictures_digest(images: Iterable[Image.Image]) -> str:
    """SHA-256 of a set of pictures by their pixels, whatever their order, names and formats."""
    return hashlib.sha256("".join(sorted(map(_digest, images))).encode()).hexdigest()


def _digest(image: Image.Image) -> str:
    return hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest()


def accepted(checked: Sequence[CheckedPicture]) -> list[Image.Image]:
    """The usable images. Raises PictureError when there are fewer than MIN_PICTURES, naming what was refused."""
    images = [picture.image for picture in checked if picture.image is not None]
    if len(images) >= MIN_PICTURES:
        return images
    wanted = f"A concept needs {MIN_PICTURES} to {MAX_PICTURES} pictures, got {len(images)}."
    problems = " ".join(picture.problem for picture in checked if picture.problem)
    raise PictureError(f"{wanted} Add at least {MIN_PICTURES - len(images)} more. {problems}".strip())


def _refused(path: Path, why: str) -> CheckedPicture:
    return CheckedPicture(path, None, problem=f"{path.name} {why}")


def _open(path: Path, min_side: int) -> CheckedPicture:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        return _refused(path, f"cannot be read ({error.strerror or error}). Choose the file again.")
    if size == 0:
        return _refused(path, "is empty. Save or download it again.")
    if path.suffix.lower() in HEIC_SUFFIXES or (head[4:8] == b"ftyp" and head[8:12] in HEIC_BRANDS):
        return _refused(path, "is a HEIC picture, which cannot be read here. Save it as JPEG or PNG first.")
    if size > MAX_FILE_BYTES:
        return _refused(path, f"has {size / 1e6:.0f} MB. Save a copy under {MAX_FILE_BYTES / 1e6:.0f} MB.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS below is the limit
            with Image.open(path) as image:
                return _check(path, image, min_side)
    except Image.DecompressionBombError:
        return _refused(path, _too_many_pixels())
    except UnidentifiedImageError:
        return _refused(path, "is not a picture this app reads. Use JPEG, PNG, WebP or AVIF.")
    except Exception as error:  # on damaged bytes decoders raise nearly anything; the other files go on
        return _refused(path, f"is damaged and cannot be opened ({error}). Save or download it again.")


def _check(path: Path, image: Image.Image, min_side: int) -> CheckedPicture:
    """What the header tells first, so that nothing over-large is ever decoded."""
    if image.format not in FORMATS:
        return _refused(path, f"is a {image.format} file. Save it as JPEG, PNG, WebP or AVIF.")
    width, height = image.size
    if width * height > MAX_PIXELS:
        return _refused(path, f"is {width} x {height} pixels. {_too_many_pixels().capitalize()}")
    if min(width, height) < min_side:
        return _refused(
            path, f"is too small: {width} x {height} pixels. Its shorter side must have at least {min_side}."
        )
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        return _refused(path, "is an animation. Save one frame of it as a picture.")
    notes: list[str] = []
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
    image.load()
    rgb = _to_rgb(image, notes)
    if turned:
        rgb = ImageOps.exif_transpose(_with_exif(rgb, image))
        notes.append("turned upright (EXIF)")
    if max(rgb.size) > MAX_KEPT_SIDE:
        rgb.thumbnail((MAX_KEPT_SIDE, MAX_KEPT_SIDE), Image.Resampling.LANCZOS)
    plain = Image.frombytes("RGB", rgb.size, rgb.tobytes())  # no metadata: EXIF may hold where it was taken
    return CheckedPicture(path, plain, note=", ".join(notes) or None)


def _too_many_pixels() -> str:
    return f"has too many pixels. Save a smaller copy: up to {MAX_PIXELS // 10**6} megapixels can be opened."


def _with_exif(rgb: Image.Image, source: Image.Image) -> Image.Image:
    rgb.info["exif"] = source.getexif().tobytes()
    return rgb


def _to_rgb(image: Image.Image, notes: list[str]) -> Image.Image:
    """8-bit sRGB on white; what was done is added to `notes`."""
    if image.mode.startswith("I"):  # 16-bit grey: Pillow's own conversion would clip it
        notes.append("16-bit converted")
        levels = np.asarray(image, dtype=np.float64).clip(0, 65535)
        image = Image.fromarray((levels / 257.0).round().astype(np.uint8))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        if rgba.getchannel("A").getextrema()[0] < 255:  # type: ignore[operator]
            notes.append("transparent parts put on white")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    if image.mode == "CMYK":
        notes.append("CMYK converted")
    return _to_srgb(image)


def _to_srgb(image: Image.Image) -> Image.Image:
    """By the picture's own colour profile where it has a sound one, else Pillow's plain conversion."""
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "CMYK", "L"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None  # an unsound profile says nothing about the colours
        if converted is not None:
            return converted
    return image.convert("RGB")
