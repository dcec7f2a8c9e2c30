"""Another base model in the place of the open one, and what a home remembers of them."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from clora_core.concepts import Concept
from clora_core.errors import BusyError, ModelError, SettingsError
from clora_core.jobs.requests import DrawRequest, LearnRequest
from clora_core.settings.drawing import SamplingConfig
from clora_core.settings.learning import TrainConfig
from clora_core.studio.studio import Studio

SECONDS = 60.0


@pytest.fixture
def other_model(tiny_folder: Path, tmp_path: Path) -> Path:
    """Another model of the same kind, with a name and a preset of its own."""
    folder = tmp_path / "other"
    shutil.copytree(tiny_folder, folder)
    unet = json.loads((folder / "unet/config.json").read_text())
    (folder / "unet/config.json").write_text(json.dumps({**unet, "dropout": 0.125}))
    (folder / "clora.json").write_text(json.dumps({"name": "Other", "sampling": {"steps": 3}}))
    return folder


@pytest.fixture
def studio(tiny_folder: Path, tmp_path: Path) -> Iterator[Studio]:
    shutil.copytree(tiny_folder, tmp_path / "assets" / "base")
    studio = Studio.open(tmp_path / "home", device="cpu", assets=tmp_path / "assets")
    yield studio
    studio.close()


def stands(studio: Studio) -> None:
    """Wait until a model is loaded."""
    with studio._board._changed:
        assert studio._board._changed.wait_for(lambda: studio.ready or studio.model_problem, SECONDS)


def draw(studio: Studio, settings: SamplingConfig) -> bytes:
    """The pixels of a picture of the default timeline."""
    from PIL import Image

    return Image.open(studio.draw_now(DrawRequest(studio.default_timeline(), "a photo", settings))[0]).tobytes()


def test_another_model_is_opened_and_the_first_again(
    studio: Studio, other_model: Path, settings: SamplingConfig
) -> None:
    first, drawn = studio.default_timeline(), draw(studio, settings)
    studio.open_model(str(other_model))
    stands(studio)
    assert (studio.base.name, studio.base.sampling.steps, studio.not_opened) == ("Other", 3, "")
    assert [summary.elsewhere for summary in studio.timelines()] == [True]
    second = studio.default_timeline()
    assert second != first
    assert len(draw(studio, settings)) == len(drawn)
    assert [choice.name for choice in studio.models()] == [studio.models()[0].name, "Other"]
    studio.open_model(studio.models()[0].path)
    stands(studio)
    assert studio.default_timeline() == first
    assert {s.id: s.elsewhere for s in studio.timelines()} == {first: False, second: True}
    assert draw(studio, settings) == drawn


def test_what_cannot_be_loaded_leaves_the_model_that_was_open(
    studio: Studio, other_model: Path, settings: SamplingConfig
) -> None:
    before, drawn = studio.base, draw(studio, settings)
    for weights in (other_model / "unet").glob("*.safetensors"):
        weights.write_bytes(b"no weights")
    studio.open_model(str(other_model))
    stands(studio)
    assert studio.ready
    assert studio.base == before
    assert "could not be loaded" in studio.not_opened
    assert draw(studio, settings) == drawn
    assert "Other" not in [choice.name for choice in studio.models()]


@pytest.mark.parametrize(("asked", "error"), [("", SettingsError), ("/nowhere", ModelError), ("a b", ModelError)])
def test_what_is_no_model_is_refused_at_once(studio: Studio, asked: str, error: type[Exception]) -> None:
    before = studio.base
    with pytest.raises(error):
        studio.open_model(asked)
    assert studio.base is before


def test_no_other_model_while_something_is_learned(
    studio: Studio, other_model: Path, pictures: tuple[Path, ...], config: TrainConfig
) -> None:
    long = config.updated({"steps": 5000, "preview_every_seconds": 0.0})
    job = studio.learn(LearnRequest(studio.default_timeline(), Concept("Rex", "<rex>", pictures), long))
    before = studio.base
    with pytest.raises(BusyError, match="Rex"):
        studio.open_model(str(other_model))
    assert studio.base is before
    studio.stop(job)
    studio.wait(job, SECONDS)
    studio.open_model(str(other_model))
    stands(studio)
    assert studio.base.name == "Other"


def test_two_that_ask_at_once_get_one_model(studio: Studio, other_model: Path) -> None:
    studio.warm_up()
    stands(studio)
    refused: list[Exception] = []

    def ask() -> None:
        try:
            studio.open_model(str(other_model))
        except BusyError as error:
            refused.append(error)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stands(studio)
    assert studio.base.name == "Other"
    assert len(refused) <= 5


def test_a_list_of_models_that_cannot_be_read_is_an_empty_one(studio: Studio, tmp_path: Path) -> None:
    for text in ("{", '{"models": [{"name": "x"}]}', '{"models": ["x"]}'):
        (tmp_path / "home" / "models.json").write_text(text)
        assert len(studio.models()) == 1
