"""The settings that travel inside a PNG: in A1111's format for other programs, and as JSON for this one, since any text
may stand in a prompt."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.PngImagePlugin import PngInfo

from clora_core.concepts import SamplingConfig, Timeline
from clora_core.data.pictures import FORMATS, exif_of, too_many_pixels
from clora_core.disk import parsed, replacing
from clora_core.drawing import comfyui
from clora_core.errors import PictureError, SettingsError
from clora_core.settings.drawing import SAMPLERS
from clora_core.settings.grid import MAX_AXES, Axis
from clora_core.settings.strength import check_strengths, read_strengths, strength_words

CHUNK = "parameters"  # the PNG text chunk A1111 and its followers read
OWN_CHUNK = "clora"  # the same as JSON, which reads back exactly
NEGATIVE = "Negative prompt: "


def picture_info(
    base_name: str,
    sampler: str,
    timeline: Timeline,
    prompt: str,
    settings: SamplingConfig,
    index: int = 0,
    strengths: Mapping[str, float] = MappingProxyType({}),
) -> dict[str, Any]:
    """Everything that makes the index-th (0-based) picture again, as `save_picture` writes it.

    A sheet of a grid has also "axes": what varies, a key of `settings.grid.KINDS`, and its values.
    """
    info = {
        "prompt": prompt,
        "negative_prompt": settings.negative_prompt,
        "steps": settings.steps,
        "sampler": sampler,
        "guidance_scale": settings.guidance_scale,
        "guidance_rescale": settings.guidance_rescale,
        "seed": settings.seed_of(index),
        "width": settings.width,
        "height": settings.height,
        "model": base_name,
        "as_of": len(timeline.concepts),
        "timeline": timeline.id,
    }
    return info | ({"strengths": dict(strengths)} if strengths else {})


def save_picture(image: Image.Image, path: Path, info: Mapping[str, Any]) -> None:
    """Write a PNG with `info` (see `picture_info`) in its text chunk "parameters", in A1111's format:

        prompt
        Negative prompt: ...
        Steps: 30, Sampler: DPM++ 2M, CFG scale: 7.5, Seed: 3, Size: 512x512, Model: ..., As of: 2, ...

    Raises PictureError when it cannot be written.
    """
    chunk = PngInfo()
    chunk.add_text(CHUNK, _to_text(info))
    chunk.add_text(OWN_CHUNK, json.dumps(info))
    try:
        with replacing(path) as partial:
            image.save(partial, "PNG", pnginfo=chunk)
    except OSError as error:
        raise PictureError(f"The picture {path} could not be written: {error}. Choose another.") from error


def read_settings(path: Path, whole: bool = True) -> dict[str, Any]:
    """The settings inside a picture, under the names and types of `picture_info`; {} when it has none.

    whole: the picture is decoded, too, which finds a broken one, and texts that stand behind the pixels; ours stand
    before them. Pictures of A1111 and its followers (PNG, JPEG, WebP), and plain ones of ComfyUI, give what they share
    with ours. Raises PictureError when `path` is no picture.
    """
    own, text, graph = _texts(path, whole)
    return _from_own(own) if own else settings_in(text) if text else comfyui.settings_in_graph(graph)


def not_read(path: Path) -> tuple[str, ...]:
    """Names of what else another program noted in a picture, and `read_settings` leaves out. Raises PictureError."""
    own, text, graph = _texts(path, whole=True)
    return () if own else _others(text) if text else comfyui.other_nodes(graph)


def _texts(path: Path, whole: bool) -> tuple[str, str, str]:
    """Our own JSON, the text in A1111's format, ComfyUI's graph; "" for what is not there."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            if whole and (why := too_many_pixels(image)):
                raise PictureError(f"{path.name}: {why}")
            if whole:
                image.load()
            # EXIF may stand behind the pixels, so that looking for it decodes them
            comment = exif_of(image).get_ifd(IFD.Exif).get(Base.UserComment) if whole else None
            info = image.info
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise PictureError(f"{path.name} has too many pixels to be read. Choose a PNG file.") from error
    except Exception as error:  # as with pictures to learn from, on damaged bytes decoders raise nearly anything
        raise PictureError(f"{path.name} cannot be read as a picture: {error}. Choose a PNG file.") from error
    own, text, graph = (str(info.get(chunk, "")) for chunk in (OWN_CHUNK, CHUNK, comfyui.CHUNK))
    return own, text or (_from_comment(comment) if isinstance(comment, bytes) else ""), graph


def _from_comment(comment: bytes) -> str:
    """EXIF's UserComment, which begins with eight bytes that name its encoding."""
    coding = "utf-16-be" if comment.startswith(b"UNICODE") else "utf-8"
    return comment[8:].decode(coding, "replace")


