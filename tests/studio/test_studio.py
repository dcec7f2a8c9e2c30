"""The door on a real (tiny) model in its worker thread: teach, draw, stop, resume, undo."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file

from clora_core.answers import JobView
from clora_core.concepts import Concept
from clora_core.data import pictures as decoding
from clora_core.data.pictures import open_pictures, usable
from clora_core.disk import HOME, home_folder
from clora_core.drawing.png_settings import read_settings
from clora_core.errors import (
    BusyError,
    ConceptError,
    ModelError,
    PictureError,
    SettingsError,
    StoreError,
)
from clora_core.jobs import learn as work
from clora_core.jobs.requests import DrawRequest, LearnRequest
from clora_core.learning.trainer import Training
from clora_core.measures.difference import difference
from clora_core.settings.drawing import SamplingConfig
from clora_core.settings.learning import TrainConfig
from clora_core.settings.methods import SEQUENTIAL
from clora_core.studio.studio import Studio

SECONDS = 60.0
LONG = {"steps": 5000, "preview_every_seconds": 0.0}


@pytest.fixture
def open_studio(tiny_folder: Path, tmp_path: Path) -> Iterator[Callable[..., Studio]]:
    made = []

    def open_studio(home: str = "home", **options: object) -> Studio:
        made.append(Studio.open(tmp_path / home, str(tiny_folder), "cpu", assets=tmp_path / "assets", **options))
        return made[-1]

    yield open_studio
    for studio in made:
        studio.close()


@pytest.fixture
def studio(open_studio: Callable[..., Studio]) -> Studio:
    return open_studio()


@pytest.fixture
def rex(pictures: tuple[Path, ...]) -> Concept:
    return Concept("Rex", "<rex>", pictures)


@pytest.fixture
def mug(pictures: tuple[Path, ...]) -> Concept:
    return Concept("Mug", "<mug>", pictures[1:])


def teach(studio: Studio, concept: Concept, config: TrainConfig, keep_pictures: bool = False) -> JobView:
    view = studio.wait(studio.learn(LearnRequest(studio.default_timeline(), concept, config, keep_pictures)), SECONDS)
    assert view.state == "done", view.message
    return view


def until(studio: Studio, job_id: str, reached: Callable[[JobView], bool]) -> JobView:
    while not reached(view := studio.wait(job_id, 0.02)):
        assert not view.finished, view.message
    return view


def pixels(paths: list[Path]) -> list[bytes]:
    return [Image.open(path).tobytes() for path in paths]


def test_teach_two_draw_both_go_back_and_forth(
    studio: Studio, rex: Concept, mug: Concept, config: TrainConfig, settings: SamplingConfig
) -> None:
    timeline_id = studio.default_timeline()
    first = teach(studio, rex, config)
    after_first = pixels(studio.draw_now(DrawRequest(timeline_id, "a photo of <rex>", settings)))
    second = teach(studio, mug, config)

    assert (first.step, first.total, len(first.curve)) == (4, 4, 4)
    assert first.verdict and first.verdict.differs_from_base > 0 and first.verdict.older_changed == ()
    assert second.verdict and [token for token, _ in second.verdict.older_changed] == ["<rex>"]
    assert second.verdict.words() in second.message and "<mug>" in second.message
    cards = studio.timeline(timeline_id).cards
    assert [(card.index, card.id, card.token, card.steps) for card in cards] == [
        (1, "001-rex", "<rex>", 4),
        (2, "002-mug", "<mug>", 4),
    ]
    assert all(card.learned_picture and card.now_picture for card in cards)
    assert cards[0].learned_picture != cards[0].now_picture
    assert studio.curve(timeline_id, "002-mug") == tuple(second.curve)

    assert pixels(studio.draw_now(DrawRequest(timeline_id, "a photo of <rex>", settings))) != after_first
    assert pixels(studio.draw_now(DrawRequest(timeline_id, "a photo of <rex>", settings, as_of=1))) == after_first
    view = studio.undo(timeline_id)
    assert [card.token for card in view.undone] == ["<mug>"]
    assert pixels(studio.draw_now(DrawRequest(timeline_id, "a photo of <rex>", settings))) == after_first
    assert len(studio.redo(timeline_id).cards) == 2
    branch = studio.branch(timeline_id, 1, "Another way")
    assert pixels(studio.draw_now(DrawRequest(branch, "a photo of <rex>", settings))) == after_first
    assert {summary.id for summary in studio.timelines()} == {timeline_id, branch}
    found = studio.picture_settings(studio.history()[0])
    assert (found["prompt"], found["timeline"], found["as_of"]) == ("a photo of <rex>", branch, 1)


def test_the_same_lesson_is_the_same_bits(
    open_studio: Callable[..., Studio], rex: Concept, config: TrainConfig, tmp_path: Path
) -> None:
    for home in ("one", "two"):
        studio = open_studio(home)
        teach(studio, rex, config.updated({"preview_every_seconds": 0.01 if home == "one" else 0.0}))
    weights = [
        load_file(tmp_path / home / "timelines/my-concepts/001-rex/weights.safetensors") for home in ("one", "two")
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_previews_show_the_new_concept_and_an_older_one(
    studio: Studio, rex: Concept, mug: Concept, config: TrainConfig
) -> None:
    teach(studio, rex, config)
    job_id = studio.learn(
        LearnRequest(studio.default_timeline(), mug, config.updated({"steps": 5000, "preview_every_seconds": 0.05}))
    )
    view = until(studio, job_id, lambda view: len(view.previews) >= 3 and view.step >= 3)
    assert [(p.step == 0, p.token, p.is_new) for p in view.previews[:3]] == [
        (False, "<mug>", True),
        (True, "<rex>", False),
        (False, "<rex>", False),
    ]
    assert all(Image.open(preview.path).size == (32, 32) for preview in view.previews)
    assert view.previews[0].step == view.previews[2].step
    assert (view.state, view.name) == ("running", "Mug")
    assert view.seconds_left is not None and view.steps_per_second


def test_previews_of_a_prompt_of_ones_own(studio: Studio, rex: Concept, mug: Concept, config: TrainConfig) -> None:
    timeline_id = studio.default_timeline()
    teach(studio, rex, config)
    with pytest.raises(ConceptError, match="<nobody>"):
        studio.learn(LearnRequest(timeline_id, mug, config.updated({"preview_prompt": "{} next to <nobody>"})))
    fast = {**LONG, "preview_every_seconds": 0.05, "preview_prompt": "a sketch of {} next to <rex>"}
    job_id = studio.learn(LearnRequest(timeline_id, mug, config.updated(fast)))
    view = until(studio, job_id, lambda view: bool(view.previews))
    assert read_settings(view.previews[0].path)["prompt"] == "a sketch of <mug> next to <rex>"
    studio.stop(job_id, keep=False)


def test_stop_and_keep_and_stop_and_discard(studio: Studio, rex: Concept, mug: Concept, config: TrainConfig) -> None:
    timeline_id = studio.default_timeline()
    job_id = studio.learn(LearnRequest(timeline_id, rex, config.updated(LONG)))
    until(studio, job_id, lambda view: view.step >= 2)
    studio.stop(job_id, keep=True)
    kept = studio.wait(job_id, SECONDS)
    assert kept.state == "stopped" and "and kept" in kept.message and kept.verdict
    (card,) = studio.timeline(timeline_id).cards
    assert card.steps == kept.step < 5000

    job_id = studio.learn(LearnRequest(timeline_id, mug, config.updated(LONG)))
    stopped_at = until(studio, job_id, lambda view: view.step >= 2).step
    studio.stop(job_id, keep=False)
    gone = studio.wait(job_id, SECONDS)
    assert gone.state == "stopped" and gone.message == "Stopped. Nothing was kept."
    assert gone.step - stopped_at < 100
    assert len(studio.timeline(timeline_id).cards) == 1
    assert not gone.resumable


def test_the_verdict_says_of_older_concepts_what_the_timeline_says(
    studio: Studio, rex: Concept, mug: Concept, config: TrainConfig
) -> None:
    for concept in (rex, mug):
        teach(studio, concept, config)
    verdict = teach(studio, replace(rex, name="Cup", token="<cup>"), config).verdict
    cards = studio.timeline(studio.default_timeline()).cards
    assert verdict and verdict.older_changed == tuple((card.token, card.changed) for card in cards[:-1])


@pytest.mark.slow
def test_a_damaged_card_picture_is_drawn_again_to_be_compared_with(
    studio: Studio, rex: Concept, mug: Concept, config: TrainConfig
) -> None:
    teach(studio, rex, config)
    as_learned = studio.timeline(studio.default_timeline()).cards[0].learned_picture
    assert as_learned
    whole = as_learned.read_bytes()
    as_learned.write_bytes(whole[: len(whole) // 2])
    verdict = teach(studio, mug, config).verdict
    as_learned.write_bytes(whole)
    now = studio.timeline(studio.default_timeline()).cards[0].now_picture
    assert now and verdict and verdict.older_changed == (("<rex>", difference(as_learned, now)),)


def no_room(*args: object, **options: object) -> None:
    raise OSError(28, "No space left on device")


def test_what_is_stopped_and_kept_outlives_a_full_disk(
    studio: Studio, rex: Concept, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = studio.learn(LearnRequest(studio.default_timeline(), rex, config.updated(LONG)))
    until(studio, job_id, lambda view: view.step >= 2)
    monkeypatch.setattr("clora_core.store.store.write_concept", no_room)
    studio.stop(job_id, keep=True)
    left = studio.wait(job_id, SECONDS)
    assert left.resumable and "Free some space" in left.message
    monkeypatch.undo()
    studio.resume(job_id)
    until(studio, job_id, lambda view: view.step > left.step)
    studio.stop(job_id, keep=True)
    assert studio.wait(job_id, SECONDS).step > left.step
    assert len(studio.timeline(studio.default_timeline()).cards) == 1


def test_learning_goes_on_where_no_checkpoint_can_be_written(
    studio: Studio, rex: Concept, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(tensors: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise SafetensorError("No space left on device (os error 28)")

    monkeypatch.setattr("clora_core.jobs.checkpoints.save_file", torn)
    monkeypatch.setattr("clora_core.jobs.learn.CHECKPOINT_SECONDS", 0.0)
    view = teach(studio, rex, config)
    assert "No space left" in (studio._board.find(view.id).folder / "log.txt").read_text()


@pytest.mark.slow
def test_uploads_may_vanish_while_learning_and_are_not_kept(
    studio: Studio, pictures: tuple[Path, ...], config: TrainConfig, tmp_path: Path
) -> None:
    upload = tmp_path / "upload"
    upload.mkdir()
    paths = tuple(Path(shutil.copy(path, upload)) for path in pictures)
    job_id = studio.learn(LearnRequest(studio.default_timeline(), Concept("Rex", "<rex>", paths), config))
    shutil.rmtree(upload)
    assert studio.wait(job_id, SECONDS).state == "done"
    home = tmp_path / "home"
    assert not list(home.rglob("pictures/0*.png")) and not list(home.rglob("training*"))
    teach(studio, Concept("Mug", "<mug>", pictures), config, keep_pictures=True)
    assert len(list(home.glob("timelines/my-concepts/002-mug/training-*/*.png"))) == 4


def test_drawing_while_learning_is_served_between_steps(
    studio: Studio, rex: Concept, config: TrainConfig, settings: SamplingConfig
) -> None:
    timeline_id = studio.default_timeline()
    learning = studio.learn(LearnRequest(timeline_id, rex, config.updated(LONG)))
    until(studio, learning, lambda view: view.step >= 1)
    drawn = studio.wait(studio.draw(DrawRequest(timeline_id, "a photo", replace(settings, pictures=2))), SECONDS)
    assert drawn.state == "done" and len(drawn.pictures) == 2
    running = studio.job()
    assert running and running.id == learning and running.state == "running"
    drawing = studio.draw(DrawRequest(timeline_id, "a photo", replace(settings, steps=1000)))
    until(studio, drawing, lambda view: view.step >= 1)
    studio.stop(drawing)
    assert studio.wait(drawing, SECONDS).state == "stopped"
    assert studio.draw_now(DrawRequest(timeline_id, "a photo", settings)) == studio.history()[:1]


def test_the_history_keeps_what_was_drawn_together_in_order_and_only_its_pictures_can_be_favourites(
    studio: Studio, tmp_path: Path
) -> None:
    folder = tmp_path / "home" / "pictures"
    folder.mkdir(parents=True)
    drawn = [f"20260101-00000{second}-0001-draw-{number}.png" for second in (2, 1) for number in (1, 2, 10)]
    for name in (*drawn[3:], *drawn[:3]):
        Image.new("RGB", (4, 4)).save(folder / name)
    assert [path.name for path in studio.history()] == drawn
    first = studio.picture(str(folder / drawn[0]))
    assert studio.favourite(first) is False
    studio.set_favourite(first, True)
    assert studio.favourite(first) is True and studio.favourites() == {drawn[0]}
    card = tmp_path / "home" / "timelines" / "a" / "card.png"
    card.parent.mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(card)
    assert studio.favourite(studio.picture(str(card))) is None
    Image.new("RGB", (4, 4)).save(tmp_path / "secret.png")
    for name in (tmp_path / "secret.png", folder / "../../secret.png", folder / "gone.png", folder, ""):
        with pytest.raises(PictureError, match="no longer there"):
            studio.picture(str(name))


def test_of_two_lessons_asked_for_at_once_one_waits(
    open_studio: Callable[..., Studio], rex: Concept, mug: Concept, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In two programmes on one home, both past the first look when the other's pictures are decoded."""
    one, other = open_studio("home"), open_studio("home")
    for studio in (one, other):  # in one process models are loaded one after the other
        studio.warm_up()
        while not (studio.ready or studio.model_problem):
            time.sleep(0.05)
    both = threading.Barrier(2)
    opened = open_pictures

    def together(*arguments: Any) -> Any:
        both.wait(SECONDS)
        return opened(*arguments)

    monkeypatch.setattr("clora_core.studio.studio.open_pictures", together)
    timeline_id = one.default_timeline()
    with ThreadPoolExecutor(2) as pool:
        asked = [
            pool.submit(studio.learn, LearnRequest(timeline_id, concept, config))
            for studio, concept in ((one, rex), (other, mug))
        ]
    for studio, ask in zip((one, other), asked, strict=True):
        view = studio.wait(ask.result(), SECONDS)
        assert view.state == "done", view.message
    assert {card.name for card in one.timeline(timeline_id).cards} == {"Rex", "Mug"}


