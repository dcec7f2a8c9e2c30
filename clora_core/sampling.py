"""Drawing: pictures from a timeline and a prompt, and the settings that travel inside the PNG.

A picture is a pure function of (base model, timeline, prompt, settings) on one machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from clora_core.concepts import SamplingConfig, Timeline, tokens_in
from clora_core.disk import replacing
from clora_core.errors import ConceptError, PictureError
from clora_core.methods import method_named
from clora_core.pipeline import check_size

MAX_BATCH = 4  # pictures in the U-Net at once
CHUNK = "parameters"  # the PNG text chunk A1111 and its followers read
NEGATIVE = "Negative prompt: "


def generate(
    pipe: Any,
    timeline: Timeline,
    prompt: str,
    settings: SamplingConfig,
    on_step: Callable[[int, int], None] | None = None,
) -> list[Image.Image]:
    """Draw `settings.pictures` pictures of `prompt` with the concepts of `timeline`.

    Picture i starts from noise of seed + i, drawn on the CPU whatever the device. on_step(done, total) is
    called after each denoising step, over all batches; what it raises (Cancelled) ends the drawing.
    Raises ConceptError for a token the timeline has not learned, SettingsError for an impossible size.
    """
    _check_tokens(timeline, f"{prompt} {settings.negative_prompt}")
    check_size(pipe, width=settings.width, height=settings.height)
    method_named(timeline.method).install(pipe, timeline, prompt)
    places = range(settings.pictures)
    batches = [places[first : first + MAX_BATCH] for first in places[::MAX_BATCH]]
    total = settings.steps * len(batches)
    pictures: list[Image.Image] = []
    for number, batch in enumerate(batches):
        start = number * settings.steps

        def report(_: Any, step: int, __: Any, values: dict[str, Any], start: int = start) -> dict[str, Any]:
            if on_step:
                on_step(min(start + step + 1, total), total)
            return values

        pictures += pipe(
            prompt=[prompt] * len(batch),
            negative_prompt=[settings.negative_prompt] * len(batch),
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance_scale,
            guidance_rescale=settings.guidance_rescale,
            width=settings.width,
            height=settings.height,
            generator=[torch.Generator("cpu").manual_seed(settings.seed + place) for place in batch],
            callback_on_step_end=report,
        ).images
    return pictures


def _check_tokens(timeline: Timeline, text: str) -> None:
    unknown = [token for token in tokens_in(text) if token not in timeline.tokens]
    if unknown:
        learned = ", ".join(timeline.tokens)
        raise ConceptError(
            f"The prompt has {', '.join(unknown)}, which is not learned at this point. "
            + (f"Learned so far: {learned}." if learned else "Nothing is learned yet: teach a concept first.")
        )


# ------------------------------------------------------------------------- settings in the picture


def picture_info(
    base_name: str, sampler: str, timeline: Timeline, prompt: str, settings: SamplingConfig, index: int = 0
) -> dict[str, Any]:
    """Everything that makes the index-th (0-based) picture again, as `save_picture` writes it."""
    return {
        "prompt": prompt,
        "negative_prompt": settings.negative_prompt,
        "steps": settings.steps,
        "sampler": sampler,
        "guidance_scale": settings.guidance_scale,
        "guidance_rescale": settings.guidance_rescale,
        "seed": settings.seed + index,
        "width": settings.width,
        "height": settings.height,
        "model": base_name,
        "as_of": len(timeline.concepts),
        "timeline": timeline.id,
    }


def save_picture(image: Image.Image, path: Path, info: Mapping[str, Any]) -> None:
    """Write a PNG with `info` (see `picture_info`) in its text chunk "parameters", in A1111's format:

        prompt
        Negative prompt: ...
        Steps: 30, Sampler: DPM++ 2M, CFG scale: 7.5, Seed: 3, Size: 512x512, Model: ..., As of: 2, ...

    Raises PictureError when it cannot be written.
    """
    chunk = PngInfo()
    chunk.add_text(CHUNK, _to_text(info))
    try:
        with replacing(path) as partial:
            image.save(partial, "PNG", pnginfo=chunk)
    except OSError as error:
        raise PictureError(f"The picture {path} could not be written: {error}. Choose another.") from error


def read_settings(path: Path) -> dict[str, Any]:
    """The settings inside a picture, under the names and types of `picture_info`; {} when it has none.

    Pictures of other programs give what they share with ours. Raises PictureError when `path` is no picture.
    """
    try:
        with Image.open(path) as image:
            image.load()
            text = image.info.get(CHUNK)
    except (OSError, ValueError, SyntaxError) as error:
        raise PictureError(f"{path.name} cannot be read as a picture: {error}. Choose a PNG file.") from error
    return _from_text(text) if isinstance(text, str) else {}


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
_PAIR = re.compile(r'\s*(\w[\w ./-]*):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')  # A1111's own


def _to_text(info: Mapping[str, Any]) -> str:
    pairs = {name: info[key] for name, key, _ in _LINE if key in info}
    if "width" in info and "height" in info:
        pairs["Size"] = f"{info['width']}x{info['height']}"
    line = ", ".join(f"{name}: {_quoted(str(value))}" for name, value in pairs.items())
    negative = [NEGATIVE + info["negative_prompt"]] if info.get("negative_prompt") else []
    return "\n".join([info.get("prompt", ""), *negative, line])


def _quoted(value: str) -> str:
    plain = not re.search(r'[,:\n"]', value) and value == value.strip()
    return value if plain else json.dumps(value, ensure_ascii=False)


def _from_text(text: str) -> dict[str, Any]:
    *lines, last = text.strip("\n").split("\n")
    pairs = {name: _unquoted(value) for name, value in _PAIR.findall(last)}
    if "Steps" not in pairs:  # a text of another kind: all of it is the prompt
        return {"prompt": text}
    split = next((at for at, line in enumerate(lines) if line.startswith(NEGATIVE.rstrip())), len(lines))
    negative = "\n".join(lines[split:]).removeprefix(NEGATIVE.rstrip()).removeprefix(" ")
    found: dict[str, Any] = {"prompt": "\n".join(lines[:split]), "negative_prompt": negative}
    for name, key, kind in _LINE:
        if name in pairs:
            _put(found, key, kind, pairs[name])
    width, _, height = pairs.get("Size", "").partition("x")
    _put(found, "width", int, width)
    _put(found, "height", int, height)
    return found


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
