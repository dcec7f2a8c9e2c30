"""The trash: what was deleted comes back whole, until its days have passed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image
from tiny.concepts import tiny_concept

from clora_core.concepts import MAX_NAME_LENGTH
from clora_core.errors import ConceptError, StoreError
from clora_core.store import trash_folder
from clora_core.store.store import ConceptStore
from clora_core.store.trash_folder import DAYS

BASE = "0123456789abcdef"


@pytest.fixture
def store(tmp_path: Path) -> ConceptStore:
    return ConceptStore(tmp_path)


def taught(store: ConceptStore, method: str, *names: str) -> str:
    """A timeline of a method with these concepts, each with pictures of all up to it."""
    timeline_id = store.create("People", BASE, "Portraits", method)
    for name in names:
        before = store.load(timeline_id, BASE)
        learned = replace(tiny_concept(name, len(before.concepts) + 1), token=f"<{name.lower()}>")
        drawn = {}
        for concept in (*before.concepts, learned):
            drawn[concept.id] = store._folder.parent / f"{name}-{concept.id}.png"
            Image.new("RGB", (8, 8)).save(drawn[concept.id])
        store.append(before, learned, drawn)
    return timeline_id


def ids(store: ConceptStore, timeline_id: str) -> list[str]:
    return [concept.id for concept in store.load(timeline_id, BASE).concepts]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_timeline_comes_back_byte_for_byte(store: ConceptStore, tmp_path: Path) -> None:
    timeline_id = taught(store, "clora", "Ann", "Bob")
    before = files(tmp_path / "timelines")
    entry = store.delete(timeline_id)
    assert store.ids() == []
    with pytest.raises(StoreError, match="was deleted"):
        store.load(timeline_id, BASE)
    assert ConceptStore(tmp_path).bring_back(entry) == timeline_id
    assert files(tmp_path / "timelines") == before


def test_a_deleted_timelines_id_and_place_stay_its_own(store: ConceptStore) -> None:
    entry = store.delete(store.create("People", BASE, "Portraits"))
    other = store.create("People", BASE, "Portraits")
    assert other != "people"
    assert store.bring_back(entry) == "people"
    assert [summary.name for summary in store.summaries()] == ["People", "People"]


def test_after_its_days_it_is_gone(store: ConceptStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = taught(store, "routed", "Ann", "Bob")
    store.remove(alone, "001-ann")
    whole = store.delete(store.create("Other", BASE, "Portraits"))
    for passed, left in ((DAYS - 1, True), (DAYS, False)):
        day = datetime.now(UTC) + timedelta(days=passed, seconds=1)
        monkeypatch.setattr(trash_folder, "datetime", _Clock(day))
        opened = ConceptStore(tmp_path)
        assert [entry.id for entry in opened.trash.entries()] == ([whole] if left else [])
        assert [found[1] for found in opened.taken_out()] == (["001-ann"] if left else [])
        assert (tmp_path / "timelines" / alone / "001-ann").exists() is left
    assert ids(store, alone) == ["002-bob"]


class _Clock:
    """``datetime`` on another day."""

    def __init__(self, day: datetime) -> None:
        self._day, self.strptime, self.fromisoformat = day, datetime.strptime, datetime.fromisoformat

    def now(self, zone: object) -> datetime:
        return self._day


def test_what_a_crash_left_half_deleted_is_never_taken_for_the_whole(store: ConceptStore, tmp_path: Path) -> None:
    entry = store.delete(store.create("People", BASE, "Portraits"))
    (tmp_path / "trash" / entry).rename(tmp_path / "trash" / f".{entry}")  # the name goes first
    opened = ConceptStore(tmp_path)
    assert opened.trash.entries() == [] and not list((tmp_path / "trash").iterdir())


@pytest.mark.parametrize("method", ["routed", "merged", "textual_inversion", "custom_diffusion_merge"])
def test_what_was_learned_alone_leaves_from_the_middle_and_comes_back(store: ConceptStore, method: str) -> None:
    timeline_id = taught(store, method, "Ann", "Bob", "Cy")
    before = store.view(timeline_id)
    store.remove(timeline_id, "002-bob")
    assert ids(store, timeline_id) == ["001-ann", "003-cy"]
    drawn = [card.now_picture is not None for card in store.view(timeline_id).cards]
    steady = method in ("routed", "textual_inversion")
    assert drawn == [steady, steady]  # a sum without Bob draws others otherwise, and nothing has drawn them yet
    rows = store.changes(timeline_id)
    assert rows == (((0.0,), (0.0, 0.0)) if steady else ((0.0,), (None, 0.0)))
    store.put_back(timeline_id, "002-bob")
    assert store.view(timeline_id) == before
    with pytest.raises(StoreError, match="no longer in the trash"):
        store.put_back(timeline_id, "002-bob")


@pytest.mark.parametrize("method", ["clora", "stacked", "sequential", "ewc", "generative_replay", "dreambooth"])
def test_what_others_stand_on_stays(store: ConceptStore, method: str, tmp_path: Path) -> None:
    timeline_id = taught(store, method, "Ann", "Bob", "Cy")
    before = files(tmp_path)
    with pytest.raises(StoreError, match="Bob, Cy cannot do without Ann.*branch before it"):
        store.remove(timeline_id, "001-ann")
    assert files(tmp_path) == before
    store.remove(timeline_id, "003-cy")  # nothing stands on the last
    assert ids(store, timeline_id) == ["001-ann", "002-bob"]


def test_a_token_that_is_taken_by_now_does_not_come_back(store: ConceptStore) -> None:
    timeline_id = taught(store, "routed", "Ann", "Bob")
    store.remove(timeline_id, "001-ann")
    again = store.load(timeline_id, BASE)
    store.append(again, replace(tiny_concept("Ann", 2), token="<ann>"))
    with pytest.raises(ConceptError, match="<ann> is already taken"):
        store.put_back(timeline_id, "001-ann")
    store.undo(timeline_id)  # it could be redone
    with pytest.raises(ConceptError, match="<ann> is already taken"):
        store.put_back(timeline_id, "001-ann")


def test_a_concept_gets_another_name_and_keeps_its_token(store: ConceptStore, tmp_path: Path) -> None:
    timeline_id = taught(store, "clora", "Ann", "Bob")
    weights = (tmp_path / "timelines/people/001-ann/weights.safetensors").read_bytes()
    store.rename_concept(timeline_id, "001-ann", "  Anna\tMaria ")
    first, _ = store.view(timeline_id).cards
    assert (first.name, first.token, first.id) == ("Anna Maria", "<ann>", "001-ann")
    assert store.load(timeline_id, BASE).concepts[0].name == "Anna Maria"
    assert (tmp_path / "timelines/people/001-ann/weights.safetensors").read_bytes() == weights


@pytest.mark.parametrize(
    ("name", "why"), [("", "no name"), ("x" * (MAX_NAME_LENGTH + 1), "61 characters"), ("a\x07b", "cannot be shown")]
)
def test_names_are_bounded(store: ConceptStore, name: str, why: str) -> None:
    timeline_id = taught(store, "clora", "Ann")
    for ask in (
        lambda: store.create(name, BASE, "Portraits"),
        lambda: store.branch(timeline_id, 1, name),
        lambda: store.rename(timeline_id, name),
        lambda: store.rename_concept(timeline_id, "001-ann", name),
    ):
        with pytest.raises(ConceptError, match=why):
            ask()
    assert [summary.name for summary in store.summaries()] == ["People"]
    assert store.create("x" * MAX_NAME_LENGTH, BASE, "Portraits")


def test_no_two_timelines_get_one_name(store: ConceptStore, tmp_path: Path) -> None:
    first, other = store.create("People", BASE, "Portraits"), store.create("Others", BASE, "Portraits")
    for ask in (
        lambda: store.create("PEOPLE ", BASE, "Portraits"),
        lambda: store.branch(other, 0, "People"),
        lambda: store.rename(other, "people"),
    ):
        with pytest.raises(ConceptError, match="There is a timeline '(?i:people)' already"):
            ask()
    store.rename(first, "PEOPLE")  # its own
    assert store.free_title("people") == "people (2)"
    assert len(store.free_title("p" * 100)) == MAX_NAME_LENGTH
    index = json.loads((tmp_path / "timelines/others/timeline.json").read_text())
    (tmp_path / "timelines/others/timeline.json").write_text(json.dumps({**index, "name": "PEOPLE"}))  # as once allowed
    assert [summary.name for summary in store.summaries()] == ["PEOPLE", "PEOPLE"]