def test_what_was_learned_is_stored_though_no_picture_can_be_drawn(
    studio: Studio, rex: Concept, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a base model whose own sampler fails: previews and the card picture fail, the lesson does not."""

    def broken(*_: object) -> Path:
        raise IndexError("index 1000 is out of bounds")

    monkeypatch.setattr("clora_core.jobs.check.draw_concept", broken)
    monkeypatch.setattr("clora_core.jobs.learn.draw_concept", broken)
    monkeypatch.setattr("clora_core.jobs.learn.FIRST_PREVIEW_SECONDS", 0.0)
    timeline_id = studio.default_timeline()
    lively = config.updated({"preview_every_seconds": 0.001})
    view = studio.wait(studio.learn(LearnRequest(timeline_id, rex, lively)), SECONDS)
    assert view.state == "done" and "no picture of it could be drawn (IndexError" in view.message
    assert view.verdict is None and view.pictures == [] and len(view.curve) == config.steps
    monkeypatch.undo()
    (card,) = studio.timeline(timeline_id).cards
    assert card.name == "Rex" and card.learned_picture is None and card.verdict is None
    assert studio.changes(timeline_id) == ((None,),)


@pytest.mark.slow
def test_learning_goes_on_while_several_people_draw(
    studio: Studio, rex: Concept, config: TrainConfig, settings: SamplingConfig
) -> None:
    """Each asks for the next picture as soon as the last is there, so that somebody always waits."""
    timeline_id, drawn = studio.default_timeline(), []
    learning = studio.learn(LearnRequest(timeline_id, rex, config.updated({"steps": 20})))

    def visitor() -> None:
        while not studio.wait(learning, 0.0).finished:
            drawn.append(studio.draw_now(DrawRequest(timeline_id, "a photo", settings)))

    with ThreadPoolExecutor(3) as visitors:
        for visit in [visitors.submit(visitor) for _ in range(3)]:
            visit.result(SECONDS)
    assert studio.wait(learning).state == "done" and len(drawn) >= 3


def test_captions_and_masks_are_learned_with_kept_and_known_again(
    studio: Studio, pictures: tuple[Path, ...], config: TrainConfig, tmp_path: Path
) -> None:
    mine = tuple(Path(shutil.copy(path, tmp_path)) for path in pictures)
    plain = teach(studio, Concept("Rex", "<rex>", mine), config)
    mine[0].with_suffix(".txt").write_text("in the snow")
    Image.new("L", (40, 48), 255).save(tmp_path / "1-masklabel.png")  # all of it counts: as without
    half = Image.new("L", (40, 48))
    half.paste(255, (0, 0, 20, 48))
    half.save(tmp_path / "2-masklabel.png")
    said = studio.nearly_same(studio.check_pictures(mine), plain.timeline_id)
    assert len(said) == 1 and "0.png and 3 more look nearly like a picture of Rex" in said[0]
    studio.undo(plain.timeline_id)
    teach(studio, Concept("Rex", "<rex>", mine), config, keep_pictures=True)
    (card,) = studio.timeline(plain.timeline_id).cards
    kept = studio.comparisons.pictures(plain.timeline_id)["<rex>"]
    found = usable(studio.check_pictures(kept))
    assert found.captions == ("in the snow", "", "", "") and [bool(mask) for mask in found.masks] == [0, 0, 1, 0]
    assert card.pictures_sha256 == found.sha256 and card.picture_hashes == found.hashes
    mine[1].with_suffix(".txt").write_text("far " * 80)
    with pytest.raises(PictureError, match="caption of 1.png is too long: .*far.*Shorten it"):
        studio.learn(LearnRequest(plain.timeline_id, Concept("Mug", "<mug>", mine), config))


def test_what_cannot_be_learned_is_refused_at_once(
    studio: Studio, rex: Concept, mug: Concept, config: TrainConfig
) -> None:
    timeline_id = studio.default_timeline()
    with pytest.raises(PictureError, match="needs 3 to 30 pictures, got 2"):
        studio.learn(LearnRequest(timeline_id, replace(rex, pictures=rex.pictures[:2]), config))
    with pytest.raises(StoreError, match="There is no timeline"):
        studio.learn(LearnRequest("nowhere", rex, config))
    job_id = studio.learn(LearnRequest(timeline_id, rex, config))
    with pytest.raises(BusyError, match="Rex is being learned"):
        studio.undo(timeline_id)
    assert studio.wait(job_id, SECONDS).state == "done"
    with pytest.raises(ConceptError, match="already taken"):
        studio.learn(LearnRequest(timeline_id, replace(mug, token="<rex>"), config))
    with pytest.raises(SettingsError, match="method"):
        studio.learn(LearnRequest(timeline_id, mug, config.under(SEQUENTIAL)))


def test_a_resolution_that_does_not_fit_fails_with_the_reason(
    studio: Studio, rex: Concept, config: TrainConfig
) -> None:
    view = studio.wait(
        studio.learn(LearnRequest(studio.default_timeline(), rex, replace(config, resolution=33))), SECONDS
    )
    assert view.state == "failed" and "multiple of" in view.message
    assert studio.timeline(studio.default_timeline()).cards == ()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"resolution": 36}, "multiple of 8"),
        ({"precision": "fp16"}, "needs a GPU"),
        ({"rank": 3}, "rank to 2"),
    ],
    ids=lambda value: str(value),
)
def test_settings_that_do_not_fit_the_model_or_the_past_are_refused_before_pictures_are_taken(
    studio: Studio, rex: Concept, mug: Concept, config: TrainConfig, wrong: dict[str, Any], words: str
) -> None:
    sequential = config.under(SEQUENTIAL)
    first = teach(studio, rex, sequential)
    with pytest.raises(SettingsError, match=words):
        studio.learn(LearnRequest(studio.default_timeline(), mug, sequential.updated(wrong)))
    latest = studio.job()
    assert latest and latest.id == first.id


def test_what_cannot_be_drawn_is_said(studio: Studio, settings: SamplingConfig) -> None:
    timeline_id = studio.default_timeline()
    with pytest.raises(SettingsError, match="prompt is empty"):
        studio.draw(DrawRequest(timeline_id, "  ", settings))
    with pytest.raises(SettingsError, match="there is no 1"):
        studio.draw(DrawRequest(timeline_id, "a photo", settings, as_of=1))
    with pytest.raises(ConceptError, match="<rex>"):
        studio.draw(DrawRequest(timeline_id, "a photo of <rex>", settings))
    with pytest.raises(ConceptError, match="<rex>"):
        studio.draw(DrawRequest(timeline_id, "a photo", settings, strengths={"<rex>": 0.5}))
    for text in ("half a \ud83d", "NUL \0"):
        with pytest.raises(SettingsError, match="cannot be stored"):
            studio.draw(DrawRequest(timeline_id, text, settings))
        with pytest.raises(SettingsError, match="cannot be stored"):
            settings.updated({"negative_prompt": text})


def test_an_interrupted_lesson_is_resumed_bit_for_bit(
    open_studio: Callable[..., Studio], rex: Concept, config: TrainConfig, tmp_path: Path
) -> None:
    config = config.updated({"steps": 40, "preview_every_seconds": 0.0})
    teach(open_studio("straight"), rex, config)
    studio = open_studio("home")
    job_id = studio.learn(LearnRequest(studio.default_timeline(), rex, config))
    until(studio, job_id, lambda view: view.step >= 3)
    studio.close()
    record = tmp_path / "home/jobs" / job_id / "job.json"
    asked = {  # as it was written before requests were values
        "timeline_id": "my-concepts",
        "config": config.to_json(),
        "keep_pictures": False,
        "comparison": "",
        "place": None,
        "concept": {
            "name": "Rex",
            "token": "<rex>",
            "template": "a photo of {}",
            "pictures": [f"{number:02d}.png" for number in range(1, 5)],
        },
    }
    left = {"owner": "4000000-0123456789ab", "state": "running"}  # as after a power cut
    record.write_text(json.dumps({**json.loads(record.read_text()), **left, "request": asked}))
    again = open_studio("home")
    view = again.job()
    assert view and (view.id, view.state, view.resumable) == (job_id, "interrupted", True)
    assert 3 <= view.step < 40
    assert again.resume(job_id) == job_id
    done = again.wait(job_id, SECONDS)
    assert done.state == "done", done.message
    assert [step.step for step in done.curve] == list(range(1, 41))
    ours, straight = (
        load_file(tmp_path / home / "timelines/my-concepts/001-rex/weights.safetensors")
        for home in ("home", "straight")
    )
    assert all(torch.equal(ours[name], straight[name]) for name in straight)
    with pytest.raises(StoreError, match="only a lesson that was left"):
        again.resume(job_id)


def test_a_lesson_is_not_resumed_on_another_past(
    open_studio: Callable[..., Studio], rex: Concept, mug: Concept, config: TrainConfig
) -> None:
    studio = open_studio()
    teach(studio, rex, config)
    job_id = studio.learn(LearnRequest(studio.default_timeline(), mug, config.updated(LONG)))
    until(studio, job_id, lambda view: view.step >= 3)
    studio.close()
    again = open_studio()
    again.undo(again.default_timeline())
    with pytest.raises(StoreError, match=r"Mug was begun after 001-rex, .* Start Mug over, .* Undo or Redo"):
        again.resume(job_id)
    again.redo(again.default_timeline())
    assert again.resume(job_id) == job_id
    until(again, job_id, lambda view: view.step >= 4)
    again.stop(job_id)


def test_stop_and_keep_while_pictures_are_drawn_to_learn_from_ends_at_once(
    studio: Studio, rex: Concept, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clora_core.learning.trainer.DRAWN_AT_ONCE", 1)
    prior = config.updated({"prior_pictures": 1000, "preview_every_seconds": 0.0})
    job_id = studio.learn(LearnRequest(studio.default_timeline(), rex, prior))
    until(studio, job_id, lambda view: view.phase.startswith("drawing pictures"))
    studio.stop(job_id, keep=True)
    view = studio.wait(job_id, SECONDS)
    assert (view.state, view.step) == ("stopped", 0) and not studio.timeline(view.timeline_id).cards


@pytest.mark.slow
@pytest.mark.parametrize("drawn_before", [0, 1], ids=["the new one", "the older one"])
def test_closing_while_a_preview_is_drawn_leaves_a_lesson_to_be_resumed(
    open_studio: Callable[..., Studio],
    rex: Concept,
    mug: Concept,
    config: TrainConfig,
    drawn_before: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("clora_core.jobs.learn.PREVIEW_SHARE", 1e9)  # after every step
    studio = open_studio()
    teach(studio, rex, config)
    drawing, closing, drawn, draw = threading.Event(), threading.Event(), [], work.draw_concept

    def slow(*values: Any) -> Any:
        drawn.append(values)
        if len(drawn) == drawn_before + 1:
            drawing.set()
            assert closing.wait(SECONDS)
        return draw(*values)

    monkeypatch.setattr(work, "draw_concept", slow)
    job_id = studio.learn(
        LearnRequest(studio.default_timeline(), mug, config.updated({"steps": 6, "preview_every_seconds": 0.001}))
    )
    assert drawing.wait(SECONDS)
    ending = threading.Thread(target=studio.close)
    ending.start()
    while not studio._board.find(job_id).stop_wish:
        time.sleep(0.01)
    closing.set()
    ending.join(SECONDS)
    again = open_studio()
    view = again.job()
    assert view and (view.id, view.state, view.resumable) == (job_id, "interrupted", True)
    again.resume(job_id)
    assert again.wait(job_id, SECONDS).state == "done"


def test_a_lesson_that_runs_out_of_memory_says_so_and_goes_on(
    tiny_folder: Path, tmp_path: Path, rex: Concept, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch's own error, in the second step and in a preview, on the tiny model: a card is not at hand."""
    model = shutil.copytree(tiny_folder, tmp_path / "model")
    (model / "clora.json").write_text(json.dumps({"sampling": {"width": 64, "height": 64, "steps": 2}}))
    studio = Studio.open(tmp_path / "home", str(model), "cpu", assets=tmp_path / "assets")
    loss, calls, draw, sizes = Training._loss, [], work.draw_concept, []

    def short(self: Training, *values: Any) -> Any:
        calls.append(values)
        if len(calls) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return loss(self, *values)

    def draw_short(model: Any, timeline: Any, concept: Any, settings: SamplingConfig, *rest: Any) -> Path:
        sizes.append((settings.width, settings.height))
        if len(sizes) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return draw(model, timeline, concept, settings, *rest)

    monkeypatch.setattr(Training, "_loss", short)
    monkeypatch.setattr(work, "draw_concept", draw_short)
    monkeypatch.setattr("clora_core.jobs.learn.PREVIEW_SHARE", 1e9)  # after every step
    often = config.updated({"steps": 5, "preview_every_seconds": 0.001})
    view = studio.wait(studio.learn(LearnRequest(studio.default_timeline(), rex, often)), SECONDS)
    studio.close()
    assert view.state == "done" and view.step == 5 and len(calls) == 6, view.message
    assert view.tight and "From step 2 on with gradient checkpointing" in view.memory
    assert sizes == [(64, 64), (32, 32), (32, 32), (32, 32)]  # after all steps but the last
    assert len(view.previews) == 3


def test_pictures_that_could_not_be_copied_leave_nothing_behind(
    studio: Studio, rex: Concept, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clora_core.jobs.folder.shutil.copyfile", no_room)
    with pytest.raises(StoreError, match="Free some space"):
        studio.learn(LearnRequest(studio.default_timeline(), rex, config))
    assert not list((tmp_path / "home" / "uploads").iterdir())
    monkeypatch.undo()
    teach(studio, rex, config)


def test_a_timeline_that_cannot_be_read_does_not_hide_the_others(
    open_studio: Callable[..., Studio], tmp_path: Path
) -> None:
    studio = open_studio()
    good = studio.new_timeline("Good")
    broken = studio.new_timeline("Broken")
    (tmp_path / "home" / "timelines" / broken / "timeline.json").write_text('{"format": ')
    again = open_studio()
    assert again.default_timeline() == good
    assert [(line.id, line.problem) for line in again.timelines()] == [(good, ""), (broken, "cannot be read")]
    (tmp_path / "home" / "timelines" / good / "timeline.json").write_text('{"format": 1}')
    assert again.default_timeline() not in (good, broken)
    with pytest.raises(StoreError, match="Restore it from a backup"):
        again.timeline(broken)


def test_the_home_folder_is_the_one_asked_for_or_the_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLORA_HOME", str(tmp_path / "there"))
    assert home_folder(None) == tmp_path / "there"
    assert home_folder(tmp_path / "here") == tmp_path / "here"
    monkeypatch.delenv("CLORA_HOME")
    assert home_folder(None) == HOME.expanduser()


KILLED = """
import sys
from pathlib import Path
from clora_core.concepts import Concept
from clora_core.jobs.requests import LearnRequest
from clora_core.settings.learning import TrainConfig
from clora_core.studio.studio import Studio
home, model, *pictures = sys.argv[1:]
studio = Studio.open(Path(home), model, "cpu", assets=Path(home))
config = TrainConfig(steps=100_000, resolution=32, preview_every_seconds=0.0).updated({"rank": 2})
job = studio.learn(LearnRequest(studio.default_timeline(), Concept("Rex", "<rex>", tuple(map(Path, pictures))), config))
while studio.wait(job, 0.05).step < 3:
    pass
print(job, flush=True)
studio.wait(job)
"""


@pytest.mark.slow
def test_after_kill_9_the_job_is_interrupted_and_the_timeline_whole(
    open_studio: Callable[..., Studio], tiny_folder: Path, rex: Concept, tmp_path: Path
) -> None:
    arguments = [str(tmp_path / "home"), str(tiny_folder), *map(str, rex.pictures)]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "TRANSFORMERS_VERBOSITY": "error"},
    )
    assert process.stdout
    job_id = process.stdout.readline().strip()
    studio = open_studio("home")
    watched = studio.job()
    assert watched and watched.id == job_id and watched.state == "running"  # seen from another programme
    process.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
    process.wait(SECONDS)
    process.stdout.close()
    view = studio.job(job_id)
    assert view and view.state == "interrupted" and "Go on, or discard it" in view.message
    assert studio.timeline(studio.default_timeline()).cards == ()
    assert list((tmp_path / "home/uploads" / job_id).iterdir())
    studio.stop(job_id)
    assert not (tmp_path / "home/uploads" / job_id).exists()


