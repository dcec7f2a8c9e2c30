"""Whatever can refuse is made to refuse, and the notice is seen.

``CASES`` has a way to a refusal for everything on the page that can refuse, by "<element>.<event>"; ``CANNOT`` says of
the rest why there is nothing to refuse. A handler that is in neither fails the first test.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from browser.test_refusals import expect_notice
from browser.visitor import LONG, NEEDS_CHROMIUM, WAIT_MS, Visit, open_tab, teach
from PIL import Image
from playwright.sync_api import Page, expect
from tiny.served import make_people, open_studio, served

from clora_core.concepts import Concept
from clora_core.jobs.requests import CompareRequest, DrawRequest, LearnRequest
from clora_core.studio.studio import Studio
from demo.page import build_demo

GONE = "There is no timeline"
SHARED = "Others can reach this page without a password"
CANNOT = {
    "model.click": "opens a panel with what is in memory",
    "settings-open.click": "opens a panel; what cannot be measured counts as nothing",
    "cancel-draw.click": "a drawing that has ended needs no stopping",
    "cancel-grid.click": "the same",
    "history.click": "asks for older pictures; where there are none, none come",
    "drop.upload": "a file that cannot be used is shown with what is wrong with it",
    "checked.click": "the same",
    "concept-name.change": "what is wrong with a name stands under it",
    "setting-method.input": "the list holds the methods that are known",
    "export-stop.click": "an export that has ended needs no stopping",
    "empty-yes.click": "it is asked only where things may be removed",
    "compare-drop.upload": "what cannot be used is told when the comparison starts",
}


@dataclass
class World:
    """A page on a timeline of two people, and the means to spoil it."""

    page: Page
    studio: Studio
    home: Path
    timeline: str

    def lose(self, timeline_id: str = "") -> None:
        """Somebody takes a timeline away from under the page; nobody complains of its pictures."""
        self.page.route("**/file=**", lambda route: route.fulfill(body=""))
        shutil.rmtree(self.home / "timelines" / (timeline_id or self.timeline))

    def freeze(self) -> None:
        """From here on the page does not look at how things stand."""
        self.page.route("**/gradio_api/run/**", lambda route: None)

    def lesson(self, name: str) -> LearnRequest:
        """A long one, of the last sample person's pictures."""
        sample, config = self.studio.samples()[2], self.studio.base.train.updated(LONG)
        return LearnRequest(self.timeline, Concept(name, f"<{name.lower()}>", sample.pictures), config)


Case = Callable[[World], str]
CASES: dict[str, Case] = {}
SHARED_CASES: dict[str, Case] = {}


def refusal(*keys: str, shared: bool = False) -> Callable[[Case], Case]:
    """The case of these events. It returns words of the notice. shared: it takes a page without a password."""

    def add(case: Case) -> Case:
        (SHARED_CASES if shared else CASES).update(dict.fromkeys(keys, case))
        return case

    return add


def can_refuse(studio: Studio) -> set[str]:
    """ "<element>.<event>" of everything on the page whose handler goes through the queue."""
    demo, found = build_demo(studio), set()
    for handler in demo.fns.values():
        if not (handler.fn and handler.queue and handler.api_visibility == "private"):
            continue
        for block, event in handler.targets:
            name = getattr(demo.blocks.get(block), "elem_id", None)
            if name:
                found.add(f"{name}.{event}")
    return found


def test_all_that_can_refuse_has_a_case(tiny_folder: Path, tmp_path: Path) -> None:
    make_people(tmp_path / "assets")
    studio = open_studio(tmp_path / "home", tiny_folder, tmp_path / "assets")
    cases, there = {*CASES, *SHARED_CASES}, can_refuse(studio)
    studio.close()
    assert there - cases - {*CANNOT} == set(), "write a case for each, or say in CANNOT why it cannot refuse"
    assert cases - there == set(), "these are not on the page any more"


# -- what can be refused on any page -----------------------------------------------------------------


