"""The same concepts under two methods, through the door, on the tiny model."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest
from PIL import Image
from tiny.bench import copy_quick_model, make_samples
from tiny.model import RESOLUTION

from clora_core.bench.learning import learn_sample
from clora_core.concepts import Concept
from clora_core.data import pictures as decoding
from clora_core.drawing.contact_sheet import GAP, HEAD, LABEL, LINE, SIDE, contact_sheet
from clora_core.errors import BusyError, SettingsError
from clora_core.jobs.requests import CompareRequest, LearnRequest
from clora_core.studio.studio import Studio
from demo.tabs.compare import CompareTab

SECONDS = 120


@pytest.fixture(scope="module")
def taught(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home, not to be written to, and a timeline in it of Ann and Bob, learned with C-LoRA."""
    place = tmp_path_factory.mktemp("taught")
    model, assets = copy_quick_model(tiny_folder, place / "quick-model"), make_samples(place / "assets")
    studio = Studio.open(place / "home", str(model), "cpu", assets=assets)
    timeline_id = studio.new_timeline("People")
    for sample in studio.samples()[:2]:
        learn_sample(studio, timeline_id, sample, studio.base.train, lambda view: None)
    studio.close()
    return place / "home", timeline_id


@pytest.fixture
def studio(open_bench: Callable[[Path], Studio], taught: tuple[Path, str], tmp_path: Path) -> Iterator[Studio]:
    shutil.copytree(taught[0], tmp_path / "home")
    studio = open_bench(tmp_path / "home")
    yield studio
    studio.close()


@pytest.fixture
def learned(taught: tuple[Path, str]) -> str:
    return taught[1]


def lines_below(picture: Image.Image) -> int:
    """How many lines stand below two rows of pictures."""
    return (picture.height - HEAD - 2 * (SIDE + GAP) - GAP) // LINE


def wait_for_all(studio: Studio) -> None:
    while (job := studio.job()) is not None and not job.finished:
        assert studio.wait(job.id, SECONDS).finished


def test_a_comparison_learns_the_same_in_new_timelines(studio: Studio, learned: str, tmp_path: Path) -> None:
    assert studio.comparisons.siblings(learned) == []
    made = studio.comparisons.start(CompareRequest(learned, ("sequential", "routed")))
    assert studio.comparisons.progress()[1] == 4
    with pytest.raises(BusyError, match="is being learned"):
        studio.comparisons.start(CompareRequest(learned, ("merged",)))
    wait_for_all(studio)
    assert studio.comparisons.progress() == (0, 0)
    assert {sibling.id for sibling in studio.comparisons.siblings(learned)} == set(made)
    sides = studio.comparisons.sides([learned, *made])
    assert [side.timeline.method for side in sides] == ["clora", "sequential", "routed"]
    with Image.open(studio.comparisons.picture([learned, *made])) as picture:
        assert picture.width == LABEL + 7 * (SIDE + GAP) + 7 * GAP
    for timeline_id, method in zip(made, ("sequential", "routed"), strict=True):
        view, own = studio.timeline(timeline_id), studio.timeline(learned)
        assert view.method == method and [c.token for c in view.cards] == [c.token for c in own.cards]
        assert [c.settings["seed"] for c in view.cards] == [c.settings["seed"] for c in own.cards]
        assert len(studio.changes(timeline_id)) == 2
    broken = tmp_path / "home/timelines" / made[0] / "001-ann/concept.json"
    kept = broken.read_bytes()
    broken.write_text("{")
    assert [sibling.id for sibling in studio.comparisons.siblings(learned)] == made[1:]
    broken.write_bytes(kept)
    routed = studio.comparisons.side(made[1])
    assert (routed.title, routed.mean_change, routed.kept, routed.lost) == ("Routed LoRAs", 0.0, 1, 0)
    assert routed.megabytes > 0 and routed.seconds > 0


