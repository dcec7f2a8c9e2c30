"""The line of lessons on a real (tiny) model: order, pause, restart, failure, two programmes on one home."""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from clora_core.concepts import Concept
from clora_core.errors import BusyError, ConceptError, SettingsError, StoreError
from clora_core.jobs import learn as work
from clora_core.jobs.board import MOST_WAITING
from clora_core.jobs.requests import DrawRequest, LearnRequest
from clora_core.learning.trainer import Training
from clora_core.studio.studio import Studio

SECONDS = 60.0
LONG = {"steps": 5000, "preview_every_seconds": 0.0}
QUICK = {"steps": 1, "preview_every_seconds": 0.0, "augment_copies": 1}
OpenStudio = Callable[..., Studio]


def ask(studio: Studio, name: str, timeline_id: str = "", **settings: object) -> str:
    concept = Concept(name, f"<{name.lower()}>", studio.samples()[0].pictures)
    config = studio.base.train.updated({**QUICK, **settings})
    return studio.learn(LearnRequest(timeline_id or studio.default_timeline(), concept, config))


def line(studio: Studio) -> list[str]:
    return [lesson.name for lesson in studio.lessons.all()]


def begun(studio: Studio, job_id: str, steps: int = 2) -> None:
    while (view := studio.wait(job_id, 0.02)).step < steps:
        assert not view.finished, view.message


def finish(studio: Studio) -> None:
    for lesson in studio.lessons.all():
        studio.wait(lesson.id, SECONDS)


def learned(studio: Studio) -> list[str]:
    return [card.name for card in studio.timeline(studio.default_timeline()).cards]


@pytest.mark.slow
def test_ten_are_lined_up_moved_and_taken_out_and_what_fails_is_tried_again(
    open_studio: OpenStudio, tmp_path: Path
) -> None:
    studio = open_studio()
    first = ask(studio, "A", **LONG)
    begun(studio, first)
    ids = {"A": first} | {name: ask(studio, name) for name in "BCDEFGHIJ"}
    assert line(studio) == list("ABCDEFGHIJ")
    studio.lessons.move(ids["C"], earlier=True)
    studio.lessons.move(ids["C"], earlier=True)  # the first that waits: it stays there
    studio.lessons.move(ids["H"], earlier=False)
    studio.stop(ids["D"])
    assert line(studio) == list("ACBEFGIHJ")
    with pytest.raises(ConceptError, match="already taken"):
        ask(studio, "E")
    with pytest.raises(SettingsError, match="Start a new timeline"):
        config = studio.base.train_with({"method": "sequential"})
        studio.learn(LearnRequest(studio.default_timeline(), Concept("X", "<x>", studio.samples()[0].pictures), config))
    shutil.rmtree(tmp_path / "home/uploads" / ids["F"])
    (tmp_path / "home/uploads" / ids["F"]).mkdir()
    studio.stop(first, keep=True)
    finish(studio)
    assert learned(studio) == list("ACBEGIHJ")
    (failed,) = studio.lessons.all()
    assert (failed.name, failed.state, failed.resumable) == ("F", "failed", True) and failed.message
    for number, path in enumerate(studio.samples()[0].pictures, 1):
        shutil.copy(path, tmp_path / "home/uploads" / ids["F"] / f"{number:02d}.png")
    studio.resume(ids["F"])
    finish(studio)
    assert learned(studio) == list("ACBEGIHJF") and line(studio) == []
    assert studio.landed() == ids["F"]
    assert not list((tmp_path / "home/uploads").iterdir())


