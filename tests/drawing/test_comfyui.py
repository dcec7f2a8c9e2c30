"""Settings in the graphs of ComfyUI."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from clora_core.drawing.png_settings import not_read, read_settings
from clora_core.errors import PictureError


def graph(**more: Any) -> dict[str, Any]:
    """The graph that ComfyUI begins with, as it writes it."""
    return {
        "3": {
            "class_type": "KSampler",
            "inputs": {
                "seed": 2**40,
                "steps": 20,
                "cfg": 8,
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1,
                "model": ["4", 0],
                "positive": ["6", 0],
                "negative": ["7", 0],
                "latent_image": ["5", 0],
            },
        },
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15.safetensors"}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 768, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a photo of <rex>", "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["4", 1]}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0]}},
        **more,
    }


def saved(path: Path, made: object) -> Path:
    chunk = PngInfo()
    chunk.add_text("prompt", made if isinstance(made, str) else json.dumps(made))
    Image.new("RGB", (8, 8)).save(path, pnginfo=chunk)
    return path


def test_a_plain_graph_is_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", graph())
    assert read_settings(path) == {
        "prompt": "a photo of <rex>",
        "negative_prompt": "blurry",
        "seed": 2**40,
        "steps": 20,
        "guidance_scale": 8.0,
        "sampler": "euler",
        "width": 512,
        "height": 768,
    }
    assert not_read(path) == ()


def test_what_a_graph_has_beside_is_named_and_what_it_computes_is_left_out(tmp_path: Path) -> None:
    made = graph(**{"10": {"class_type": "LoraLoader", "inputs": {}}, "6": {"class_type": "Joined", "inputs": {}}})
    path = saved(tmp_path / "a.png", made)
    assert "prompt" not in read_settings(path) and read_settings(path)["steps"] == 20
    assert not_read(path) == ("Joined", "LoraLoader")


def test_what_is_no_plain_graph_gives_nothing(tmp_path: Path) -> None:
    second = {**graph(), "11": graph()["3"]}
    for number, made in enumerate(("no json", [1], {"1": 2}, {"3": {"class_type": "KSampler"}}, second)):
        assert read_settings(saved(tmp_path / f"{number}.png", made)) == {}


def test_a_picture_from_anywhere_costs_little_to_look_at(tmp_path: Path) -> None:
    for side in (8_000, 14_000):
        with pytest.raises(PictureError, match="[Tt]oo many pixels"):
            read_settings(saved_as(tmp_path / "bomb.png", Image.new("1", (side, side))))
    picture, chunk = Image.new("RGB", (8, 8)), PngInfo()
    chunk.add_text("prompt", "[" * 200_000)
    picture.save(tmp_path / "deep.png", pnginfo=chunk)
    assert read_settings(tmp_path / "deep.png") == {}
    began = time.perf_counter()
    picture.save(tmp_path / "exif.webp", exif=b"Exif\0\0" * 1_000_000)  # Pillow 12 takes a minute for 6 MB
    assert read_settings(tmp_path / "exif.webp") == {}
    assert time.perf_counter() - began < 5
    picture.save(tmp_path / "a.tif")  # a kind that nobody draws is not even looked at
    with pytest.raises(PictureError, match="cannot be read as a picture"):
        read_settings(tmp_path / "a.tif")


def saved_as(path: Path, picture: Image.Image) -> Path:
    picture.save(path)
    return path
