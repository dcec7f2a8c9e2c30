"""The attribute network: its classes travel with its weights, and the share of what was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from clora_core.measures.attributes import AttributeNetwork, pixels

CLASSES = {"clothes": ["red", "blue"], "background": ["beach", "city", "grey"]}


def test_classes_and_weights_come_back_from_the_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = AttributeNetwork(CLASSES).eval()
    network.save(tmp_path / "attributes.safetensors")
    again = AttributeNetwork.load(tmp_path / "attributes.safetensors")
    rng = np.random.default_rng(0)
    arrays = rng.integers(0, 256, (3, 128, 128, 3), dtype=np.uint8)
    found = again.classify([Image.fromarray(array).resize((128, 128)) for array in arrays])
    with torch.no_grad():
        logits = network(pixels(arrays))
        close = zip(again(pixels(arrays)), logits, strict=True)
        assert all(torch.allclose(one, other, atol=1e-2) for one, other in close)
    assert [row.keys() for row in found] == [CLASSES.keys()] * 3
    for row, clothes, background in zip(found, *logits, strict=True):
        assert row["clothes"] == CLASSES["clothes"][int(clothes.argmax())]
        assert row["background"] == CLASSES["background"][int(background.argmax())]