@pytest.mark.slow
def test_a_pause_frees_the_memory_holds_the_line_and_is_gone_on_from_bit_for_bit(
    open_studio: OpenStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = open_studio("straight")
    ask(straight, "A", steps=25)
    finish(straight)
    trainings: list[weakref.ref[Training]] = []
    begin = work.train_concept

    def noted(*values: object, **more: object) -> Training:
        training = begin(*values, **more)  # type: ignore[arg-type]
        trainings.append(weakref.ref(training))
        return training

    monkeypatch.setattr(work, "train_concept", noted)
    studio = open_studio()
    first, second = ask(studio, "A", steps=25), ask(studio, "B")
    begun(studio, first)
    studio.lessons.pause()
    paused = studio.wait(first, SECONDS)
    assert (paused.state, paused.resumable, paused.begun) == ("paused", True, True) and 2 <= paused.step < 25
    with pytest.raises(StoreError, match="Nothing is being learned"):
        studio.lessons.pause()
    prompt = DrawRequest(studio.default_timeline(), "a photo", studio.base.sampling)
    assert Image.open(studio.draw_now(prompt)[0]).size == (32, 32)
    assert trainings[0]() is None  # collected by the worker, before it drew
    waits = studio.wait(second, 0.0)
    assert waits.state == "queued" and "A is paused" in waits.phase and line(studio) == ["A", "B"]
    studio.resume(first)
    finish(studio)
    assert learned(studio) == ["A", "B"]
    ours, theirs = (
        load_file(tmp_path / home / "timelines/my-concepts/001-a/weights.safetensors") for home in ("home", "straight")
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.slow
def test_the_line_outlives_the_programme_and_goes_on_as_a_whole(open_studio: OpenStudio, tmp_path: Path) -> None:
    studio = open_studio()
    ids = [ask(studio, "A", steps=20), ask(studio, "B"), ask(studio, "C")]
    studio.lessons.move(ids[2], earlier=True)
    begun(studio, ids[0])
    studio.close()
    again = open_studio()
    assert [(view.name, view.state, view.begun) for view in again.lessons.all()] == [
        ("A", "interrupted", True),
        ("C", "interrupted", False),
        ("B", "interrupted", False),
    ]
    assert again.lessons.resume_all() == [ids[0], ids[2], ids[1]]
    finish(again)
    assert learned(again) == ["A", "C", "B"]


def test_what_was_left_is_given_up_as_a_whole_or_started_over_on_another_past(
    open_studio: OpenStudio, tmp_path: Path
) -> None:
    studio = open_studio()
    first, other = ask(studio, "A", steps=200), ask(studio, "B")
    begun(studio, first)
    studio.close()
    again = open_studio()
    finish_other = again.resume(other)
    assert again.wait(finish_other, SECONDS).state == "done"
    with pytest.raises(StoreError, match="Start A over"):
        again.resume(first)
    again.resume(first, afresh=True)
    begun(again, first)
    assert [preview.name for preview in again.lessons.views([first])] == ["A"]
    assert len(again.lessons.pictures(first)) == len(again.samples()[0].pictures)
    again.lessons.pause()
    assert again.wait(first, SECONDS).state == "paused"
    assert again.lessons.discard_all() == [first] and line(again) == [] and learned(again) == ["B"]
    assert again.lessons.pictures(first) == () and not list((tmp_path / "home/uploads").iterdir())


def test_two_programmes_on_one_home_learn_one_after_the_other(open_studio: OpenStudio) -> None:
    one, other = open_studio(), open_studio()
    other.draw_now(DrawRequest(other.default_timeline(), "a photo", other.base.sampling))  # its model is loaded
    first = ask(one, "A", **LONG)
    begun(one, first)
    second = ask(other, "B")
    assert line(one) == line(other) == ["A", "B"]
    waits = other.wait(second, 0.5)
    assert waits.state == "queued" and waits.here and "another programme learns A" in waits.phase
    with pytest.raises(BusyError, match="another running programme"):
        other.lessons.pause()
    with pytest.raises(BusyError, match="another running programme"):
        one.lessons.move(second, earlier=True)
    one.stop(first, keep=True)
    assert other.wait(second, SECONDS).state == "done"
    assert learned(one) == ["A", "B"]


def test_the_line_has_an_end(open_studio: OpenStudio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MOST_WAITING, "learn", 2)
    studio = open_studio()
    begun(studio, ask(studio, "A", **LONG))
    for name in "BC":
        ask(studio, name)
    with pytest.raises(BusyError, match="2 others are waiting"):
        ask(studio, "D")