@refusal("model-open.click", "model-typed.submit")
def _no_such_model(world: World) -> str:
    world.page.locator(".cl-model").click()
    world.page.locator("#model-typed input, #model-typed textarea").fill("/nowhere")
    world.page.locator("#model-open").click()
    return "There is no model folder /nowhere"


@refusal("prompt.change")
def _a_prompt(world: World) -> str:
    world.lose()
    world.page.locator("#prompt textarea").fill("a photo of <nobody>")
    return GONE


@refusal("as-of.change")
def _a_point(world: World) -> str:
    world.lose()
    world.page.locator("#as-of input[type=range]").press("ArrowLeft")
    return GONE


@refusal("draw.click", "prompt.submit")
def _a_drawing(world: World) -> str:
    world.page.locator("#prompt textarea").fill("")
    world.page.locator("#draw").click()
    return "The prompt is empty"


@refusal("draw-grid.click")
def _a_grid(world: World) -> str:
    world.page.locator("#grid button").first.click()
    world.page.locator("#prompt textarea").fill("")
    world.page.locator("#draw-grid").click()
    return "The prompt is empty"


@refusal("settings-picture.upload")
def _a_picture_that_says_nothing(world: World) -> str:
    mute = world.home / "mute.png"
    Image.new("RGB", (8, 8)).save(mute)
    world.page.locator("#prompt-menus input[type=file]").set_input_files(mute)
    return "carries no settings"


def _drawn(world: World) -> Path:
    """A picture in the history that is seen."""
    settings = world.studio.base.sampling
    drawn: Path = world.studio.draw_now(DrawRequest(world.timeline, "a picture", settings))[0]
    world.page.reload()
    expect(world.page.locator(f'.cl-wall [data-look="{drawn}"]')).to_be_visible()
    return drawn


@refusal("look-view.click")
def _a_picture(world: World) -> str:
    gone = _drawn(world)
    gone.unlink()
    world.page.locator(f'.cl-wall [data-look="{gone}"]').click()
    return "is no longer there"


@refusal("look-acts.click")
def _a_favourite(world: World) -> str:
    gone = _drawn(world)
    world.page.locator(f'.cl-wall [data-look="{gone}"]').click()
    favourite = world.page.get_by_role("button", name="Favourite")
    expect(favourite).to_be_visible()
    gone.unlink()
    favourite.click()
    return "is no longer there"


@refusal("which-history.change")
def _favourites(world: World) -> str:
    _drawn(world)
    list_of_them = world.home / "favourites.json"
    list_of_them.write_text("[")
    try:
        world.page.locator("#which-history label").nth(1).click()
        expect(world.page.get_by_test_id("toast-body")).to_be_visible()
    finally:
        list_of_them.unlink()
    return "favourites"


@refusal("samples.click")
def _a_sample(world: World) -> str:
    open_tab(world.page, "Add concept")
    world.lose()
    world.page.locator(".cl-sample").first.click()
    return GONE


@refusal("concept-token.change")
def _a_token(world: World) -> str:
    open_tab(world.page, "Add concept")
    world.lose()
    world.page.get_by_label("Token", exact=True).fill("<max>")
    return GONE


@refusal("start.click", "concept-name.submit", "concept-token.submit")
def _a_lesson(world: World) -> str:
    open_tab(world.page, "Add concept")
    world.page.locator("#start").click()
    return "name"


@refusal("timeline.input", "timeline.change")
def _a_timeline(world: World) -> str:
    other = world.studio.new_timeline("Soon gone")
    world.page.reload()
    world.page.locator("#timeline input").click()
    option = world.page.get_by_role("option", name=re.compile("Soon gone"))
    expect(option).to_be_visible()
    world.lose(other)
    option.click()
    return GONE


@refusal("create-timeline.click", "new-name.submit")
def _a_name(world: World) -> str:
    world.page.locator("#new-timeline").click()
    world.page.locator("#create-timeline").click()
    return "The timeline has no name"


@refusal("undo.click")
def _a_question(world: World) -> str:
    open_tab(world.page, "Timeline")
    world.lose()
    world.page.locator("#undo").click()
    return GONE