def _from_own(text: str) -> dict[str, Any]:
    """What OWN_CHUNK says, as far as names and types are ours: a picture may come from anywhere."""
    try:
        found = parsed(text)
    except ValueError:
        return {}
    kinds = {
        "prompt": str,
        "negative_prompt": str,
        "width": int,
        "height": int,
        **{key: kind for _, key, kind in _LINE},
    }
    if not isinstance(found, dict):
        return {}
    sound = {key: found[key] for key, kind in kinds.items() if type(found.get(key)) is kind}
    with suppress(SettingsError, AttributeError, KeyError):
        sound["strengths"] = check_strengths(found["strengths"])
    with suppress(SettingsError, AttributeError, KeyError, TypeError):
        axes = [Axis(kind, tuple(values)) for kind, values in found["axes"].items()]
        sound["axes"] = {axis.kind: list(axis.values) for axis in axes[:MAX_AXES]}
    return sound


_LINE = (  # name in the settings line, key of ours, type
    ("Steps", "steps", int),
    ("Sampler", "sampler", str),
    ("CFG scale", "guidance_scale", float),
    ("CFG rescale", "guidance_rescale", float),
    ("Seed", "seed", int),
    ("Model", "model", str),
    ("As of", "as_of", int),
    ("Timeline", "timeline", str),
)

_NOISE = re.compile(
    r"Size|Version|.*hash(es)?", re.IGNORECASE
)  # of A1111's line: read elsewhere, or changes no picture
_PAIR = re.compile(r'\s*(\w[\w ./-]*):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')  # A1111's own


def _to_text(info: Mapping[str, Any]) -> str:
    pairs = {name: info[key] for name, key, _ in _LINE if key in info}
    if "width" in info and "height" in info:
        pairs["Size"] = f"{info['width']}x{info['height']}"
    if info.get("strengths"):
        pairs["Strength"] = strength_words(info["strengths"])
    for letter, (kind, values) in zip("XY", info.get("axes", {}).items(), strict=False):
        axis = Axis(kind, tuple(values))
        pairs |= {"Script": "X/Y/Z plot", f"{letter} Type": axis.label, f"{letter} Values": axis.written}
    line = ", ".join(f"{name}: {_quoted(str(value))}" for name, value in pairs.items())
    negative = [NEGATIVE + info["negative_prompt"]] if info.get("negative_prompt") else []
    return "\n".join([info.get("prompt", ""), *negative, line])


def _quoted(value: str) -> str:
    plain = not re.search(r'[,:\n"]', value) and value == value.strip()
    return value if plain else json.dumps(value, ensure_ascii=False)


def settings_in(text: str) -> dict[str, Any]:
    """The settings in a text of A1111's format, also one that was pasted; any other text is all prompt."""
    *lines, last = text.strip("\n").split("\n")
    pairs = {name: _unquoted(value) for name, value in _PAIR.findall(last)}
    if "Steps" not in pairs:  # no line of settings
        lines, pairs = [*lines, last], {}
    split = next((at for at, line in enumerate(lines) if line.startswith(NEGATIVE.rstrip())), len(lines))
    negative = "\n".join(lines[split:]).removeprefix(NEGATIVE.rstrip()).removeprefix(" ")
    found: dict[str, Any] = {"prompt": "\n".join(lines[:split])}
    if split < len(lines) or pairs:
        found["negative_prompt"] = negative
    for name, key, kind in _LINE:
        if name in pairs:
            _put(found, key, kind, pairs[name])
    if (scheduled := f"{found.get('sampler')} {pairs.get('Schedule type')}") in SAMPLERS:
        found["sampler"] = scheduled  # newer programs say "Karras" apart
    with suppress(SettingsError):
        if strengths := read_strengths(pairs.get("Strength", "").split()):
            found["strengths"] = strengths
    width, _, height = pairs.get("Size", "").partition("x")
    _put(found, "width", int, width)
    _put(found, "height", int, height)
    return found


def _others(text: str) -> tuple[str, ...]:
    """Names in the line of settings that are none of ours."""
    names = [name for name, _ in _PAIR.findall(text.strip("\n").rpartition("\n")[2])]
    ours = {name for name, _, _ in _LINE}
    return tuple(name for name in names if "Steps" in names and name not in ours and not _NOISE.fullmatch(name))


def _put(found: dict[str, Any], key: str, kind: type, text: str) -> None:
    try:
        found[key] = kind(text)
    except ValueError:
        return  # another program's spelling: leave the setting out


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value.strip()
    try:
        return str(json.loads(value))
    except ValueError:
        return value
