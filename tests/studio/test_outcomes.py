"""What a lesson comes to, on real models: measured, kept, and taken out again where it diverged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from tiny.things import dog

from clora_core.answers import JobView
from clora_core.concepts import Concept
from clora_core.disk import ASSETS
from clora_core.drawing.png_settings import read_settings
from clora_core.jobs.requests import LearnRequest
from clora_core.settings.learning import TrainConfig
from clora_core.studio.studio import Studio

MINUTES = 60.0


@pytest.fixture
def studio(tiny_folder: Path, tmp_path: Path) -> Iterator[Studio]:
    studio = Studio.open(tmp_path / "home", str(tiny_folder), "cpu", assets=tmp_path / "assets")
    yield studio
    studio.close()


def teach(studio: Studio, name: str, pictures: tuple[Path, ...], config: TrainConfig, **asked: bool) -> JobView:
    concept = Concept(name, f"<{name.lower()}>", pictures)
    job_id = studio.learn(LearnRequest(studio.default_timeline(), concept, config, **asked))  # type: ignore[arg-type]
    return studio.wait(job_id, 15 * MINUTES)


def test_a_lesson_is_measured_and_its_card_keeps_its_seed(
    studio: Studio, pictures: tuple[Path, ...], config: TrainConfig
) -> None:
    verdict = teach(studio, "Rex", pictures, config, show_real=True).verdict
    assert verdict and verdict.outcome and verdict.seed is not None
    assert 0 < (verdict.real or 0) <= 1 and -1 <= (verdict.likeness or -2) <= 1
    job = teach(studio, "Mug", pictures[1:], config)
    rex, mug = studio.timeline(job.timeline_id).cards
    assert rex.learned_picture and rex.now_picture and rex.verdict
    seeds = [read_settings(path)["seed"] for path in (rex.learned_picture, rex.now_picture)]
    assert seeds == [rex.verdict.seed] * 2
    assert rex.likeness is not None and studio.likeness.of(job.timeline_id).keys() == {"<rex>", "<mug>"}
    assert mug.real_picture is None and rex.real_picture
    with Image.open(rex.real_picture) as real:
        assert real.size == (128, 128)


@pytest.mark.slow
def test_a_diverged_lesson_is_taken_out_of_the_timeline_again(
    studio: Studio, pictures: tuple[Path, ...], config: TrainConfig
) -> None:
    wild = config.updated({"learning_rate": 1.0})
    view = teach(studio, "Rex", pictures, wild)
    assert view.state == "failed" and view.verdict and view.verdict.outcome == "diverged"
    timeline = studio.timeline(view.timeline_id)
    assert not timeline.cards and [card.name for card in timeline.undone] == ["Rex"]
    assert teach(studio, "Rex", pictures, wild, even_diverged=True).state == "done"
    assert len(studio.timeline(view.timeline_id).cards) == 1


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Studio]:
    studio = Studio.open(tmp_path / "home", device="cpu", examples=False)
    yield studio
    studio.close()


def person(name: str) -> tuple[Path, ...]:
    return tuple(sorted((ASSETS / "base/people" / name).glob("*.png")))


def quiet(studio: Studio, **changes: float) -> TrainConfig:
    return studio.base.train.updated({"preview_every_seconds": 0.0, **changes})


@pytest.mark.slow
def test_a_sample_person_looks_like_their_pictures(embedded: Studio) -> None:
    verdict = teach(embedded, "Farid", person("farid"), quiet(embedded, steps=50)).verdict
    assert verdict and verdict.outcome in ("looks like them", "partly")


@pytest.mark.slow
def test_three_steps_are_not_enough(embedded: Studio) -> None:
    verdict = teach(embedded, "Farid", person("farid"), quiet(embedded, steps=3)).verdict
    assert verdict and verdict.outcome in ("partly", "does not look like them")


@pytest.mark.slow
def test_a_dog_on_the_portrait_model_does_not_look_like_one(embedded: Studio, tmp_path: Path) -> None:
    paths = tuple(tmp_path / f"{place}.png" for place in range(5))
    for place, path in enumerate(paths):
        dog(place).save(path)
    assert "far from anything" in " ".join(embedded.likeness.warnings(embedded.default_timeline(), paths))
    verdict = teach(embedded, "Rex", paths, quiet(embedded, steps=50)).verdict
    assert verdict and verdict.outcome == "does not look like them"


@pytest.mark.slow
def test_fifty_times_the_rates_diverge(embedded: Studio) -> None:
    rates = {"learning_rate": 0.1, "token_learning_rate": 1.0}
    view = teach(embedded, "Farid", person("farid"), quiet(embedded, steps=12, batch_size=1, **rates))
    assert view.state == "failed" and view.verdict and view.verdict.outcome == "diverged"
    assert not embedded.timeline(view.timeline_id).cards


def test_a_look_alike_is_named_before_the_start(tmp_path: Path) -> None:
    studio = Studio.open(tmp_path / "home", device="cpu")  # with the example timelines, in which Ada is learned
    try:
        said = studio.likeness.warnings("five-people", person("ada"))
        assert any("<ada>" in line for line in said)
        assert not any("<ada>" in line for line in studio.likeness.warnings("five-people", person("farid")))
    finally:
        studio.close()