@refusal("undo-yes.click")
def _an_undo(world: World) -> str:
    open_tab(world.page, "Timeline")
    world.page.locator("#undo").click()
    expect(world.page.locator("#undo-yes")).to_be_visible()
    world.lose()
    world.page.locator("#undo-yes").click()
    return GONE


@refusal("redo.click")
def _a_redo(world: World) -> str:
    world.studio.undo(world.timeline)
    world.page.reload()
    open_tab(world.page, "Timeline")
    expect(world.page.locator("#redo")).to_be_enabled()
    world.lose()
    world.page.locator("#redo").click()
    return GONE


@refusal("cards.click")
def _a_branch(world: World) -> str:
    open_tab(world.page, "Timeline")
    world.lose()
    world.page.get_by_role("button", name="Branch from here").first.click()
    return GONE


@refusal("rename-timeline.click", "delete-timeline.click", "export.click")
def _a_lost_timeline(world: World) -> str:
    open_tab(world.page, "Timeline")
    world.lose()
    world.page.locator("#rename-timeline").click()
    expect_notice(world.page, GONE)
    world.page.locator("#export").click()
    expect_notice(world.page, GONE)
    world.page.locator("#delete-timeline").click()
    return GONE


@refusal("rename-yes.click", "other-name.submit")
def _another_name(world: World) -> str:
    open_tab(world.page, "Timeline")
    world.page.locator("#rename-timeline").click()
    expect(world.page.locator("#rename-yes")).to_be_visible()
    world.lose()
    world.page.locator("#rename-yes").click()
    return GONE


@refusal("export-go.click")
def _an_export(world: World) -> str:
    open_tab(world.page, "Timeline")
    world.page.locator("#export").click()
    expect(world.page.locator("#export-go")).to_be_visible()
    world.lose()
    world.page.locator("#export-go").click()
    return GONE


@refusal("snack.click")
def _a_way_back(world: World) -> str:
    world.studio.new_timeline("Soon gone")
    world.page.reload()
    open_tab(world.page, "Timeline")
    world.page.locator("#delete-timeline").click()
    back = world.page.locator("#snack").get_by_role("button", name="Bring it back")
    expect(back).to_be_visible()
    world.studio.trash.empty()
    back.click()
    return "no longer in the trash"


@refusal("trash-list.click")
def _what_is_not_in_the_trash(world: World) -> str:
    world.studio.trash.delete_timeline(world.studio.new_timeline("Soon gone"))
    world.page.reload()
    open_tab(world.page, "Timeline")
    world.page.locator("#trash button").first.click()
    world.studio.trash.empty()
    world.page.get_by_role("button", name="Restore Soon gone").click()
    return "no longer in the trash"


@refusal("try-it.click")
def _a_verdict(world: World) -> str:
    teach(world.page, "Mia Gruen", steps=1)
    expect(world.page.locator("#try-it")).to_be_visible()
    job = world.studio.job()
    assert job
    shutil.rmtree(world.home / "jobs" / job.id)
    world.page.locator("#try-it").click()
    return "There is no job"


def _a_lesson_that_ends_unseen(world: World) -> None:
    """A lesson is shown as running that has ended and is cleared away."""
    teach(world.page, "Mia Gruen", steps=LONG["steps"])
    expect(world.page.locator("#stop-keep")).to_be_visible()
    world.freeze()
    (job,) = world.studio.lessons.all()
    world.studio.stop(job.id)
    world.studio.wait(job.id)
    shutil.rmtree(world.home / "jobs" / job.id)


@refusal("stop-keep.click")
def _what_is_gone_cannot_be_kept(world: World) -> str:
    _a_lesson_that_ends_unseen(world)
    world.page.locator("#stop-keep").click()
    return "There is no job"


@refusal("pause.click")
def _what_is_gone_cannot_be_paused(world: World) -> str:
    _a_lesson_that_ends_unseen(world)
    world.page.locator("#pause").click()
    return "There is no job"