@pytest.mark.slow
def test_other_methods_learn_with_the_timelines_own_effort_and_their_own_rates(studio: Studio) -> None:
    timeline_id, hasty = studio.new_timeline("Hasty"), studio.base.train.updated({"steps": 2, "batch_size": 3})
    for sample in studio.samples()[:2]:
        learn_sample(studio, timeline_id, sample, hasty, lambda view: None)
    (made,) = studio.comparisons.start(CompareRequest(timeline_id, ("merged",)))
    wait_for_all(studio)
    one, other = studio.comparisons.sides([timeline_id, made])
    assert one.effort == other.effort == ((2, 3, RESOLUTION),) * 2
    preset = studio.base.train_with({"method": "merged"})
    assert {card.settings["learning_rate"] for card in other.timeline.cards} == {preset.learning_rate}


def test_the_whole_comparison_is_one_picture_with_its_settings_inside(studio: Studio, learned: str) -> None:
    (other,) = studio.comparisons.start(CompareRequest(learned, ("sequential",)))
    wait_for_all(studio)
    with Image.open(studio.comparisons.picture([learned, other])) as picture:
        facts = json.loads(picture.info["comparison"])
        rows = range(HEAD, HEAD + 2 * (SIDE + GAP), SIDE + GAP)
        real = [picture.crop((LABEL, top, LABEL + SIDE, top + SIDE)) for top in rows]
    assert [side["method"] for side in facts["sides"]] == ["clora", "sequential"]
    assert [concept["token"] for concept in facts["sides"][0]["concepts"]] == ["<ann>", "<bob>"]
    ann, bob = facts["sides"][1]["concepts"]
    assert bob["settings"]["method"] == "sequential"
    assert ann["drawn"]["prompt"] == "a photo of <ann>" and ann["drawn"]["steps"] == 2
    for sample, cell in zip(studio.samples(), real, strict=False):
        with Image.open(sample.pictures[0]) as image:
            assert cell.tobytes() == image.convert("RGB").resize((SIDE, SIDE)).tobytes()
    assert picture.width == LABEL + 5 * (SIDE + GAP) + 5 * GAP and lines_below(picture) > 2
    likeness = [concept["likeness"] for concept in facts["sides"][0]["concepts"]]
    assert all(0 < concept["now"] <= 1 for concept in likeness)  # by the model's VAE, as it was kept


def test_what_cannot_be_compared_is_refused(studio: Studio, learned: str, pictures: tuple[Path, ...]) -> None:
    with pytest.raises(SettingsError, match="two concepts or more"):
        studio.comparisons.start(CompareRequest(studio.new_timeline("Empty"), ("sequential",)))
    with pytest.raises(SettingsError, match="at least one method"):
        studio.comparisons.start(CompareRequest(learned, ()))
    studio.wait(studio.learn(LearnRequest(learned, Concept("Mug", "<mug>", pictures), studio.base.train)), SECONDS)
    assert studio.comparisons.pictures(learned)["<mug>"] == ()
    with pytest.raises(SettingsError, match="no pictures of <mug>"):
        studio.comparisons.start(CompareRequest(learned, ("sequential",)))
    for others in (studio.samples()[0].pictures, pictures[:3]):
        with pytest.raises(SettingsError, match="Mug was learned from other pictures than these"):
            studio.comparisons.start(CompareRequest(learned, ("sequential",), {"<mug>": others}))
    assert [summary.name for summary in studio.timelines()].count("People · Sequential LoRA") == 0
    studio.comparisons.start(CompareRequest(learned, ("sequential",), {"<mug>": pictures}))
    wait_for_all(studio)
    assert [sibling.concepts for sibling in studio.comparisons.siblings(learned)] == [3]


@pytest.mark.slow
def test_pictures_kept_by_consent_are_learned_from_again(
    studio: Studio, learned: str, pictures: tuple[Path, ...]
) -> None:
    job = studio.learn(LearnRequest(learned, Concept("Mug", "<mug>", pictures), studio.base.train, keep_pictures=True))
    studio.wait(job, SECONDS)
    assert len(studio.comparisons.pictures(learned)["<mug>"]) == len(pictures)
    studio.comparisons.start(CompareRequest(learned, ("sequential",)))
    wait_for_all(studio)
    for private, names in ((True, ["Ann", "Bob", "Mug"]), (False, ["Ann", "Bob"])):
        with gr.Blocks():
            tab = CompareTab(studio, gr.Dropdown(render=False), may_remove=private)
        assert re.findall('alt="([A-Za-z]+), a real picture"', tab.follow(learned)[tab.versus]) == names
    (other,) = (sibling.id for sibling in studio.comparisons.siblings(learned))
    corner = (LABEL, HEAD + 2 * (SIDE + GAP), LABEL + SIDE, HEAD + 2 * (SIDE + GAP) + SIDE)  # Mug's real one
    for kept, colours in ((True, 2), (False, 1)):
        with Image.open(studio.comparisons.picture([learned, other], kept)) as picture:
            assert min(len(picture.crop(corner).getcolors(SIDE * SIDE) or ()), 2) == colours


