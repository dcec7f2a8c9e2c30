"""What a lesson will take, against what it took."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clora_core.concepts import Concept, TrainConfig
from clora_core.jobs.pace import Pace, estimate
from clora_core.jobs.requests import LearnRequest
from clora_core.settings.methods import SEQUENTIAL
from clora_core.studio.studio import Studio


@pytest.fixture
def studio(tiny_folder: Path, tmp_path: Path) -> Iterator[Studio]:
    studio = Studio.open(tmp_path / "home", str(tiny_folder), "cpu", assets=tmp_path / "assets")
    yield studio
    studio.close()


def test_it_is_tried_where_nothing_was_learned_and_measured_where_something_was(
    studio: Studio, pictures: tuple[Path, ...], config: TrainConfig
) -> None:
    timeline_id, long = studio.default_timeline(), config.updated({"steps": 40, "preview_every_seconds": 0.0})
    assert studio.estimates.of(timeline_id, long, 4) is None  # without waiting nothing is begun
    studio.warm_up()
    tried = studio.estimates.of(timeline_id, long, 4, wait=True)
    assert tried and studio.estimates.of(timeline_id, long, 4) == tried  # it is remembered
    more = studio.estimates.of(timeline_id, long.updated({"steps": 400}), 4)
    assert more and 2 < more.seconds / tried.seconds < 10
    assert studio.estimates.of(timeline_id, long.under(SEQUENTIAL), 4) is None
    job = studio.wait(studio.learn(LearnRequest(timeline_id, Concept("Rex", "<rex>", pictures), long)), 60)
    assert job.state == "done", job.message
    learned = studio.estimates.of(timeline_id, long, 4)
    assert learned and learned != tried and 0.3 < learned.seconds / job.seconds < 4
    assert learned.megabytes is None or learned.megabytes > 50
    assert len(studio.timeline(timeline_id).cards) == 1 and studio.job().id == job.id  # a trial leaves nothing


def test_previews_and_checks_count() -> None:
    pace, config = Pace(step=0.1, view=0.01, card=1.2, megabytes=900), TrainConfig(steps=100, augment_copies=1)
    plain = config.updated({"preview_every_seconds": 0.0})
    assert estimate(pace, plain, 5, 0).seconds == pytest.approx(5 * 0.01 + 100 * 0.1 + 2 * 1.2)
    assert estimate(pace, plain, 5, 3).seconds == pytest.approx(5 * 0.01 + 100 * 0.1 + 5 * 1.2)
    often = config.updated({"preview_every_seconds": 0.01})  # a quarter of the time, at most
    assert estimate(pace, often, 5, 0).seconds == pytest.approx(0.05 + 10 * 1.25 + 2.4)
