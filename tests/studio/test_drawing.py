"""Drawing through the door: grids, pictures as they come, and what a cancelled job keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from clora_core.concepts import Concept
from clora_core.drawing.png_settings import read_settings
from clora_core.errors import ConceptError, SettingsError
from clora_core.jobs.requests import DrawRequest, LearnRequest
from clora_core.settings.drawing import SamplingConfig
from clora_core.settings.grid import read_axis
from clora_core.studio.studio import Studio

SECONDS = 60.0


@pytest.fixture(scope="module")
def studio(tiny_folder: Path, pictures: tuple[Path, ...], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """With <rex> and <mug> in the default timeline."""
    place = tmp_path_factory.mktemp("drawing")
    opened = Studio.open(place / "home", str(tiny_folder), "cpu", assets=place)
    few = {"steps": 2, "rank": 2, "learning_rate": 0.05, "preview_every_seconds": 0.0}
    for name in ("Rex", "Mug"):
        concept = Concept(name, f"<{name.lower()}>", pictures)
        request = LearnRequest(opened.default_timeline(), concept, opened.base.train_with(few))
        assert opened.wait(opened.learn(request), SECONDS).state == "done"
    yield opened
    opened.close()


def asked(studio: Studio, settings: SamplingConfig, *axes: str, **more) -> DrawRequest:
    given = tuple(read_axis(*axis.split("=")) for axis in axes)
    prompt = more.pop("prompt", "a photo of <rex>")
    return DrawRequest(studio.default_timeline(), prompt, settings, axes=given, **more)


def pixels(path: Path) -> bytes:
    with Image.open(path) as image:
        return image.tobytes()


def test_a_cell_is_the_picture_that_is_drawn_alone(studio: Studio, settings: SamplingConfig) -> None:
    request = asked(studio, settings, "seed=3, 4", "strength=0, 1.5")
    job = studio.wait(studio.draw(request), SECONDS)
    assert job.state == "done" and job.grid is not None
    cells = [path for row in job.grid.cells for path in row]
    assert len({pixels(path) for path in cells}) == 4
    alone = replace(request, settings=settings.updated({"seed": 4}), strengths={"<rex>": 1.5}, axes=())
    assert pixels(studio.draw_now(alone)[0]) == pixels(cells[3])
    found = read_settings(cells[3])
    assert (found["seed"], found["strengths"]) == (4, {"<rex>": 1.5})
    (sheet,) = job.pictures
    assert sheet in studio.history() and read_settings(sheet)["axes"] == {"seed": [3, 4], "strength": [0.0, 1.5]}
    with Image.open(sheet) as image:
        assert "Script: X/Y/Z plot, X Type: Seed, X Values:" in image.info["parameters"]


def test_a_point_before_its_token_stays_empty(studio: Studio, settings: SamplingConfig) -> None:
    request = asked(studio, settings, "as_of=0-2", prompt="a photo of <mug>")
    assert studio.draw_estimate(request)[0] == 1
    job = studio.wait(studio.draw(request), SECONDS)
    assert [path is None for path in job.grid.cells[0]] == [True, True, False]
    count, seconds = studio.draw_estimate(asked(studio, settings, "steps=2, 4"))
    assert count == 2 and seconds is not None


@pytest.mark.parametrize(
    ("axes", "prompt", "error"),
    [
        (("seed=1-11", "steps=1-10"), "a photo", "110 pictures"),
        (("seed=1", "seed=2"), "a photo", "two things"),
        (("as_of=0-3",), "a photo", "no point 3"),
        (("as_of=0",), "a photo of <rex>", "Nothing in this grid"),
        (("seed=1",), " ", "prompt is empty"),
        (("guidance_scale=99",), "a photo", "not between"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(
    studio: Studio, settings: SamplingConfig, axes: tuple[str, ...], prompt: str, error: str
) -> None:
    with pytest.raises(SettingsError, match=error):
        studio.draw(asked(studio, settings, *axes, prompt=prompt))


def test_a_token_that_is_learned_nowhere_is_refused_at_once(studio: Studio, settings: SamplingConfig) -> None:
    with pytest.raises(ConceptError, match="did you mean <rex>"):
        studio.draw(asked(studio, settings, "prompt=a photo of <rex>|a photo of <rexx>"))
    with pytest.raises(ConceptError, match="as of 2"):
        studio.draw(replace(asked(studio, settings, prompt="<mug>"), as_of=0))


@pytest.mark.parametrize("axes", [(), ("seed=1-40",)], ids=["pictures", "grid"])
def test_what_is_done_is_shown_meanwhile_and_kept_on_cancel(
    studio: Studio, settings: SamplingConfig, axes: tuple[str, ...]
) -> None:
    slow = settings.updated({"steps": 30, "pictures": 40})
    job_id = studio.draw(asked(studio, slow, *axes))

    def there() -> list[Path]:
        view = studio.wait(job_id, 0.01)
        assert not view.finished
        return [path for path in view.grid.cells[0] if path] if axes else view.pictures

    while not there():
        pass
    studio.stop(job_id)
    view = studio.wait(job_id, SECONDS)
    assert view.state == "stopped" and "of 40 pictures" in view.message
    assert all(read_settings(path)["steps"] == 30 for path in view.pictures)
    assert 1 <= len(view.pictures) < 40
    assert set(view.pictures) <= set(studio.history())
