"""A timeline leaves one home as a file and comes into another, whole; what is no timeline does not come in."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny.concepts import tiny_concept

from clora_core.errors import DiskError, StoreError
from clora_core.store.store import ConceptStore

BASE = "0123456789abcdef"


@pytest.fixture
def made(tmp_path: Path, pictures: tuple[Path, ...]) -> tuple[ConceptStore, str]:
    """Two concepts; the pictures of the second were kept."""
    store = ConceptStore(tmp_path / "one")
    timeline_id = store.create("Mine", BASE, "Tiny")
    for position, (name, keep) in enumerate((("Rex", ()), ("Mug", pictures)), 1):
        learned = tiny_concept(name, position)
        before = store.load(timeline_id, BASE)
        store.append(before, learned, {learned.id: pictures[0]}, keep=keep)
    return store, timeline_id


def tensors(store: ConceptStore, timeline_id: str) -> list[dict[str, bytes]]:
    concepts = store.load(timeline_id, BASE).concepts
    return [{name: t.contiguous().numpy().tobytes() for name, t in c.tensors().items()} for c in concepts]


def test_it_comes_out_as_it_went_in(made: tuple[ConceptStore, str], tmp_path: Path) -> None:
    store, timeline_id = made
    store.archive(timeline_id, tmp_path / "out/mine.zip")
    other = ConceptStore(tmp_path / "two")
    taken = other.take_in(tmp_path / "out/mine.zip")
    assert tensors(other, taken) == tensors(store, timeline_id)
    assert [card.learned_picture for card in other.view(taken).cards].count(None) == 0
    assert not any(other.kept_pictures(taken).values())  # private, unless they are asked for
    again = other.take_in(tmp_path / "out/mine.zip")
    assert other.view(again).name == "Mine (2)" and again != taken
    store.archive(timeline_id, tmp_path / "all.zip", pictures=True)
    assert len(other.kept_pictures(other.take_in(tmp_path / "all.zip"))["002-mug"]) == 4
    store.archive(timeline_id, tmp_path / "first.zip", k=1)
    assert len(other.view(other.take_in(tmp_path / "first.zip")).cards) == 1


def changed(file: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A copy of a zip in which ``change`` has changed the files, by their names."""
    with zipfile.ZipFile(file) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    change(inside)
    made = file.with_name("changed.zip")
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in inside.items():
            archive.writestr(name, data)
    return made


def set_facts(inside: dict[str, bytes], file: str, **facts: object) -> None:
    inside[file] = json.dumps(json.loads(inside[file]) | facts).encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda inside: inside.pop("timeline.json"),
        lambda inside: inside.pop("002-mug/concept.json"),
        lambda inside: inside.pop("001-rex/weights.safetensors"),
        lambda inside: inside.update({"001-rex/weights.safetensors": b"x" * 99}),
        lambda inside: set_facts(inside, "timeline.json", concepts=["../../out"]),
        lambda inside: set_facts(inside, "timeline.json", name=7),
        lambda inside: set_facts(inside, "timeline.json", format=99),
        lambda inside: set_facts(inside, "002-mug/concept.json", token="<rex>"),
        lambda inside: set_facts(inside, "002-mug/concept.json", template=None),
    ],
)
def test_what_is_damaged_leaves_nothing_behind(
    made: tuple[ConceptStore, str], tmp_path: Path, change: Callable[[dict[str, bytes]], None]
) -> None:
    store, timeline_id = made
    store.archive(timeline_id, tmp_path / "mine.zip")
    other = ConceptStore(tmp_path / "two")
    with pytest.raises(StoreError):
        other.take_in(changed(tmp_path / "mine.zip", change))
    assert not other.ids() and not list((tmp_path / "two").glob(".in-*"))


def test_only_what_belongs_to_a_timeline_is_taken_out(made: tuple[ConceptStore, str], tmp_path: Path) -> None:
    store, timeline_id = made
    store.archive(timeline_id, tmp_path / "mine.zip")
    odd = {"001-rex/run.py": b"1", "../up.png": b"1", "001-rex/a/b/c.png": b"1", "other.json": b"{}"}
    other = ConceptStore(tmp_path / "two")
    other.take_in(changed(tmp_path / "mine.zip", lambda inside: inside.update(odd)))
    found = {path.name for path in tmp_path.joinpath("two").rglob("*")}
    assert not found & {"run.py", "up.png", "c.png", "other.json"} and not (tmp_path / "up.png").exists()


def test_a_file_that_is_no_zip_or_is_not_there(tmp_path: Path) -> None:
    store = ConceptStore(tmp_path / "two")
    (tmp_path / "no.zip").write_bytes(b"none")
    with pytest.raises(StoreError, match="damaged or no zip"):
        store.take_in(tmp_path / "no.zip")
    with pytest.raises(DiskError):
        store.take_in(tmp_path / "missing.zip")