@refusal("discard-yes.click")
def _what_is_gone_cannot_be_discarded(world: World) -> str:
    teach(world.page, "Mia Gruen", steps=LONG["steps"])
    world.page.locator("#stop-discard").click()
    expect(world.page.locator("#discard-yes")).to_be_visible()
    world.freeze()
    (job,) = world.studio.lessons.all()
    world.studio.stop(job.id)
    world.studio.wait(job.id)
    shutil.rmtree(world.home / "jobs" / job.id)
    world.page.locator("#discard-yes").click()
    return "There is no job"


@refusal("lessons.click")
def _a_place_in_the_line(world: World) -> str:
    teach(world.page, "Mia Gruen", steps=LONG["steps"])
    for name in ("Bea", "Cleo"):
        world.studio.learn(world.lesson(name))
    up = world.page.locator("#lessons [data-act=up]:not([disabled])")
    expect(up).to_have_count(1)
    world.freeze()
    world.studio.stop(world.studio.lessons.all()[2].id)
    up.click()
    return "does not wait in the line any more"


def _a_paused_lesson(world: World) -> None:
    """Shown to be decided on, and its timeline is lost."""
    job = world.studio.learn(world.lesson("Bea"))
    while not world.studio.wait(job, 0.1).step:
        pass
    world.studio.lessons.pause()
    while world.studio.wait(job, 0.1).state != "paused":
        pass
    world.page.reload()
    open_tab(world.page, "Add concept")
    expect(world.page.locator("#resume")).to_be_visible()
    world.lose()


@refusal("resume.click")
def _a_lesson_on_a_lost_timeline(world: World) -> str:
    _a_paused_lesson(world)
    world.page.locator("#resume").click()
    return GONE


@refusal("afresh.click")
def _a_lesson_from_its_start_on_a_lost_timeline(world: World) -> str:
    _a_paused_lesson(world)
    world.page.locator("#afresh").click()
    return GONE


@refusal("compare-picture.click")
def _a_picture_of_the_comparison(world: World) -> str:
    _compared(world)
    world.lose()
    world.page.locator("#compare-picture").click()
    return GONE


@refusal("compare-go.click")
def _a_comparison(world: World) -> str:
    open_tab(world.page, "Compare")
    expect(world.page.locator("#compare-go")).to_be_enabled()
    world.lose()
    world.page.locator("#compare-go").click()
    return GONE


@refusal("compare-methods.input")
def _another_method(world: World) -> str:
    open_tab(world.page, "Compare")
    expect(world.page.locator("#compare-go")).to_be_enabled()
    world.lose()
    world.page.locator("#compare-methods input:not(:checked)").first.check()
    return GONE


@refusal("against.input")
def _another_side(world: World) -> str:
    _compared(world)
    world.lose()
    world.page.locator("#against").get_by_role("button").first.click()
    return GONE


@refusal("versus.click")
def _a_closer_look(world: World) -> str:
    _compared(world)
    world.lose()
    world.page.locator("#versus button").first.click()
    return GONE


def _compared(world: World) -> None:
    """The same two people under another method stand beside the timeline."""
    made = world.studio.comparisons.start(CompareRequest(world.timeline, ("sequential",), {}))
    while world.studio.comparisons.progress() != (0, 0):
        world.page.wait_for_timeout(100)
    assert len(world.studio.timeline(made[0]).cards) == 2
    world.page.reload()
    open_tab(world.page, "Compare")
    expect(world.page.locator("#versus table")).to_be_visible()


# -- what a page that others reach refuses ------------------------------------------------------------


@refusal("model-open.click", shared=True)
def _another_model(world: World) -> str:
    world.page.locator(".cl-model").click()
    world.page.locator("#model-typed input, #model-typed textarea").fill("a-hub/model")
    world.page.locator("#model-open").click()
    return SHARED


@refusal("settings-disk.click", shared=True)
def _cleaning(world: World) -> str:
    world.page.locator("#settings-open").click()
    world.page.locator("#settings-disk [data-act=clean]").first.click()
    return SHARED


