"""The classifiers that find prompted attributes in the embedded model's pictures: its text alignment, and likeness.

One small convolutional network with a head for each attribute ("hair colour", "clothes", ...), trained on rendered
pictures by ``pretrain.classifiers``; its weights lie beside the model, and the names of its classes inside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

ATTRIBUTES_FILE = "attributes.safetensors"
SIDE = 128  # px
WIDTHS = (32, 48, 96, 160, 224)
BATCH = 64


class AttributeNetwork(nn.Module):
    """Pictures (B, 3, 128, 128) in [-1, 1] to one tensor of logits (B, classes) for each attribute.

    classes: attribute -> the names of its classes.
    """

    name = "attributes"

    def __init__(self, classes: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.classes = {attribute: tuple(names) for attribute, names in classes.items()}
        layers: list[nn.Module] = []
        for before, width in zip((3, *WIDTHS), WIDTHS, strict=False):
            layers += [nn.Conv2d(before, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU()]
            if before > 3:
                layers += [nn.Conv2d(width, width, 3, 1, 1), nn.BatchNorm2d(width), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Flatten())  # (B, 224 * 4 * 4)
        self.heads = nn.ModuleList(nn.Linear(WIDTHS[-1] * 16, len(names)) for names in self.classes.values())

    def forward(self, x: Tensor) -> list[Tensor]:
        """Logits, attribute by attribute."""
        features = F.dropout(self.body(x), 0.3, self.training)
        return [head(features) for head in self.heads]

    def classify(self, pictures: Sequence[Image.Image]) -> list[dict[str, str]]:
        """The class of every attribute for every picture (any size, RGB)."""
        rows = []
        for batch in _batches(pictures, BATCH):
            with torch.inference_mode():
                best = [logits.argmax(1).tolist() for logits in self(batch)]
            rows += [dict(zip(self.classes, row, strict=True)) for row in zip(*best, strict=True)]
        return [{key: self.classes[key][number] for key, number in row.items()} for row in rows]

    def sureness(self, images: Sequence[Image.Image]) -> float:
        """How sure it is of what it sees in N pictures, 0 to 1: the mean probability of the classes it names. Low for
        what is no portrait."""
        rows = []
        for batch in _batches(images, BATCH):
            with torch.inference_mode():
                rows += [logits.softmax(1).amax(1).mean().item() for logits in self(batch)]
        return float(np.mean(rows))

    def raw(self, images: Sequence[Image.Image], batch_size: int = BATCH) -> NDArray[np.float32]:
        """(N, 3584) float32, what the heads read, of N pictures of any size."""
        rows = [np.zeros((0, WIDTHS[-1] * 16), dtype=np.float32)]
        for batch in _batches(images, batch_size):
            with torch.inference_mode():
                rows.append(self.body(batch).numpy())
        return np.concatenate(rows)

    def save(self, path: Path) -> None:
        """Weights in fp16, classes in the header."""
        halves = {
            name: value.half() if value.is_floating_point() else value for name, value in self.state_dict().items()
        }
        save_file(halves, path, metadata={"classes": json.dumps(self.classes)})

    @classmethod
    def load(cls, path: Path) -> AttributeNetwork:
        """The trained network, ready to judge. Raises OSError, SafetensorError."""
        with safe_open(path, "pt") as file:
            network = cls(json.loads(file.metadata()["classes"]))
            network.load_state_dict({name: file.get_tensor(name).float() for name in file.keys()})  # noqa: SIM118
        return network.eval()


def _batches(pictures: Sequence[Image.Image], size: int) -> Iterator[Tensor]:
    for first in range(0, len(pictures), size):
        batch = [picture.convert("RGB").resize((SIDE, SIDE)) for picture in pictures[first : first + size]]
        yield pixels(np.stack([np.asarray(picture) for picture in batch]))


def pixels(pictures: np.ndarray) -> Tensor:
    """(B, 128, 128, 3) uint8 to the network's input."""
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
