"""Export through the door: a job like others, with files to download at its end."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tiny.concepts import tiny_concept

from clora_core.concepts import Concept
from clora_core.errors import SettingsError
from clora_core.jobs.requests import ExportRequest, LearnRequest
from clora_core.settings.learning import TrainConfig
from clora_core.studio.studio import Studio


@pytest.fixture
def studio(tiny_folder: Path, tmp_path: Path) -> Iterator[Studio]:
    studio = Studio.open(tmp_path / "home", str(tiny_folder), "cpu", assets=tmp_path / "assets")
    yield studio
    studio.close()


def test_files_to_download(studio: Studio, tmp_path: Path, pictures: tuple[Path, ...], config: TrainConfig) -> None:
    timeline_id = studio.new_timeline("Pets")
    assert "nothing to export" in studio.export_problem(timeline_id)
    with pytest.raises(SettingsError, match="nothing to export"):
        studio.export(ExportRequest(timeline_id))
    studio.wait(studio.learn(LearnRequest(timeline_id, Concept("Rex", "<rex>", pictures), config)), 60)
    assert studio.export_problem(timeline_id) == ""
    with pytest.raises(SettingsError, match="there is no 4"):
        studio.export(ExportRequest(timeline_id, as_of=4))
    phases = []
    made = studio.export_now(ExportRequest(timeline_id, dtype="fp16"), lambda view: phases.append(view.phase))
    assert made.proved and made.archive and made.archive.name == "pets-1.zip"
    with zipfile.ZipFile(made.archive) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    assert names == {f"pets-1/{path.relative_to(made.folder)}" for path in made.files}
    again = studio.export_now(ExportRequest(timeline_id, folder=tmp_path / "mine"))
    assert again.archive is None and again.folder == tmp_path / "mine"
    with pytest.raises(Exception, match="Give a new folder"):
        studio.export_now(ExportRequest(timeline_id, folder=tmp_path / "mine"))


@pytest.mark.parametrize("point", [-1, 1])
def test_a_point_that_is_not_there_is_no_file(studio: Studio, tmp_path: Path, point: int) -> None:
    with pytest.raises(SettingsError, match=f"there is no {point}"):
        studio.archive(studio.new_timeline("Empty"), tmp_path / "empty.zip", point)
    assert not (tmp_path / "empty.zip").exists()


def test_whole_weights_are_refused_at_the_door(studio: Studio, tmp_path: Path) -> None:
    from clora_core.store.store import ConceptStore

    store = ConceptStore(tmp_path / "home")
    timeline_id = store.create("Whole", studio.base.id, "Tiny", "dreambooth")
    rex = tiny_concept("Rex")
    whole = replace(rex, deltas={"conv.weight": next(iter(rex.factors.values()))[0].clone()})
    store.append(store.load(timeline_id, studio.base.id), whole)
    assert "DreamBooth changes whole weights" in studio.export_problem(timeline_id)
    with pytest.raises(SettingsError, match="DreamBooth changes whole weights"):
        studio.export(ExportRequest(timeline_id))
