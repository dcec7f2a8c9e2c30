"""The measures against hand-made matrices and against other people's formulas, and the feature networks."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPModel, CLIPProcessor, ViTImageProcessor, ViTModel

from clora_core.errors import SettingsError
from clora_core.measures import metrics
from clora_core.measures.features import Clip, Dino, EfficientNetLite0, unit, unit_features
from clora_core.measures.intervals import mean_interval


def rows(seed: int, count: int, shift: float = 0.0, width: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, (count, width)).astype(np.float32)


def slow_mmd(x: np.ndarray, y: np.ndarray, scale: float) -> float:
    """Gretton et al. 2012, Eq. 3, one term after the other."""

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return (scale * math.fsum(float(p) * float(q) for p, q in zip(a, b, strict=True)) + 1) ** 3

    m, n = len(x), len(y)
    xx = math.fsum(k(x[i], x[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    yy = math.fsum(k(y[i], y[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    xy = math.fsum(k(a, b) for a in x for b in y) / (m * n)
    return xx + yy - 2 * xy


def test_mmd_and_kid_are_the_unbiased_estimate_term_by_term() -> None:
    x, y = rows(0, 7), rows(1, 5, 0.4)
    assert metrics.kid(x, y) == pytest.approx(slow_mmd(x, y, 1 / 12), rel=1e-6)
    assert metrics.mmd(unit(x), unit(y)) == pytest.approx(slow_mmd(unit(x), unit(y), 1.0), rel=1e-6)


def test_mmd_is_nothing_within_one_distribution_and_something_between_two() -> None:
    same = [metrics.mmd(unit(rows(s, 40)), unit(rows(s + 500, 40))) for s in range(60)]
    other = [metrics.mmd(unit(rows(s, 40)), unit(rows(s + 500, 40, 0.5))) for s in range(60)]
    assert abs(float(np.mean(same))) < 0.02 < 0.3 < float(np.mean(other))
    assert min(same) < 0  # unbiased: its mean is 0, so it cannot always be above


def test_paired_mmd_is_unbiased_for_pictures_of_the_same_seeds() -> None:
    def k(a: np.ndarray, b: np.ndarray) -> float:
        return (math.fsum(float(p) * float(q) for p, q in zip(a, b, strict=True)) + 1) ** 3

    x, y = unit(rows(0, 6)), unit(rows(1, 6, 0.4))
    pairs = [(i, j) for i in range(6) for j in range(6) if i != j]
    h = [k(x[i], x[j]) + k(y[i], y[j]) - k(x[i], y[j]) - k(x[j], y[i]) for i, j in pairs]
    assert metrics.paired_mmd(x, y) == pytest.approx(math.fsum(h) / len(h), rel=1e-6)
    assert metrics.paired_mmd(x, x) == pytest.approx(0, abs=1e-9) and metrics.mmd(x, x) < -0.5
    nearly = [metrics.paired_mmd(unit(rows(s, 8)), unit(rows(s, 8) + 0.1 * rows(s + 500, 8))) for s in range(60)]
    assert abs(float(np.mean(nearly))) < 0.02


def test_a_mmd_looks_at_the_real_and_f_mmd_at_the_learned_pictures() -> None:
    real, learned, end = ([unit(rows(10 * k + j, 6, k)) for j in range(3)] for k in range(3))
    pairs = zip(real, end, strict=True)
    assert metrics.a_mmd(real, end) == pytest.approx(np.mean([metrics.mmd(a, b) for a, b in pairs]))
    first_two = [metrics.paired_mmd(learned[j], end[j]) for j in (0, 1)]
    assert metrics.f_mmd(learned, end) == pytest.approx(np.mean(first_two))
    assert math.isnan(metrics.f_mmd(learned[:1], end[:1]))


def test_forgetting_and_backward_transfer_of_a_hand_made_matrix() -> None:
    scores = {(0, 0): 0.8, (1, 0): 0.9, (2, 0): 0.5, (1, 1): 0.7, (2, 1): 0.7, (2, 2): 0.6}
    matrix = metrics.result_matrix(scores, 3)
    assert np.isnan(matrix[0, 1]) and matrix[2, 1] == 0.7
    assert metrics.forgetting(matrix) == pytest.approx(((0.9 - 0.5) + (0.7 - 0.7)) / 2)
    assert metrics.backward_transfer(matrix) == pytest.approx(((0.5 - 0.8) + 0.0) / 2)
    assert math.isnan(metrics.forgetting(matrix[:1, :1]))


def test_likeness() -> None:
    one = unit(np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32))
    assert metrics.cosine(one, one) == pytest.approx(0.5)
    assert metrics.cosine_within(one) == pytest.approx(0.0, abs=1e-6)
    people = {"a": one[:1], "b": one[1:]}
    assert metrics.nearest_concept(one[:1], people) == "a"
    assert metrics.nearest_share(one, "a", people) == 0.5
    assert metrics.text_alignment(one, one[[0, 0]]) == pytest.approx(125.0)
    assert metrics.text_alignment(one, -one) == 0.0


@pytest.mark.parametrize(("count", "t"), [(2, 12.706), (3, 4.303), (4, 3.182), (6, 2.571), (11, 2.228)])
def test_intervals_use_students_t(count: int, t: float) -> None:
    values = [float(v) for v in range(count)]
    mean, half = mean_interval(values)
    assert mean == pytest.approx((count - 1) / 2)
    assert half == pytest.approx(t * np.std(values, ddof=1) / count**0.5, rel=0.01)
    assert math.isnan(mean_interval([1.0])[1])


# -------------------------------------------------------------------------------------- the networks


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)) for _ in range(3)]


def test_clip_gives_what_transformers_own_forward_gives(clip_folder, images) -> None:
    clip = Clip(clip_folder)
    assert clip.name.startswith("CLIP (")
    pictures, words = unit(clip.raw(images, batch_size=2)), unit(clip.words(["a photo", "a far star"]))
    model, processor = CLIPModel.from_pretrained(clip_folder), CLIPProcessor.from_pretrained(clip_folder)
    inputs = processor(
        text=["a photo", "a far star"], images=images, return_tensors="pt", padding=True, truncation=True
    )
    with torch.no_grad():
        logits = model(**inputs).logits_per_image.numpy() / model.logit_scale.exp().item()
    assert np.allclose(pictures @ words.T, logits, atol=1e-5)


def test_dino_gives_the_class_token(dino_folder: str, images) -> None:
    pixels = ViTImageProcessor.from_pretrained(dino_folder)(images=images, return_tensors="pt")
    with torch.no_grad():
        expected = ViTModel.from_pretrained(dino_folder)(**pixels).last_hidden_state[:, 0].numpy()
    assert np.allclose(Dino(dino_folder).raw(images), expected, atol=1e-5)


def test_a_missing_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nothing-here could not be loaded"):
        Dino(str(tmp_path / "nothing-here"))


@pytest.mark.usefixtures("feature_network")
def test_efficientnet_is_one_row_a_picture_and_ignores_the_batch_size(images) -> None:
    network = EfficientNetLite0()
    one, three = network.raw(images, batch_size=1), network.raw(images)
    assert one.shape == (3, 1280) and np.allclose(one, three, atol=1e-4)
    assert network.raw([]).shape == (0, 1280)
    assert np.allclose(np.linalg.norm(unit_features(network, images), axis=1), 1.0, atol=1e-5)