@pytest.mark.slow
def test_a_comparison_decodes_nothing_that_was_learned_from_before(
    studio: Studio, learned: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio.comparisons.start(CompareRequest(learned, ("sequential",)))
    wait_for_all(studio)
    decodes, decode = [], decoding._to_rgb
    monkeypatch.setattr(decoding, "_to_rgb", lambda image, notes: decodes.append(image) or decode(image, notes))
    (made,) = studio.comparisons.start(CompareRequest(learned, ("routed",)))
    wait_for_all(studio)
    assert len(studio.timeline(made).cards) == 2 and not decodes


def test_stopping_drops_what_waits_and_what_follows_does_not_learn_on_a_gap(studio: Studio, learned: str) -> None:
    (other,) = studio.comparisons.start(CompareRequest(learned, ("sequential",)))
    studio.comparisons.stop()
    wait_for_all(studio)
    assert len(studio.timeline(other).cards) < 2
    assert studio.comparisons.siblings(learned) == []


def test_a_learning_that_is_out_of_place_is_refused(studio: Studio, learned: str) -> None:
    (other,) = studio.comparisons.start(CompareRequest(learned, ("sequential",)))
    first = studio.job()
    assert first is not None
    studio.stop(first.id)
    wait_for_all(studio)
    latest = studio.job()
    assert latest is not None and latest.state == "failed" and "after 1 others" in latest.message
    assert studio.default_timeline() == learned  # what a comparison made is not what one goes on with
    assert studio.timeline(other).cards == ()


def test_somebody_else_of_a_samples_name_is_not_taken_for_the_sample(
    studio: Studio, learned: str, tmp_path: Path
) -> None:
    ann, bob = studio.samples()[:2]
    others = tuple(tmp_path / path.name for path in ann.pictures)
    for path, copy in zip(ann.pictures, others, strict=True):
        with Image.open(path) as picture:
            picture.convert("RGB").rotate(180).save(copy)
    mine = studio.new_timeline("Mine")
    for sample in (replace(ann, pictures=others), bob):
        learn_sample(studio, mine, sample, studio.base.train, lambda view: None)
    assert studio.comparisons.pictures(mine) == {ann.token: (), bob.token: bob.pictures}
    assert studio.comparisons.pictures(learned) == {ann.token: ann.pictures, bob.token: bob.pictures}
    assert studio.comparisons.shared(mine, learned) == 0
    for name in ("001-ann", "002-bob"):  # as they were stored before pictures were noted
        facts = tmp_path / "home/timelines" / mine / name / "concept.json"
        facts.write_text(json.dumps({**json.loads(facts.read_text()), "pictures_sha256": ""}))
    assert studio.comparisons.pictures(mine) == studio.comparisons.pictures(learned)


def test_siblings_were_taught_the_same(studio: Studio, learned: str) -> None:
    other = studio.new_timeline("Other seed")
    for sample in studio.samples()[:2]:
        learn_sample(studio, other, sample, studio.base.train.updated({"seed": 5}), lambda view: None)
    assert studio.comparisons.siblings(learned) == []
    branch = studio.branch(learned, 2, "Copy")
    assert studio.comparisons.siblings(learned) == studio.comparisons.siblings(branch) == []  # one past, not two


@pytest.mark.slow
def test_what_came_later_on_one_side_is_left_out(studio: Studio, learned: str, pictures: tuple[Path, ...]) -> None:
    (other,) = studio.comparisons.start(CompareRequest(learned, ("sequential",)))
    wait_for_all(studio)
    before = studio.comparisons.side(learned)
    studio.wait(studio.learn(LearnRequest(learned, Concept("Mug", "<mug>", pictures), studio.base.train)), SECONDS)
    assert [sibling.id for sibling in studio.comparisons.siblings(learned)] == [other]
    assert studio.comparisons.shared(learned, other) == studio.comparisons.shared(other, learned) == 2
    assert studio.comparisons.side(learned, 2) == before
    assert len(studio.comparisons.side(learned).timeline.cards) == 3
    with pytest.raises(SettingsError, match="do not begin with the same concepts"):
        studio.comparisons.picture([learned, other, studio.new_timeline("Empty")])
    with Image.open(studio.comparisons.picture([learned, other])) as picture:
        assert 0 < lines_below(picture) < (SIDE + GAP) // LINE + 4  # two rows of concepts, not three


@pytest.mark.slow
def test_an_interrupted_comparison_goes_on_as_a_whole(
    open_bench: Callable[[Path], Studio], studio: Studio, learned: str, tmp_path: Path
) -> None:
    (other,) = studio.comparisons.start(CompareRequest(learned, ("sequential",)))
    studio.close()
    again = open_bench(tmp_path / "home")
    try:
        job = again.job()
        assert job is not None and job.resumable
        again.resume(job.id)
        wait_for_all(again)
        assert len(again.timeline(other).cards) == 2
        assert not list((tmp_path / "home" / "uploads").iterdir())
    finally:
        again.close()


def test_giving_up_an_interrupted_comparison_deletes_its_pictures(
    open_bench: Callable[[Path], Studio], studio: Studio, learned: str, tmp_path: Path
) -> None:
    studio.comparisons.start(CompareRequest(learned, ("sequential", "routed")))
    studio.close()
    again = open_bench(tmp_path / "home")
    try:
        job = again.job()
        assert job is not None and job.resumable and list((tmp_path / "home" / "uploads").iterdir())
        again.stop(job.id)
        assert not list((tmp_path / "home" / "uploads").iterdir())
    finally:
        again.close()


def test_a_contact_sheet_has_a_place_for_every_picture(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    sheet = contact_sheet(["Rex", "Mug"], [("C-LoRA", [("now", [tmp_path / "red.png", None])])])
    middle = LABEL + SIDE // 2
    assert sheet.getpixel((middle, HEAD + SIDE // 2)) == (255, 0, 0)
    assert sheet.getpixel((middle, HEAD + SIDE + GAP + SIDE // 2)) == (243, 239, 232)


def test_a_note_on_a_contact_sheet_is_no_wider_than_its_columns(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    group = ("C-LoRA", [("now", [tmp_path / "red.png"])])
    sheet = contact_sheet(["Rex"], [group, ("Other", [])], notes=[["a word " * 12], []])
    beside = sheet.crop((LABEL + SIDE + 1, HEAD + SIDE + GAP, sheet.width, sheet.height))
    assert sheet.height > HEAD + SIDE + GAP + 3 * LINE and beside.getcolors() == [
        (beside.width * beside.height, (255,) * 3)
    ]


@pytest.mark.slow
def test_how_long_a_comparison_takes_is_told_from_its_own_steps_and_the_pace_here(studio: Studio, learned: str) -> None:
    seconds = studio.comparisons.seconds
    once = seconds(learned, ["sequential"])  # its lessons were too short to say much, so by what its cards say
    assert once == pytest.approx(sum(card.seconds for card in studio.timeline(learned).cards))
    assert seconds(learned, ["sequential", "stacked"]) == pytest.approx(2 * once)
    assert seconds(learned, ["generative_replay"]) > 1.5 * once
    longer, config = studio.new_timeline("Longer"), studio.base.train.updated({"steps": 30})
    for sample in studio.samples()[:2]:
        learn_sample(studio, longer, sample, config, lambda view: None)
    took = sum(job.record["whole_seconds"] for job in itertools.islice(studio._board.jobs("learn"), 2))
    assert seconds(longer, [config.method.name]) == pytest.approx(took, rel=0.7)
    assert seconds(longer, ["generative_replay"]) > 1.2 * seconds(longer, ["sequential"]) > 0
