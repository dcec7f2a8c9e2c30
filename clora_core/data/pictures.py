"""Pictures in: opened, checked, put upright and into RGB, each refused or mended by itself.

JPEG, PNG, WebP and AVIF, and HEIC where pillow-heif is installed: no other decoder ever sees a file. A refused file
never stops the others. What is only written beside the pixels (text, odd EXIF entries, oversized profiles) is left out
and refuses nothing.
"""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from clora_core.data.alike import picture_hash
from clora_core.data.beside import caption_beside, mask_beside
from clora_core.errors import PictureError

MIN_PICTURES, MAX_PICTURES = 3, 30
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF")  # JPEG also opens MPO, with a second view in it, as phones write
MAX_PIXELS = 120_000_000  # of a JPEG, which is shrunk while it is decoded: a 108-megapixel phone passes
MAX_PIXELS_WHOLE = 50_000_000  # of the other formats, which stand in memory whole; both are read from the header
MAX_EXIF_BYTES = 1_000_000  # Pillow's parser takes time that grows with the square (CVE-2026-96643)
MAX_UNPACKED_BYTES = 1 << 20  # of a text or a colour profile inside a PNG; Pillow refuses a picture with more
LONGEST = 4  # times the shorter side: of a longer strip its middle is used
MAX_FILE_BYTES = 200_000_000
SHOWN_SIDE = 160  # pixels of a refused picture, to know it by
CROP_END = ".crop.png"  # of the name of a part that was cut from a picture, see `clora_core.data.edited`
MAX_KEPT_SIDE = 2048  # pixels; larger pictures are shrunk to it once opened, to bound memory
HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis")
HEIC_SUFFIXES = (".heic", ".heif")
DAMAGED = "Damaged: it cannot be opened. Save or download it again."
HEIC_COMMAND = "python -m pip install pillow-heif"
MANY_PICTURES = ("MPO", "HEIF")  # phones put further pictures into one file; the first is the picture
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".avif")  # of the formats that open
OTHERS = {
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"8BPS": "Photoshop",
    b"%PDF": "PDF",
    b"<svg": "SVG",
}
MAX_CHUNKS = 100_000  # of a PNG: its largest file, written in pieces of 8 KB, has a quarter of that
PNG_HEAD = b"\x89PNG\r\n\x1a\n"
TURNS = {  # EXIF's orientation -> what puts the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class CheckedPicture:
    """One file: `image` (RGB, upright) or the `problem` with it, a sentence, never both; `note` says what was mended.

    sha256: of the image's pixels.  file_size: width and height in the file, pixels.  caption: the words beside it.
    mask: what of it counts (see `mask_beside`); None = all.  looks: see `picture_hash`. These of what can be used only.
    shown: a refused picture, small, where it could be opened.
    """

    path: Path
    image: Image.Image | None
    problem: str | None = None
    note: str | None = None
    sha256: str = ""
    file_size: tuple[int, int] = (0, 0)
    caption: str = ""
    mask: Image.Image | None = None
    looks: str = ""
    shown: Image.Image | None = None

    @property
    def name(self) -> str:
        """The name of the file that somebody gave."""
        return given_name(self.path)

    @property
    def sentence(self) -> str:
        """The problem with the file's name before it; "" for a picture that can be used."""
        return f"{self.name}: {self.problem}" if self.problem else ""


@dataclass(frozen=True)
class PictureSet:
    """The usable ones of a concept's pictures, decoded.

    sha256: of their pixels, captions and masks, whatever their order, names and formats.  captions, masks: one for each
    picture, see `CheckedPicture`.  hashes: of what each looks like (`picture_hash`).
    """

    paths: tuple[Path, ...]
    images: tuple[Image.Image, ...]
    sha256: str
    captions: tuple[str, ...]
    masks: tuple[Image.Image | None, ...]
    hashes: tuple[str, ...]


Opening = Callable[[Path, int], CheckedPicture]
"""(path, shortest side in pixels to accept) -> the picture, or what is wrong with it."""


def given_name(path: Path) -> str:
    """The name of the file that somebody gave: that of the whole picture where only a part of it counts."""
    return path.name.removesuffix(CROP_END)


def minimum_side(resolution: int) -> int:
    """The shortest side in pixels worth learning at `resolution`: half of it, so enlarged twice at most."""
    return resolution // 2


def open_pictures(paths: Sequence[Path | str], min_side: int, opening: Opening | None = None) -> list[CheckedPicture]:
    """Open and check every file, in the order given; never raises for what is in a file.

    min_side: shortest side in pixels to accept. A picture that has the same pixels as an earlier one is
    refused as a duplicate, and what comes after MAX_PICTURES good ones without being opened, to bound memory. Every
    problem says what is wrong and what to do. What lies beside a picture (`clora_core.data.beside`) comes with it.
    opening: how one is opened; None = `open_picture`.
    """
    checked: list[CheckedPicture] = []
    seen: dict[str, str] = {}
    for path in map(Path, paths):
        if len(seen) == MAX_PICTURES:
            checked.append(_refused(path, f"One more than {MAX_PICTURES}. Take out another to use it."))
            continue
        picture = (opening or open_picture)(path, min_side)
        if picture.sha256 in seen:
            same = f"The same picture as {seen[picture.sha256]}. Use a different one."
            picture = _refused(path, same, picture.image)
        elif picture.image is not None:
            picture = _with_beside(picture, picture.image)
            if picture.image is not None:
                seen[picture.sha256] = given_name(path)
        checked.append(picture)
    return checked


def _with_beside(picture: CheckedPicture, image: Image.Image) -> CheckedPicture:
    """The picture with the caption and the mask that lie beside it, or refused for what is wrong with them."""
    try:
        caption, mask = caption_beside(picture.path), mask_beside(picture.path, image.size)
    except (ValueError, OSError) as error:
        return _refused(picture.path, f"It cannot be used: {error}", image)
    return replace(picture, caption=caption, mask=mask)


def usable(checked: Sequence[CheckedPicture]) -> PictureSet:
    """Those that can be used, in order."""
    found = [(picture, picture.image) for picture in checked if picture.image is not None]
    digests = "".join(sorted(_digest(picture) for picture, _ in found))
    return PictureSet(
        tuple(picture.path for picture, _ in found),
        tuple(image for _, image in found),
        hashlib.sha256(digests.encode()).hexdigest(),
        tuple(picture.caption for picture, _ in found),
        tuple(picture.mask for picture, _ in found),
        tuple(picture.looks for picture, _ in found),
    )


def _digest(picture: CheckedPicture) -> str:
    """SHA-256 of a usable picture: of its pixels, and of caption and mask where it has them."""
    if not picture.caption and picture.mask is None:
        return picture.sha256
    mask = picture.mask.tobytes() if picture.mask else b""
    return hashlib.sha256(picture.sha256.encode() + picture.caption.encode() + b"\0" + mask).hexdigest()


def accepted(checked: Sequence[CheckedPicture]) -> PictureSet:
    """`usable`. Raises PictureError when there are fewer than MIN_PICTURES, naming what was refused."""
    found = usable(checked)
    if len(found.images) >= MIN_PICTURES:
        return found
    wanted = f"A concept needs {MIN_PICTURES} to {MAX_PICTURES} pictures, got {len(found.images)}."
    problems = " ".join(picture.sentence for picture in checked if picture.problem)
    raise PictureError(f"{wanted} Add at least {MIN_PICTURES - len(found.images)} more. {problems}".strip())


def _refused(path: Path, why: str, image: Image.Image | None = None) -> CheckedPicture:
    """image: the picture, where it could be opened."""
    return CheckedPicture(path, None, problem=why, shown=image and _small(image))


def _small(image: Image.Image) -> Image.Image | None:
    """A picture to be known by; None where its pixels cannot be had."""
    try:
        image.draft("RGB", (SHOWN_SIDE, SHOWN_SIDE))
        small = image.convert("RGB")
        small.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    except Exception:  # as below
        return None
    return small


def too_small(path: Path, size: tuple[int, int], min_side: int, image: Image.Image | None = None) -> CheckedPicture:
    """The refusal of a picture of ``size`` (width, height) in pixels."""
    wanted = f"Its shorter side must have at least {min_side}."
    return _refused(path, f"Too small: {size[0]} x {size[1]} pixels. {wanted}", image)


def open_picture(path: Path, min_side: int) -> CheckedPicture:
    """Open and check one file; see `open_pictures`."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        return _refused(path, f"It cannot be read ({error.strerror or error}). Choose the file again.")
    if size == 0:
        return _refused(path, "The file is empty. Save or download it again.")
    formats: tuple[str, ...] = FORMATS
    if path.suffix.lower() in HEIC_SUFFIXES or (head[4:8] == b"ftyp" and head[8:12] in HEIC_BRANDS):
        if not opens_heic():
            return _refused(path, f"A HEIC picture. To open it here: {HEIC_COMMAND}. Or save it as JPEG or PNG.")
        formats = (*FORMATS, "HEIF")
    if size > MAX_FILE_BYTES:
        return _refused(path, f"It has {size / 1e6:.0f} MB. Save a copy under {MAX_FILE_BYTES / 1e6:.0f} MB.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS below is the limit
            with Image.open(_without_oversized(path) if head.startswith(PNG_HEAD) else path, formats=formats) as image:
                return _check(path, image, min_side)
    except Image.DecompressionBombError:
        return _refused(path, _too_many_pixels(MAX_PIXELS))
    except UnidentifiedImageError:
        if formats is not FORMATS:
            return _refused(path, DAMAGED)
        other = next((f"A {kind} file" for start, kind in OTHERS.items() if head.startswith(start)), "")
        return _refused(path, f"{other or 'Not a picture that this app reads'}. Use JPEG, PNG, WebP or AVIF.")
    except Exception:  # on damaged bytes decoders raise nearly anything; the other files go on
        return _refused(path, DAMAGED)


def known_formats() -> tuple[str, ...]:
    """Pillow's names of what can be opened here."""
    return (*FORMATS, "HEIF") if opens_heic() else FORMATS


def opens_heic() -> bool:
    """Whether HEIC pictures can be opened: with pillow-heif, which may be installed or not."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def _check(path: Path, image: Image.Image, min_side: int) -> CheckedPicture:
    """What the header tells first, so that nothing over-large is ever decoded."""
    width, height = image.size
    if why := too_many_pixels(image):
        return _refused(path, why)
    if min(width, height) < min_side:
        return too_small(path, (width, height), min_side, image)
    if image.format not in MANY_PICTURES and getattr(image, "n_frames", 1) > 1:
        return _refused(path, "An animation. Save one frame of it as a picture.", image)
    notes: list[str] = []
    turn = TURNS.get(_orientation(image))
    image.draft(image.mode, (width // _spare(image), height // _spare(image)))  # a JPEG is decoded smaller
    image.load()
    rgb = _to_rgb(_reduced(image), notes)
    if turn is not None:
        rgb = rgb.transpose(turn)
        notes.append("turned upright (EXIF)")
    if max(rgb.size) > LONGEST * min(rgb.size):
        notes.append(f"longer than {LONGEST} to 1: only its middle is used")
        rgb = _middle(rgb)
    if max(rgb.size) > MAX_KEPT_SIDE:
        rgb.thumbnail((MAX_KEPT_SIDE, MAX_KEPT_SIDE), Image.Resampling.LANCZOS)
    plain = Image.frombytes("RGB", rgb.size, rgb.tobytes())  # no metadata: EXIF may hold where it was taken
    digest = hashlib.sha256(repr(plain.size).encode() + plain.tobytes()).hexdigest()
    note = ", ".join(notes) or None
    return CheckedPicture(path, plain, None, note, digest, (width, height), looks=picture_hash(plain))


def _too_many_pixels(limit: int) -> str:
    return f"Too many pixels. Save a smaller copy: up to {limit // 10**6} megapixels can be opened."


def _without_oversized(path: Path) -> io.BytesIO:
    """A PNG less its texts, and less a colour profile or EXIF that is too large: none of them is the picture."""
    data = memoryview(path.read_bytes())
    kept, place = [data[: len(PNG_HEAD)]], len(PNG_HEAD)
    while place + 12 <= len(data):
        if len(kept) > MAX_CHUNKS:
            raise ValueError("it is in too many pieces")
        (length,), kind = struct.unpack_from(">I", data, place), bytes(data[place + 4 : place + 8])
        body = data[place + 8 : place + 8 + length]
        large = (kind == b"iCCP" and _unpacks_too_large(body)) or (kind == b"eXIf" and length > MAX_EXIF_BYTES)
        if kind not in (b"tEXt", b"zTXt", b"iTXt") and not large:
            kept.append(data[place : place + 12 + length])
        place += 12 + length
    kept.append(data[place:])  # of a file that was cut off: the decoder says so
    return io.BytesIO(b"".join(kept))


def _unpacks_too_large(body: memoryview) -> bool:
    """Whether the zlib stream after a name, a zero and a method byte holds more than MAX_UNPACKED_BYTES."""
    stream = zlib.decompressobj()
    try:
        stream.decompress(bytes(body).partition(b"\0")[2][1:], MAX_UNPACKED_BYTES)
    except zlib.error:
        return True
    return bool(stream.unconsumed_tail)


def exif_of(image: Image.Image) -> Image.Exif:
    """What a picture's EXIF says; nothing where it is oversized. Raises nearly anything on damaged bytes."""
    return Image.Exif() if len(image.info.get("exif", b"")) > MAX_EXIF_BYTES else image.getexif()


def too_many_pixels(image: Image.Image) -> str:
    """Why a picture, of which the header is read, is not to be decoded, as a sentence; "" = it may be."""
    limit = MAX_PIXELS if image.format in ("JPEG", "MPO") else MAX_PIXELS_WHOLE
    width, height = image.size
    return f"{_too_many_pixels(limit)} It has {width} x {height} pixels." if width * height > limit else ""


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8; 1 where the EXIF is missing, oversized or unsound: it is not worth the picture."""
    try:
        return int(exif_of(image).get(ExifTags.Base.Orientation, 1))
    except Exception:  # as with pixels: on damaged bytes the parser raises nearly anything
        return 1


def _spare(image: Image.Image) -> int:
    """How many times larger a picture is than twice what will be kept of it: shrunk by that, it still is averaged."""
    return max(1, min(max(image.size) // (2 * MAX_KEPT_SIDE), min(image.size) // (2 * MAX_KEPT_SIDE // LONGEST)))


def _reduced(image: Image.Image) -> Image.Image:
    """A very large picture at a whole fraction of its size, so that conversions copy the small one."""
    if _spare(image) == 1 or image.mode not in ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr"):
        return image
    reduced = image.reduce(_spare(image))
    reduced.info = image.info
    return reduced


def _middle(rgb: Image.Image) -> Image.Image:
    """The middle of a strip, LONGEST times as long as its shorter side."""
    width, height = (min(side, LONGEST * min(rgb.size)) for side in rgb.size)
    left, top = (rgb.width - width) // 2, (rgb.height - height) // 2
    return rgb.crop((left, top, left + width, top + height))


def _to_rgb(image: Image.Image, notes: list[str]) -> Image.Image:
    """8-bit sRGB on white; what was done is added to `notes`."""
    if image.mode.startswith("I"):  # 16-bit grey: Pillow's own conversion would clip it
        notes.append("16-bit converted")
        image = _eight_bit(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        if rgba.getchannel("A").getextrema()[0] < 255:  # type: ignore[operator]
            notes.append("transparent parts put on white")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    if image.mode == "CMYK":
        notes.append("CMYK converted")
    return _to_srgb(image)


def _eight_bit(image: Image.Image) -> Image.Image:
    """16-bit grey (mode I;16 or I) as 8-bit grey, round(level / 257), a band of rows at a time to bound memory."""
    grey = Image.new("L", image.size)
    for top in range(0, image.height, 256):
        band = image.crop((0, top, image.width, min(top + 256, image.height)))
        levels = np.asarray(band).astype(np.int64).clip(0, 65535)
        grey.paste(Image.fromarray(((levels + 128) // 257).astype(np.uint8)), (0, top))
    return grey


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