@refusal("keep-drawing.click", shared=True)
def _defaults_for_drawing(world: World) -> str:
    world.page.locator("#settings-open").click()
    world.page.locator("#keep-drawing").click()
    return SHARED


@refusal("keep-learning.click", shared=True)
def _defaults_for_learning(world: World) -> str:
    world.page.locator("#settings-open").click()
    world.page.locator("#keep-learning").click()
    return SHARED


@refusal("own-preset.click", shared=True)
def _the_own_preset(world: World) -> str:
    world.page.locator("#settings-open").click()
    world.page.locator("#own-preset").click()
    return SHARED


@refusal("stop-discard.click", "give-up.click", shared=True)
def _a_discarded_lesson(world: World) -> str:
    teach(world.page, "Mia Gruen", steps=LONG["steps"])
    world.page.locator("#stop-discard").click()
    return SHARED


@refusal("trash-empty.click", shared=True)
def _the_trash(world: World) -> str:
    world.studio.trash.delete_timeline(world.studio.new_timeline("Soon gone"))
    world.page.reload()
    open_tab(world.page, "Timeline")
    world.page.locator("#trash button").first.click()
    world.page.locator("#trash-empty").click()
    return SHARED


@refusal("compare-stop.click", shared=True)
def _a_stopped_comparison(world: World) -> str:
    open_tab(world.page, "Compare")
    world.page.locator("#compare-stop").dispatch_event("click")  # it is seen only while a comparison runs
    return SHARED


# -- the walk -----------------------------------------------------------------------------------------


def end_all(studio: Studio) -> None:
    """No lesson runs or waits any more, and none is asked about."""
    for lesson in studio.lessons.all()[::-1]:
        studio.stop(lesson.id)
        studio.wait(lesson.id, WAIT_MS / 1000)


def _taught(studio: Studio) -> str:
    """A timeline of two people."""
    timeline = studio.new_timeline("Taught")
    for sample in studio.samples()[:2]:
        config = studio.base.train.updated({"steps": 1, "preview_every_seconds": 0.0})
        studio.wait(studio.learn(LearnRequest(timeline, Concept(sample.name, sample.token, sample.pictures), config)))
    return timeline


@pytest.fixture(scope="module")
def taught(studio: Studio) -> str:
    return _taught(studio)


def _world(visit: Visit, studio: Studio, home: Path, url: str, taught: str) -> World:
    timeline = studio.branch(taught, 2, studio.free_title("Two people"))
    page = visit(address=url)
    expect(page.locator("#timeline input")).to_have_value(re.compile("Two people"))
    return World(page, studio, home, timeline)


@pytest.fixture
def world(visit: Visit, studio: Studio, place: Path, url: str, taught: str) -> Iterator[World]:
    yield _world(visit, studio, place / "home", url, taught)
    end_all(studio)


@pytest.fixture
def shared_world(visit: Visit, tmp_path: Path, place: Path, tiny_folder: Path) -> Iterator[World]:
    studio = open_studio(tmp_path / "home", tiny_folder, place / "assets")
    with served(studio, tmp_path / "home", place / "assets", may_remove=False) as url:
        world = _world(visit, studio, tmp_path / "home", url, _taught(studio))
        yield world
        world.page.context.close()
        end_all(studio)


def _named(cases: dict[str, Case]) -> list[Case]:
    return list(dict.fromkeys(cases.values()))


@NEEDS_CHROMIUM[0]
@NEEDS_CHROMIUM[1]
@pytest.mark.slow
@pytest.mark.parametrize("case", _named(CASES), ids=lambda case: case.__name__.strip("_"))
def test_a_refusal_is_seen(world: World, case: Case) -> None:
    expect_notice(world.page, case(world))


@NEEDS_CHROMIUM[0]
@NEEDS_CHROMIUM[1]
@pytest.mark.slow
@pytest.mark.parametrize("case", _named(SHARED_CASES), ids=lambda case: case.__name__.strip("_"))
def test_a_refusal_of_a_shared_page_is_seen(shared_world: World, case: Case) -> None:
    expect_notice(shared_world.page, case(shared_world))