def test_first_start_brings_samples_and_the_example_timeline(
    open_studio: Callable[..., Studio],
    rex: Concept,
    config: TrainConfig,
    settings: SamplingConfig,
    tmp_path: Path,
) -> None:
    maker = open_studio("maker")
    teach(maker, rex, config)
    sample = tmp_path / "assets/base/people/01-ilva"
    sample.mkdir(parents=True)
    (sample / "concept.json").write_text(json.dumps({"name": "Ilva", "token": "<ilva>"}))
    for path in rex.pictures:
        shutil.copy(path, sample)
    shutil.copytree(tmp_path / "maker/timelines/my-concepts", tmp_path / "assets/timelines/my-concepts")
    other = tmp_path / "assets/timelines/of-another-model"
    shutil.copytree(tmp_path / "maker/timelines/my-concepts", other)
    index = json.loads((other / "timeline.json").read_text())
    (other / "timeline.json").write_text(json.dumps({**index, "id": other.name, "base_id": "ffff"}))

    studio = open_studio("home")
    assert [(found.name, found.token, len(found.pictures)) for found in studio.samples()] == [("Ilva", "<ilva>", 4)]
    assert [summary.id for summary in studio.timelines()] == ["my-concepts"]
    assert len(studio.draw_now(DrawRequest(studio.default_timeline(), "a photo of <rex>", settings))) == 1
    studio.undo("my-concepts")
    assert (tmp_path / "assets/timelines/my-concepts/timeline.json").read_text() != (
        tmp_path / "home/timelines/my-concepts/timeline.json"
    ).read_text()
    studio.close()
    assert len(open_studio("home").timelines()) == 1
    assert open_studio("without", examples=False).timelines() == []


