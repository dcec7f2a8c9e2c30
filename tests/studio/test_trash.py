"""The door's trash: each kind of thing goes and comes back, and nothing that is being worked on goes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from tiny.concepts import tiny_concept

from clora_core.concepts import Concept
from clora_core.drawing.png_settings import save_picture
from clora_core.errors import BusyError, PictureError, StoreError
from clora_core.jobs.requests import LearnRequest
from clora_core.store.store import ConceptStore
from clora_core.studio.studio import Studio


@pytest.fixture
def studio(tiny_folder: Path, tmp_path: Path) -> Iterator[Studio]:
    studio = Studio.open(tmp_path / "home", str(tiny_folder), "cpu", assets=tmp_path / "assets")
    yield studio
    studio.close()


def taught(studio: Studio, home: Path, method: str, *names: str) -> str:
    store = ConceptStore(home)
    timeline_id = store.create(f"People of {method}", studio.base.id, "Tiny", method)
    for name in names:
        before = store.load(timeline_id, studio.base.id)
        store.append(before, replace(tiny_concept(name, len(before.concepts) + 1), token=f"<{name.lower()}>"))
    return timeline_id


def draw(home: Path, name: str, timeline_id: str) -> Path:
    (home / "pictures").mkdir(exist_ok=True)
    path = home / "pictures" / name
    save_picture(Image.new("RGB", (8, 8)), path, {"prompt": "a photo", "timeline": timeline_id})
    return path


def test_each_kind_goes_and_comes_back(studio: Studio, tmp_path: Path) -> None:
    home = tmp_path / "home"
    routed, clora = (taught(studio, home, method, "Ann", "Bob") for method in ("routed", "clora"))
    picture = draw(home, "20261130-120000-0001-draw-1.png", clora)
    drawn = picture.read_bytes()
    gone = [
        studio.trash.delete_picture(picture),
        studio.trash.delete_concept(routed, "001-ann"),
        studio.trash.delete_timeline(clora),
    ]
    assert [(item.id, item.kind, item.name, item.place) for item in studio.trash.items()] == [
        (gone[2], "timeline", "People of clora", ""),
        (gone[1], "concept", "Ann", "People of routed"),
        (gone[0], "picture", picture.name, ""),
    ]
    assert not picture.exists() and [summary.id for summary in studio.timelines()] == [routed]
    for item in gone:
        studio.trash.restore(item)
        with pytest.raises(StoreError, match="no longer in the trash"):
            studio.trash.restore(item)
    assert picture.read_bytes() == drawn and studio.trash.items() == []
    assert [card.name for card in studio.timeline(routed).cards] == ["Ann", "Bob"]
    assert [card.name for card in studio.timeline(clora).cards] == ["Ann", "Bob"]
    with pytest.raises(PictureError, match="no longer there"):
        studio.trash.delete_picture(tmp_path / "none.png")


def test_the_last_concept_is_undone(studio: Studio, tmp_path: Path) -> None:
    timeline_id = taught(studio, tmp_path / "home", "clora", "Ann", "Bob")
    assert studio.trash.delete_concept(timeline_id, "002-bob") == "" and studio.trash.items() == []
    assert [card.name for card in studio.redo(timeline_id).cards] == ["Ann", "Bob"]


def test_emptying_leaves_nothing_to_bring_back(studio: Studio, tmp_path: Path) -> None:
    home = tmp_path / "home"
    timeline_id = taught(studio, home, "routed", "Ann", "Bob")
    studio.trash.delete_picture(draw(home, "20261130-120000-0001-draw-1.png", timeline_id))
    studio.trash.delete_concept(timeline_id, "001-ann")
    studio.trash.delete_timeline(studio.new_timeline("Other"))
    studio.trash.empty()
    assert studio.trash.items() == [] and not list((home / "trash").iterdir())
    assert not (home / "timelines" / timeline_id / "001-ann").exists()
    assert [card.name for card in studio.timeline(timeline_id).cards] == ["Bob"]


def test_nothing_goes_while_something_is_learned_there(
    studio: Studio, tmp_path: Path, pictures: tuple[Path, ...]
) -> None:
    timeline_id = taught(studio, tmp_path / "home", "clora")
    config = studio.base.train.updated({"steps": 100_000, "preview_every_seconds": 0.0, "rank": 2})
    job = studio.learn(LearnRequest(timeline_id, Concept("Rex", "<rex>", pictures), config))
    with pytest.raises(BusyError, match="Rex is being learned"):
        studio.trash.delete_timeline(timeline_id)
    other = studio.new_timeline("Other")
    assert studio.trash.delete_timeline(other)
    studio.stop(job)
    studio.wait(job, 60)
    assert studio.trash.delete_timeline(timeline_id)


def test_examples_that_were_deleted_stay_away(studio: Studio, tmp_path: Path) -> None:
    assets, timeline_id = tmp_path / "shipped", taught(studio, tmp_path / "home", "clora", "Ann")
    shutil.copytree(tmp_path / "home" / "timelines", assets / "timelines")
    studio.trash.delete_timeline(timeline_id)
    again = Studio.open(tmp_path / "home", studio.base.path, "cpu", assets=assets)
    assert again.timelines() == []
    again.close()
    fresh = Studio.open(tmp_path / "fresh", studio.base.path, "cpu", assets=assets)
    assert [summary.id for summary in fresh.timelines()] == [timeline_id]
    own = fresh.new_timeline("Changed last")
    assert (fresh.default_timeline(), fresh.first_timeline()) == (own, timeline_id)  # a newcomer sees the example
    fresh.trash.delete_timeline(timeline_id)
    assert fresh.first_timeline() == own
    fresh.close()


def test_history_is_ordered_as_on_the_stage_and_by_timeline(studio: Studio, tmp_path: Path) -> None:
    names = [f"20261130-12000{second}-000{second}-draw-{number}.png" for second in (2, 1) for number in (1, 2, 10)]
    paths = [draw(tmp_path / "home", name, "one" if "0002-draw" in name else "two") for name in names]
    (tmp_path / "home" / "pictures" / "broken.png").write_bytes(b"no picture")
    assert studio.history()[:-1] == paths  # one whose name says no drawing comes last
    assert studio.history(2, start=2) == paths[2:4]
    assert studio.history(None, "two") == paths[3:]
