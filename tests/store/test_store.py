"""Timelines on disk: what goes in comes out bit for bit, and no crash or mistake loses anything."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from store.races import OWN_PIDS, Programme, race
from tiny.concepts import tiny_concept

from clora_core.concepts import LearnedConcept
from clora_core.data.picture_sets import read_samples
from clora_core.data.pictures import open_pictures, usable
from clora_core.disk import MAX_TEXT_BYTES, HomeLock, read_json, write_text
from clora_core.errors import StoreError
from clora_core.measures.difference import difference
from clora_core.settings.methods import BUILT_IN, CLORA, Methods
from clora_core.store import files as store_files
from clora_core.store import store as store_module
from clora_core.store.store import ConceptStore
from clora_core.verdict import Verdict

BASE = "0123456789abcdef"


def add(store: ConceptStore, timeline_id: str, name: str, drawn: dict[str, Path] | None = None) -> LearnedConcept:
    before = store.load(timeline_id, BASE)
    return store.append(before, tiny_concept(name, len(before.concepts) + 1), drawn)


@pytest.fixture
def store(tmp_path: Path) -> ConceptStore:
    return ConceptStore(tmp_path)


@pytest.fixture
def timeline_id(store: ConceptStore) -> str:
    return store.create("My people", BASE, "Portraits")


def state(store: ConceptStore, timeline_id: str) -> list[str]:
    return [concept.id for concept in store.load(timeline_id, BASE).concepts]


def test_a_timeline_knows_where_its_model_can_be_had_again(store: ConceptStore, timeline_id: str) -> None:
    before = store.load(timeline_id, BASE)
    store.append(before, tiny_concept("Rex"), base_source="owner/name@abc")
    add(store, timeline_id, "Mug")
    with pytest.raises(StoreError, match="Open owner/name@abc, or start"):
        store.load(timeline_id, "another")


def test_a_concept_comes_back_bit_for_bit(store: ConceptStore, timeline_id: str) -> None:
    put = add(store, timeline_id, "Rex")
    (got,) = store.load(timeline_id, BASE).concepts
    assert put.id == got.id == "001-rex"
    assert got.to_json() == put.to_json()
    assert set(got.tensors()) == set(put.tensors())
    for name, tensor in put.tensors().items():
        assert got.tensors()[name].dtype == tensor.dtype
        assert torch.equal(got.tensors()[name], tensor)
    assert store.curve(timeline_id, "001-rex") == put.curve


def test_a_record_with_options_of_every_method_is_read(store: ConceptStore, timeline_id: str, tmp_path: Path) -> None:
    put = add(store, timeline_id, "Rex")
    file = tmp_path / "timelines/my-people/001-rex/concept.json"
    values = json.loads(file.read_text())
    values["config"] |= {"replay_pictures": 8, "replay_guidance": 1.0}  # as once written for all methods
    file.write_text(json.dumps(values))
    (got,) = store.load(timeline_id, BASE).concepts
    assert got.config == put.config


def test_a_method_that_is_not_installed_disables_its_timeline_alone(
    store: ConceptStore, timeline_id: str, tmp_path: Path
) -> None:
    add(store, timeline_id, "Rex")
    other = store.create("Other", BASE, "Portraits", "magic")
    by_id = {summary.id: summary for summary in store.summaries(BASE)}
    assert by_id[timeline_id].usable and by_id[other].problem == "the method magic is not installed"
    assert not store.view(other, BASE).usable
    for ask in (store.check, store.load):
        ask(timeline_id, BASE)
        with pytest.raises(StoreError, match="'Other' cannot be used. The method magic is not installed"):
            ask(other, BASE)
    magic = replace(CLORA, name="magic")
    knowing = ConceptStore(tmp_path, Methods((*BUILT_IN.rows, magic)))
    assert knowing.load(other, BASE).method is magic


def test_only_safetensors_and_json_and_pictures_are_written(
    store: ConceptStore, timeline_id: str, tmp_path: Path
) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "card.png")
    add(store, timeline_id, "Rex", {"001-any": tmp_path / "card.png"})
    files = {path.suffix for path in (tmp_path / "timelines").rglob("*") if path.is_file()}
    assert files == {".safetensors", ".json", ".png"}
    card = store.view(timeline_id).cards[0]
    assert card.learned_picture == card.now_picture == tmp_path / "timelines/my-people/001-rex/drawn/001-rex.png"


def test_the_forgetting_map_compares_each_time_with_the_day_it_was_learned(
    store: ConceptStore, timeline_id: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for number, noise in enumerate((0.0, 0.3, 0.9)):
        other = rng.integers(0, 256, first.shape)
        Image.fromarray(((1 - noise) * first + noise * other).astype(np.uint8)).save(tmp_path / f"{number}.png")
    same, near, far = (tmp_path / f"{number}.png" for number in range(3))
    near_by, far_by = difference(same, near), difference(same, far)
    assert 0 < near_by < far_by
    add(store, timeline_id, "Rex", {"001-any": same})
    add(store, timeline_id, "Mug", {"001-rex": near, "001-any": same})
    add(store, timeline_id, "Ilva", {"001-rex": far, "001-any": same})  # Mug was not drawn
    assert store.changes(timeline_id) == ((0.0,), (near_by, 0.0), (far_by, None, 0.0))
    assert [card.changed for card in store.view(timeline_id).cards] == [far_by, None, 0.0]
    store.undo(timeline_id)
    assert store.view(timeline_id).cards[0].changed == near_by
    assert store.changes(store.create("Empty", BASE, "Portraits")) == ()


def test_training_pictures_are_kept_only_when_asked(store: ConceptStore, timeline_id: str, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "01.png")
    add(store, timeline_id, "Rex")
    store.append(store.load(timeline_id, BASE), tiny_concept("Mug"), keep=[tmp_path / "01.png"])
    kept = [path.relative_to(tmp_path / "timelines/my-people") for path in tmp_path.rglob("training-*/*")]
    assert [(path.parts[0], path.name) for path in kept] == [("002-mug", "01.png")]
    assert len(kept[0].parts[1]) == len("training-") + 16  # nobody who sees the page can guess its address


def test_a_picture_is_kept_without_what_its_file_says_beside_the_pixels(
    store: ConceptStore, timeline_id: str, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"  # GPS
    exif[0x0112], exif[0x010F] = 6, "camera of Ann"
    given = tmp_path / "01.jpg"
    Image.effect_noise((64, 48), 80).convert("RGB").save(given, exif=exif)
    given.with_suffix(".txt").write_text("in the snow")
    before = usable(open_pictures([given], 1))
    store.append(store.load(timeline_id, BASE), tiny_concept("Mug"), keep=[given])
    (kept,) = store.kept_pictures(timeline_id)["001-mug"]
    assert kept.name == "01.png" and b"camera" not in kept.read_bytes() and not Image.open(kept).getexif()
    after = usable(open_pictures([kept], 1))
    assert after.sha256 == before.sha256 and after.captions == ("in the snow",)  # what was learned from, to the bit


def test_undo_and_redo_move_along_the_shelf(store: ConceptStore, timeline_id: str) -> None:
    for name in ("Rex", "Mug", "Ann"):
        add(store, timeline_id, name)
    store.undo(timeline_id)
    store.undo(timeline_id)
    assert state(store, timeline_id) == ["001-rex"]
    view = store.view(timeline_id)
    assert [card.id for card in view.undone] == ["002-mug", "003-ann"]
    assert [card.index for card in view.undone] == [2, 3]
    store.redo(timeline_id)
    assert state(store, timeline_id) == ["001-rex", "002-mug"]
    store.redo(timeline_id)
    with pytest.raises(StoreError, match="nothing to redo"):
        store.redo(timeline_id)
    for _ in range(3):
        store.undo(timeline_id)
    with pytest.raises(StoreError, match="no concept to undo"):
        store.undo(timeline_id)


def test_learning_on_top_of_an_undo_keeps_every_file(store: ConceptStore, timeline_id: str, tmp_path: Path) -> None:
    for name in ("Rex", "Mug"):
        add(store, timeline_id, name)
    store.undo(timeline_id)
    weights = tmp_path / "timelines/my-people/002-mug/weights.safetensors"
    before = weights.read_bytes()
    assert add(store, timeline_id, "Mug").id == "002-mug-2"
    assert state(store, timeline_id) == ["001-rex", "002-mug-2"]
    assert store.view(timeline_id).undone == ()
    assert weights.read_bytes() == before
    assert json.loads((tmp_path / "timelines/my-people/timeline.json").read_text())["set_aside"] == ["002-mug"]


def test_a_branch_is_a_copy_that_goes_its_own_way(store: ConceptStore, timeline_id: str) -> None:
    for name in ("Rex", "Mug"):
        add(store, timeline_id, name)
    branch = store.branch(timeline_id, 1, "My people 2")
    assert branch == "my-people-2"
    add(store, branch, "Ann")
    assert state(store, branch) == ["001-rex", "002-ann"]
    assert state(store, timeline_id) == ["001-rex", "002-mug"]
    with pytest.raises(StoreError, match="0 to 2"):
        store.branch(timeline_id, 3, "Too far")


def test_now_pictures_follow_the_timeline(store: ConceptStore, timeline_id: str, tmp_path: Path) -> None:
    for number in (1, 2):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / f"{number}.png")
    add(store, timeline_id, "Rex", {"001-any": tmp_path / "1.png"})
    add(store, timeline_id, "Mug", {"001-rex": tmp_path / "2.png", "001-any": tmp_path / "1.png"})
    card = store.view(timeline_id).cards[0]
    assert card.learned_picture and card.now_picture
    assert Image.open(card.learned_picture).getpixel((0, 0)) == (1, 0, 0)
    assert Image.open(card.now_picture).getpixel((0, 0)) == (2, 0, 0)
    store.undo(timeline_id)
    assert store.view(timeline_id).cards[0].now_picture == card.learned_picture


@pytest.mark.parametrize("moment", ["write_concept", "sync_folder", "write_json"])
def test_a_crash_while_storing_leaves_the_old_timeline(
    store: ConceptStore, timeline_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    add(store, timeline_id, "Rex")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store_module, moment, crash)
        with pytest.raises(KeyboardInterrupt):
            add(store, timeline_id, "Mug")
    reopened = ConceptStore(tmp_path)
    assert state(reopened, timeline_id) == ["001-rex"]
    assert not list((tmp_path / "timelines").rglob("*.partial"))
    add(reopened, timeline_id, "Mug")
    assert [card.name for card in reopened.view(timeline_id).cards] == ["Rex", "Mug"]


def test_a_full_disk_is_said_and_changes_nothing(
    store: ConceptStore, timeline_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_files, "sync_tree", full)
    with pytest.raises(StoreError, match="disk is full"):
        add(store, timeline_id, "Rex")
    assert state(store, timeline_id) == []
    assert [path.name for path in (tmp_path / "timelines/my-people").iterdir()] == ["timeline.json"]


@pytest.mark.parametrize("change", ["append", "undo", "redo"])
def test_a_disk_that_is_full_at_the_commit_changes_nothing_either(
    store: ConceptStore, timeline_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    for name in ("Rex", "Mug"):
        add(store, timeline_id, name)
    store.undo(timeline_id)
    folder = tmp_path / "timelines/my-people"
    before = {path.name for path in folder.iterdir()}, (folder / "timeline.json").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def change_it() -> object:
        return add(store, timeline_id, "Ann") if change == "append" else getattr(store, change)(timeline_id)

    with monkeypatch.context() as patch:
        patch.setattr("clora_core.store.store.write_json", full)  # when everything else is written
        with pytest.raises(StoreError, match="disk is full"):
            change_it()
    assert before == ({path.name for path in folder.iterdir()}, (folder / "timeline.json").read_bytes())
    change_it()


def test_a_file_that_could_not_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    write_text(tmp_path / "a.json", "old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError):
            write_text(tmp_path / "a.json", "new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_sample_without_a_token_is_named(tmp_path: Path) -> None:
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada/concept.json").write_text('{"name": "Ada"}')
    with pytest.raises(StoreError, match=r"ada/concept\.json lacks token"):
        read_samples(tmp_path)


def test_leftovers_are_cleared_unless_somebody_is_writing(
    store: ConceptStore, timeline_id: str, tmp_path: Path
) -> None:
    folder = tmp_path / "timelines"
    (folder / "half.7.partial/001-rex").mkdir(parents=True)
    (folder / timeline_id / "001-rex.1.partial").mkdir()
    (folder / timeline_id / ".timeline.json.1.tmp").touch()
    job = tmp_path / "jobs/0001-learn"
    job.mkdir(parents=True)
    for name, age in (
        ("old", 2 * store_module.OLD_SECONDS),
        ("young", 0.0),
    ):  # of files that are written without the lock
        (job / f".{name}.json.1.tmp").touch()
        os.utime(job / f".{name}.json.1.tmp", (time.time() - age, time.time() - age))
    before = sorted(folder.rglob("*"))
    with store.lock:
        assert sorted(folder.rglob("*")) == before
        ConceptStore(tmp_path)  # as another programme would: it does not wait
        assert sorted(folder.rglob("*")) == before
    ConceptStore(tmp_path)
    assert [path.name for path in folder.rglob("*")] == [timeline_id, "timeline.json"]
    assert [path.name for path in job.iterdir()] == [".young.json.1.tmp"]


@pytest.mark.slow
@pytest.mark.parametrize("prefix", [(), OWN_PIDS], ids=["one machine", "two containers"])
def test_two_programmes_on_one_home_lose_nothing(tmp_path: Path, prefix: tuple[str, ...]) -> None:
    """One round of every pair of writing operations; ``races.py --rounds 2000`` is the same at length."""
    if prefix and subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("PID namespaces cannot be made here")
    programmes = Programme(prefix), Programme(prefix)
    assert race(tmp_path, 1, programmes) == []
    for programme in programmes:
        programme.close()


def test_a_home_that_somebody_else_holds_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clora_core.disk.LOCK_SECONDS", 0.05)
    store = ConceptStore(tmp_path)
    with HomeLock(tmp_path), ThreadPoolExecutor(1) as other:
        waiting = other.submit(store.create, "Late", BASE, "Portraits")
        with pytest.raises(StoreError, match="Another programme has been writing"):
            waiting.result()
    assert store.create("Late", BASE, "Portraits") == "late"


def test_another_base_model_is_named_in_the_error(store: ConceptStore, timeline_id: str) -> None:
    add(store, timeline_id, "Rex")
    with pytest.raises(StoreError, match=r"'Portraits' \(0123456789ab\)"):
        store.load(timeline_id, "ffff")
    assert [summary.usable for summary in store.summaries("ffff")] == [False]
    assert [summary.usable for summary in store.summaries(BASE)] == [True]


def test_a_timeline_made_before_the_model_was_known_is_bound_by_its_first_concept(
    store: ConceptStore,
) -> None:
    timeline_id = store.create("Early", "", "some/model")
    add(store, timeline_id, "Rex")
    with pytest.raises(StoreError, match="belongs to"):
        store.check(timeline_id, "ffff")


def test_a_damaged_weights_file_is_named(store: ConceptStore, timeline_id: str, tmp_path: Path) -> None:
    add(store, timeline_id, "Rex")
    path = tmp_path / "timelines/my-people/001-rex/weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(StoreError, match=r"001-rex.*checksum"):
        store.load(timeline_id, BASE)


def test_a_concept_learned_on_a_past_that_changed_is_refused(store: ConceptStore, timeline_id: str) -> None:
    add(store, timeline_id, "Rex")
    before = store.load(timeline_id, BASE)
    store.undo(timeline_id)
    with pytest.raises(StoreError, match="was changed while Mug was being learned"):
        store.append(before, tiny_concept("Mug", 2))
    assert state(store, timeline_id) == []


@pytest.mark.parametrize("bad", ["../x", "", ".", "a/b", "A", "x" * 99])
def test_ids_cannot_leave_the_folder(store: ConceptStore, bad: str) -> None:
    with pytest.raises(StoreError):
        store.view(bad)


def test_unknown_timelines_and_formats_are_said(store: ConceptStore, timeline_id: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="There are: my-people"):
        store.view("other")
    path = tmp_path / "timelines/my-people/timeline.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(StoreError, match="format 99"):
        store.view(timeline_id)


@pytest.mark.parametrize("to_draw", [False, True])
def test_a_concept_that_was_stored_when_there_was_one_table_is_read(
    store: ConceptStore, tmp_path: Path, to_draw: bool
) -> None:
    timeline_id = store.create("My people", BASE, "Portraits", "sequential")
    first = add(store, timeline_id, "Rex").embeddings["clip"]
    add(store, timeline_id, "Mug")
    folder = tmp_path / "timelines" / timeline_id / "001-rex"
    tensors = load_file(folder / "weights.safetensors")
    tensors["token_embedding"] = tensors.pop("embeddings.clip")[0]
    save_file(tensors, folder / "weights.safetensors")
    facts = json.loads((folder / "concept.json").read_text())
    facts["weights_sha256"] = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    (folder / "concept.json").write_text(json.dumps(facts))
    assert torch.equal(store.load(timeline_id, BASE, to_draw=to_draw).concepts[0].embeddings["clip"], first)


def test_a_timeline_with_a_damaged_file_is_listed_as_such(
    store: ConceptStore, timeline_id: str, tmp_path: Path
) -> None:
    add(store, timeline_id, "Rex")
    index, facts = (tmp_path / "timelines/my-people" / name for name in ("timeline.json", "001-rex/concept.json"))
    for path, key in ((index, "concepts"), (facts, "token"), (facts, "")):
        whole = path.read_text()
        values = json.loads(whole)
        values.pop(key, None)
        path.write_text(json.dumps(values) if key else "{")
        assert [(entry.id, entry.problem) for entry in store.summaries(BASE)] == [(timeline_id, "cannot be read")]
        with pytest.raises(StoreError, match=f"{path.name}.*Restore it from a backup"):
            store.view(timeline_id)
        path.write_text(whole)
    assert [entry.usable for entry in store.summaries(BASE)] == [True]


@pytest.mark.parametrize(
    ("file", "place", "value"),
    [
        ("timeline.json", ["undone"], 5),
        ("timeline.json", ["concepts", 0], "../../etc"),
        ("timeline.json", ["name"], ["People"]),
        ("timeline.json", ["removed"], [{"id": "001-ann", "deleted": "yesterday", "after": []}]),
        ("001-ann/concept.json", ["config"], {}),
        ("001-ann/concept.json", ["config", "steps"], "many"),
        ("001-ann/concept.json", ["config", "learning_rate"], "high"),
        ("001-ann/concept.json", ["seconds"], None),
        ("001-ann/concept.json", ["verdict"], {"differs_from_base": 0.5}),
        ("001-ann/concept.json", ["verdict"], {"differs_from_base": 0.5, "older_changed": [[1]]}),
        ("001-ann/concept.json", ["picture_hashes"], 7),
        ("001-ann/curve.json", ["curve"], [{"step": "one"}]),
    ],
)
def test_nonsense_in_a_file_disables_its_timeline_and_names_the_file(
    store: ConceptStore, timeline_id: str, tmp_path: Path, file: str, place: list[Any], value: object
) -> None:
    add(store, timeline_id, "ann")
    other = store.create("Others", BASE, "Portraits")
    path = tmp_path / "timelines" / timeline_id / file
    whole = json.loads(path.read_text())
    at = whole
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    path.write_text(json.dumps(whole))
    for read in (store.summaries, lambda: store.view(other, BASE)):
        read()
    with pytest.raises(StoreError, match=path.name if "etc" not in str(value) else "is not the id of a concept"):
        store.load(timeline_id, BASE)


@pytest.mark.skipif(os.name == "nt", reason="no such files there")
@pytest.mark.parametrize("kind", ["pipe", "device", "loop", "folder", "endless"])
def test_what_is_no_plain_file_is_said_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "timeline.json"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "endless":
        path.write_text("[" * 200_000)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else path)
    with pytest.raises(StoreError, match=r"timeline\.json cannot be read"):
        read_json(path)
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(MAX_TEXT_BYTES + 1)
    with pytest.raises(StoreError, match="it has 64 MB"):
        read_json(path)


def test_names_need_not_be_ascii(store: ConceptStore) -> None:
    first, second = store.create("日本", BASE, "Portraits"), store.create("Ünï Çode", BASE, "Portraits")
    assert (first, second) == ("timeline", "uni-code")
    stored = store.append(store.load(first, BASE), replace(tiny_concept("Rex"), name="犬", token="<inu>"))
    assert stored.id == "001-concept"
    assert store.view(first).cards[0].name == "犬"


@pytest.mark.parametrize(("method", "lean"), [("sequential", True), ("clora", False)])
def test_drawing_reads_no_weights_it_does_not_need(store: ConceptStore, method: str, lean: bool) -> None:
    timeline_id = store.create("Many", BASE, "Portraits", method)
    for name in ("Rex", "Mug", "Cup"):
        add(store, timeline_id, name)
    whole, drawn = store.load(timeline_id, BASE, 2), store.load(timeline_id, BASE, 2, to_draw=True)
    assert whole.tokens == drawn.tokens == ("<rex>", "<mug>")
    assert [not concept.factors for concept in drawn.concepts] == [lean, False]
    for concept, full in zip(drawn.concepts, whole.concepts, strict=True):
        assert torch.equal(concept.embeddings["clip"], full.embeddings["clip"])
    with pytest.raises(StoreError, match="no point 4 in 'Many': it has 3 concepts"):
        store.load(timeline_id, BASE, 4)


def test_a_verdict_names_what_fades_and_what_is_lost() -> None:
    fine = Verdict(0.5, (("<a>", 0.02), ("<b>", 0.09)))
    assert fine.words().endswith("Older concepts as good as new: 2 of 2.")
    worse = Verdict(0.5, (("<a>", 0.02), ("<b>", 0.2), ("<c>", 0.6), ("<d>", 0.3)))
    assert "as good as new: 1 of 4. Fading: <d> (30.0%), <b> (20.0%). Lost: <c> (60.0%)." in worse.words()
    many = Verdict(0.5, tuple((f"<{name}>", 0.2) for name in "abcde"))
    assert "<c> (20.0%) and 2 more." in many.words()


def test_cards_carry_the_verdict(store: ConceptStore, timeline_id: str) -> None:
    verdict = Verdict(0.25, (("<old>", 0.125),))
    store.append(store.load(timeline_id, BASE), tiny_concept("Rex"), verdict=verdict)
    assert store.view(timeline_id).cards[0].verdict == verdict


def test_a_timeline_of_before_is_of_the_same_base_and_takes_its_whole_id_when_it_learns(
    store: ConceptStore, tmp_path: Path
) -> None:
    old, whole, other = "0123456789abcdef", "0123456789abcdef.aaaa", "0123456789abcdef.bbbb"
    timeline_id = store.create("People", old, "Portraits")
    for base_id in (whole, other):  # nobody noted then which VAE it was
        assert store.summaries(base_id)[0].usable and store.load(timeline_id, base_id).base_id == base_id
    store.append(store.load(timeline_id, whole), tiny_concept("Rex"))
    assert json.loads((tmp_path / "timelines/people/timeline.json").read_text())["base_id"] == whole
    assert store.load(timeline_id, whole).concepts and not store.summaries(other)[0].usable
    with pytest.raises(StoreError, match="another VAE, scheduler or tokenizer"):
        store.load(timeline_id, other)