def test_a_home_of_another_model_is_listed_but_not_used(
    open_studio: Callable[..., Studio], tiny_folder: Path, rex: Concept, config: TrainConfig, tmp_path: Path
) -> None:
    first = open_studio("home")
    teach(first, rex, config)
    first.close()
    copied = tmp_path / "model"
    shutil.copytree(tiny_folder, copied)
    unet = json.loads((copied / "unet/config.json").read_text())
    (copied / "unet/config.json").write_text(json.dumps({**unet, "dropout": 0.125}))
    other = Studio.open(tmp_path / "home", str(copied), "cpu", assets=tmp_path)
    assert [summary.usable for summary in other.timelines()] == [False]
    assert not other.timeline("my-concepts").usable
    with pytest.raises(StoreError, match="belongs to the base model"):
        other.learn(LearnRequest("my-concepts", replace(rex, token="<max>"), config))
    assert other.default_timeline() == "my-concepts-2"
    other.close()


def test_opening_is_quick_and_needs_no_torch(tiny_folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from clora_core.studio.studio import Studio\n"
        f"studio = Studio.open(Path({str(tmp_path / 'home')!r}), {str(tiny_folder)!r})\n"
        "assert studio.timeline(studio.default_timeline()).cards == () and studio.job() is None\n"
        "assert not studio.ready and studio.prompt_notes('a zebra', studio.default_timeline()) == []\n"
        "assert 'torch' not in sys.modules and 'diffusers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).resolve().parents[2])
    with pytest.raises(ModelError, match="no model"):
        Studio.open(tmp_path, str(tmp_path / "nothing here"))


def test_warm_up_makes_it_ready(studio: Studio, settings: SamplingConfig) -> None:
    studio.warm_up()
    studio.draw_now(DrawRequest(studio.default_timeline(), "a photo", settings))
    assert studio.ready and studio.model_problem == "" and studio.base.resolution == 32
    assert studio.propose_token("Ilva Maron") == "<ilva-maron>"
    with pytest.raises(ConceptError):
        studio.check_token("Rex", studio.default_timeline())
    assert studio.check_pictures([Path("missing.png")])[0].problem


def test_a_picture_is_decoded_once_from_the_upload_to_the_worker_and_once_after_a_restart(
    open_studio: Callable[..., Studio], rex: Concept, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    decodes, decode = [], decoding._to_rgb
    monkeypatch.setattr(decoding, "_to_rgb", lambda image, notes: decodes.append(image) or decode(image, notes))
    studio = open_studio()
    for _ in range(2):  # the page looks again after every change of the list
        assert all(picture.image for picture in studio.check_pictures(rex.pictures))
    job_id = studio.learn(LearnRequest(studio.default_timeline(), rex, config.updated(LONG)))
    until(studio, job_id, lambda view: view.step >= 3)
    assert len(decodes) == len(rex.pictures)
    studio.close()
    again = open_studio()
    left = again.wait(job_id, 0.0).step
    again.resume(job_id)
    until(again, job_id, lambda view: view.step > left)
    assert len(decodes) == 2 * len(rex.pictures)
