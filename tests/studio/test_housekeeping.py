"""What a home holds, and what can go of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clora_core.concepts import Concept
from clora_core.errors import SettingsError
from clora_core.jobs.requests import DrawRequest, LearnRequest
from clora_core.settings.drawing import SamplingConfig
from clora_core.settings.learning import TrainConfig
from clora_core.studio.studio import Studio


@pytest.fixture
def studio(tiny_folder: Path, tmp_path: Path) -> Iterator[Studio]:
    studio = Studio.open(tmp_path / "home", str(tiny_folder), "cpu", assets=tmp_path / "assets")
    yield studio
    studio.close()


def test_old_jobs_go_and_what_was_learned_and_drawn_stays(
    studio: Studio, tmp_path: Path, pictures: tuple[Path, ...], config: TrainConfig, settings: SamplingConfig
) -> None:
    timeline, lessons = studio.default_timeline(), []
    for name in ("Rex", "Max"):
        concept = Concept(name, f"<{name.lower()}>", pictures)
        lessons.append(studio.learn(LearnRequest(timeline, concept, config.updated({"steps": 1}))))
        studio.wait(lessons[-1])
    drawn = studio.draw_now(DrawRequest(timeline, "a photo of <rex>", settings))[0]
    sheet = tmp_path / "home" / "comparisons" / "comparison-x.png"
    sheet.parent.mkdir()
    sheet.write_bytes(b"x" * 1000)
    used = {kind.kind: kind for kind in studio.housekeeping.kinds()}
    assert set(used) == {"timelines", "pictures", "jobs", "comparisons"}
    assert used["pictures"].size == drawn.stat().st_size
    assert (used["comparisons"].freeable, used["timelines"].freeable, used["pictures"].freeable) == (1000, 0, 0)
    assert 0 < used["jobs"].freeable < used["jobs"].size
    assert studio.housekeeping.clean("jobs") == used["jobs"].freeable
    assert studio.housekeeping.clean("comparisons") == 1000
    left = sorted(path.name for path in (tmp_path / "home" / "jobs").glob("*-*") if path.is_dir())
    assert left == [lessons[-1]]
    assert len(studio.timeline(timeline).cards) == 2
    assert drawn.exists()
    assert studio.landed() == lessons[-1]
    with pytest.raises(SettingsError):
        studio.housekeeping.clean("../timelines")
