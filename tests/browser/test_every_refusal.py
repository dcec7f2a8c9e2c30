"""Whatever can refuse is made to refuse, and the notice is seen.

``CASES`` has a way to a refusal for everything on the page that can refuse, by "<element>.<event>"; ``CANNOT`` says of
the rest why there is nothing to refuse. A handler that is in neither fails the first test.

All walk on one page: a refusal changes nothing on it, so that the next case goes on where the last one stood.
"""

from __future__ import annotations

import re
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from browser.test_refusals import expect_notice
from browser.visitor import LONG, NEEDS_CHROMIUM, WAIT_MS, end_lessons, new_page, open_tab, reload, teach
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from tiny.served import make_people, open_studio, served

from clora_core.concepts import Concept
from clora_core.jobs.requests import CompareRequest, LearnRequest
from clora_core.studio.studio import Studio
from demo.page import build_demo

GONE = "There is no timeline"
NO_JOB = "There is no job"
SHARED = "Others can reach this page without a password"
SETTLED_S = 2.0  # less than between two looks of the page's clock
CANNOT = {
    "model.click": "opens a panel with what is in memory",
    "settings-open.click": "opens a panel; what cannot be measured counts as nothing",
    "cancel-draw.click": "a drawing that has ended needs no stopping",
    "cancel-grid.click": "the same",
    "export-stop.click": "the same of an export",
    "bring-stop.click": "the same of what is brought in",
    "history.click": "asks for older pictures; where there are none, none come",
    "concept-name.change": "what is wrong with a name stands under it",
    "setting-method.input": "the list holds the methods that are known",
    "edit-picture.submit": "what is wrong is said in the editor, which lies over any notice",
    "empty-yes.click": "it is asked only where things may be removed",
}


def settle(page: Page) -> None:
    """Wait until the page asks nothing more of its own accord: it would be refused, too."""
    asked = [time.monotonic()]
    page.on("request", lambda _: asked.append(time.monotonic()))
    while time.monotonic() - asked[-1] < SETTLED_S:
        page.wait_for_timeout(100)


@dataclass
class World:
    """A page on a timeline of two people, and the means to spoil it."""

    browser: Browser
    studio: Studio
    home: Path
    url: str
    taught: str
    timeline: str = ""
    lost: list[str] = field(default_factory=list)

    def open(self) -> None:
        """A new visitor's page on a branch of the two people."""
        self.timeline = self.studio.branch(self.taught, 2, self.studio.free_title("Two people"))
        self.page: Page = new_page(self.browser)
        self.page.goto(self.url)
        expect(self.page.locator("#timeline input")).to_have_value(re.compile("Two people"))
        settle(self.page)

    def close(self) -> None:
        """The visitor leaves."""
        if self.timeline:
            self.page.context.close()
        self.timeline = ""

    def lose(self) -> None:
        """Somebody takes the timeline away from under the page."""
        shutil.move(self.home / "timelines" / self.timeline, self.home / self.timeline)
        self.lost.append(self.timeline)

    def find(self) -> None:
        """Lost timelines are there again."""
        while self.lost:
            found = self.lost.pop()
            shutil.move(self.home / found, self.home / "timelines" / found)

    def lesson(self, name: str, **settings: float) -> str:
        """Id of a new lesson of the last sample person's pictures; a long one."""
        sample, config = self.studio.samples()[2], self.studio.base.train.updated({**LONG, **settings})
        concept = Concept(name, f"<{name.lower()}>", sample.pictures)
        return self.studio.learn(LearnRequest(self.timeline, concept, config))

    def freeze(self) -> None:
        """From here on the page does not look at how things stand."""
        self.page.route("**/gradio_api/run/**", lambda route: None)

    def clear_away(self, job_id: str) -> None:
        """The lesson ends, and nothing of it is left."""
        self.studio.stop(job_id)
        self.studio.wait(job_id)
        shutil.rmtree(self.home / "jobs" / job_id)


Case = Callable[[World], str]
CASES: dict[str, Case] = {}
SHARED_CASES: dict[str, Case] = {}
SPOILING: set[Case] = set()


def refusal(*keys: str, shared: bool = False, spoils: bool = False) -> Callable[[Case], Case]:
    """The case of these events. It returns words of the notice. shared: it takes a page without a password.  spoils:
    the next case needs a new page."""

    def add(case: Case) -> Case:
        (SHARED_CASES if shared else CASES).update(dict.fromkeys(keys, case))
        if spoils:
            SPOILING.add(case)
        return case

    return add


def can_refuse(studio: Studio) -> set[str]:
    """ "<element>.<event>" of everything on the page whose handler goes through the queue; the settings of a lesson,
    which have one handler, are one."""
    demo, found = build_demo(studio), set()
    for handler in demo.fns.values():
        if not (handler.fn and handler.queue and handler.api_visibility == "private"):
            continue
        event_of = handler if handler.trigger_after is None else demo.fns[handler.trigger_after]
        passed_on = handler if event_of.fn else event_of  # bound with ``whenever``
        for block, event in passed_on.targets:
            name = getattr(demo.blocks.get(block), "elem_id", None)
            if name:
                found.add(re.sub(r"^setting-\w+\.change", "setting-*.change", f"{name}.{event}"))
    return found


def test_all_that_can_refuse_has_a_case(tiny_folder: Path, tmp_path: Path) -> None:
    make_people(tmp_path / "assets")
    studio = open_studio(tmp_path / "home", tiny_folder, tmp_path / "assets")
    cases, there = {*CASES, *SHARED_CASES}, can_refuse(studio)
    studio.close()
    assert there - cases - {*CANNOT} == set(), "write a case for each, or say in CANNOT why it cannot refuse"
    assert (cases | {*CANNOT}) - there == set(), "these are not on the page any more"


# -- what can be refused on any page -----------------------------------------------------------------


@refusal("model-open.click", "model-typed.submit")
def _no_such_model(world: World) -> str:
    world.page.locator(".cl-model").click()
    world.page.locator("#model-typed input, #model-typed textarea").fill("/nowhere")
    world.page.locator("#model-open").click()
    return "There is no model /nowhere"


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


@refusal("look-view.click", "look-acts.click")
def _a_picture(world: World) -> str:
    _draw(world.page, "a picture that will be gone")
    gone = world.studio.history(1)[0]
    world.page.locator(f'.cl-wall [data-look="{gone}"]').click()
    favourite = world.page.get_by_role("button", name="Favourite")
    expect(favourite).to_be_visible()
    gone.unlink()
    favourite.click()
    expect_notice(world.page, "is no longer there")
    world.page.keyboard.press("Escape")
    world.page.locator(f'.cl-wall [data-look="{gone}"]').click()
    return "is no longer there"


def _draw(page: Page, prompt: str) -> None:
    page.locator("#prompt textarea").fill(prompt)
    page.locator("#prompt textarea").press("Enter")
    expect(page.locator(".cl-wall [data-look]").first).to_have_attribute("aria-label", re.compile(prompt))


@refusal("which-history.change", "find-history.change")
def _favourites(world: World) -> str:
    list_of_them = world.home / "favourites.json"
    list_of_them.write_text("[")
    try:
        world.page.locator("#which-history label").nth(1).click()
        expect_notice(world.page, "favourites")
        world.page.locator("#find-history input, #find-history textarea").fill("a house")
        expect(world.page.get_by_test_id("toast-body")).to_be_visible()
    finally:
        list_of_them.unlink()
    return "favourites"


@refusal("drop.upload")
def _a_damaged_zip(world: World) -> str:
    open_tab(world.page, "Add concept")
    bad = {"name": "bad.zip", "mimeType": "application/zip", "buffer": b"no zip"}
    world.page.locator("#drop input[name=files]").set_input_files(bad)
    return "bad.zip is damaged"


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


@refusal(
    *("start.click", "concept-name.submit", "concept-token.submit", "setting-*.change", "keep-pictures.change"),
    *("show-real.change", "checked.click"),
    spoils=True,
)
def _a_form_that_is_filled_in(world: World) -> str:
    page = world.page
    open_tab(page, "Add concept")
    page.get_by_label("Name", exact=True).press("Enter")
    expect_notice(page, "name")
    page.get_by_label("Use the sample Mia Gruen").click()
    expect(page.locator("#start")).to_be_enabled()
    world.freeze()  # else Start says what is wrong, and cannot be pressed
    page.locator("#train-advanced button").first.click()
    page.get_by_label("Edit 0.png").click()
    editor = page.get_by_role("dialog")
    expect(editor).to_be_visible()
    world.lose()
    editor.get_by_role("button", name="Use it like this").click()
    expect(editor).to_contain_text(GONE)
    page.keyboard.press("Escape")
    expect(editor).to_have_count(0)
    page.locator("#setting-learning_rate input").fill("0.25")
    expect_notice(page, GONE)
    for consent in ("#keep-pictures", "#show-real"):
        page.locator(f"{consent} input").click()
        expect_notice(page, GONE)
    page.get_by_label("Remove 0.png").click()
    expect_notice(page, GONE)
    page.locator("#start").click()
    return GONE


@refusal("timeline.input", "timeline.change", spoils=True)
def _a_timeline(world: World) -> str:
    world.page.locator("#timeline input").click()
    option = world.page.get_by_role("option", name=re.compile("Taught"))
    expect(option).to_be_visible()
    shutil.move(world.home / "timelines" / world.taught, world.home / world.taught)
    world.lost.append(world.taught)
    option.click()
    return GONE


@refusal("create-timeline.click", "new-name.submit")
def _a_name(world: World) -> str:
    world.page.locator("#new-timeline").click()
    world.page.locator("#create-timeline").click()
    return "The timeline has no name"


@refusal("take-in.upload")
def _a_timeline_from_elsewhere(world: World) -> str:
    world.page.locator("#new-timeline").click()
    bad = {"name": "bad.zip", "mimeType": "application/zip", "buffer": b"no zip"}
    world.page.locator("#ask-name input[type=file]").set_input_files(bad)
    return "bad.zip"


@refusal("undo.click")
def _a_question(world: World) -> str:
    open_tab(world.page, "Timeline")
    world.lose()
    world.page.locator("#undo").click()
    return GONE


@refusal("undo-yes.click", "redo.click", spoils=True)
def _an_undo_and_a_redo(world: World) -> str:
    open_tab(world.page, "Timeline")
    world.page.locator("#undo").click()
    expect(world.page.locator("#undo-yes")).to_be_visible()
    world.lose()
    world.page.locator("#undo-yes").click()
    expect_notice(world.page, GONE)
    world.find()
    world.page.locator("#undo-yes").click()
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


@refusal("rename-timeline.click", "delete-timeline.click", "export.click", "bring.click")
def _a_lost_timeline(world: World) -> str:
    open_tab(world.page, "Timeline")
    world.lose()
    world.page.locator("#rename-timeline").click()
    expect_notice(world.page, GONE)
    world.page.locator("#export").click()
    expect_notice(world.page, GONE)
    world.page.locator("#bring").click()
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


@refusal("export-go.click", "export-for.input")
def _an_export(world: World) -> str:
    open_tab(world.page, "Timeline")
    world.page.locator("#export").click()
    expect(world.page.locator("#export-go")).to_be_visible()
    world.lose()
    world.page.locator("#export-for label").nth(2).click()  # a whole model
    expect_notice(world.page, GONE)
    world.page.locator("#export-go").click()
    return GONE


@refusal("bring-lora.upload", "bring-go.click")
def _a_pickle_and_nothing(world: World) -> str:
    open_tab(world.page, "Timeline")
    world.page.locator("#bring").click()
    world.page.locator("#bring-go").click()
    expect_notice(world.page, "nothing to bring in")
    pickle = {"name": "rex.ckpt", "mimeType": "application/octet-stream", "buffer": b"never opened"}
    world.page.locator("#bring-lora input[type=file]").set_input_files(pickle)
    return "rex.ckpt is a pickle"


@refusal("snack.click", "trash-list.click", spoils=True)
def _what_is_not_in_the_trash_any_more(world: World) -> str:
    page = world.page
    page.locator("#new-timeline").click()
    page.locator("#new-name input, #new-name textarea").fill("Soon gone")
    page.locator("#create-timeline").click()
    expect(page.locator("#timeline input")).to_have_value(re.compile("Soon gone"))
    open_tab(page, "Timeline")
    page.locator("#delete-timeline").click()
    expect(page.locator("#snack button").first).to_be_visible()
    world.studio.trash.empty()
    page.locator("#snack button").first.click()
    expect_notice(page, "no longer in the trash")
    page.locator("#trash button").first.click()
    page.get_by_role("button", name="Restore Soon gone").click()
    return "no longer in the trash"


@refusal("try-it.click", spoils=True)
def _a_verdict(world: World) -> str:
    teach(world.page, "Mia Gruen", steps=1)
    expect(world.page.locator("#try-it")).to_be_visible()
    job = world.studio.job()
    assert job
    world.freeze()
    shutil.rmtree(world.home / "jobs" / job.id)
    world.page.locator("#try-it").click()
    return NO_JOB


@refusal("discard-yes.click", spoils=True)
def _a_lesson_that_was_cleared_away_while_asked_about(world: World) -> str:
    page, job = world.page, world.lesson("Bea")
    open_tab(page, "Add concept")
    page.locator("#stop-discard").click()
    expect(page.locator("#discard-yes")).to_be_visible()
    world.freeze()
    world.clear_away(job)
    page.locator("#discard-yes").click()
    return NO_JOB


@refusal("pause.click", "stop-keep.click", "stop-discard.click", spoils=True)
def _a_lesson_that_was_cleared_away(world: World) -> str:
    page, job = world.page, world.lesson("Bea")
    open_tab(page, "Add concept")
    expect(page.locator("#stop-keep")).to_be_visible()
    world.freeze()
    world.clear_away(job)
    for button in ("#pause", "#stop-keep"):
        page.locator(button).click()
        expect_notice(page, NO_JOB)
    page.locator("#stop-discard").click()
    return NO_JOB


@refusal("lessons.click", spoils=True)
def _a_place_in_the_line(world: World) -> str:
    lessons = [world.lesson(name) for name in ("Bea", "Cleo", "Dora")]
    open_tab(world.page, "Add concept")
    up = world.page.locator("#lessons [data-act=up]:not([disabled])")
    expect(up).to_have_count(1)
    world.freeze()
    world.studio.stop(lessons[2])
    up.click()
    return "does not wait in the line any more"


@refusal("resume.click", "afresh.click", spoils=True)
def _a_paused_lesson_on_a_lost_timeline(world: World) -> str:
    job = world.lesson("Bea")
    while not world.studio.wait(job, 0.1).step:
        pass
    world.studio.lessons.pause()
    while world.studio.wait(job, 0.1).state != "paused":
        pass
    open_tab(world.page, "Add concept")
    expect(world.page.locator("#resume")).to_be_visible()
    world.lose()
    world.page.locator("#resume").click()
    expect_notice(world.page, GONE)
    world.page.locator("#afresh").click()
    return GONE


@refusal("compare-go.click", "compare-methods.input", spoils=True)
def _a_comparison(world: World) -> str:
    open_tab(world.page, "Compare")
    expect(world.page.locator("#compare-go")).to_be_enabled()
    world.lose()
    world.page.locator("#compare-go").click()
    expect_notice(world.page, GONE)
    world.page.locator("#compare-methods input:not(:checked)").first.check()
    return GONE


@refusal("compare-picture.click", "against.input", "versus.click", spoils=True)
def _what_stands_beside_it(world: World) -> str:
    """The same two people under another method."""
    made = world.studio.comparisons.start(CompareRequest(world.timeline, ("sequential",), {}))
    for lesson in world.studio.lessons.all():
        world.studio.wait(lesson.id, WAIT_MS / 1000)
    while world.studio.comparisons.progress() != (0, 0):
        world.page.wait_for_timeout(50)
    assert len(world.studio.timeline(made[0]).cards) == 2
    open_tab(world.page, "Compare")
    expect(world.page.locator("#versus table")).to_be_visible()
    world.lose()
    world.page.locator("#compare-picture").click()
    expect_notice(world.page, GONE)
    world.page.locator("#versus [data-act=token]").first.click()
    expect_notice(world.page, GONE)
    world.page.locator("#against .token-remove").first.click()
    return GONE


@refusal("compare-drop.upload", spoils=True)
def _pictures_for_a_comparison(world: World) -> str:
    """They were not kept, and the zip has none of this concept."""
    pictures = [shutil.copy(path, world.home / path.name) for path in world.studio.samples()[0].pictures]
    concept = Concept("Bea", "<bea>", tuple(map(Path, pictures)))
    config = world.studio.base.train.updated(FAST)
    world.studio.wait(world.studio.learn(LearnRequest(world.timeline, concept, config)))
    other = world.home / "others.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.write(pictures[0], "somebody/else.png")
    open_tab(world.page, "Compare")
    world.page.locator("#compare-drop input[type=file]").set_input_files(other)
    return "others.zip has no folder that is called like a concept"


# -- what a page that others reach refuses ------------------------------------------------------------


@refusal("model-open.click", shared=True)
def _another_model(world: World) -> str:
    world.page.locator(".cl-model").click()
    world.page.locator("#model-typed input, #model-typed textarea").fill("a-hub/model")
    world.page.locator("#model-open").click()
    return SHARED


@refusal("settings-disk.click", "keep-drawing.click", "keep-learning.click", "own-preset.click", shared=True)
def _settings(world: World) -> str:
    world.page.locator("#settings-open").click()
    for button in ("#settings-disk [data-act=clean]", "#keep-drawing", "#keep-learning"):
        world.page.locator(button).first.click()
        expect_notice(world.page, SHARED)
    world.page.locator("#own-preset").click()
    return SHARED


@refusal("give-up.click", shared=True, spoils=True)
def _a_discarded_lesson(world: World) -> str:
    job = world.lesson("Bea")
    open_tab(world.page, "Add concept")
    world.page.locator("#stop-discard").click()
    expect_notice(world.page, SHARED)
    world.studio.lessons.pause()
    while world.studio.wait(job, 0.1).state != "paused":
        pass
    world.page.locator("#give-up").click()
    return SHARED


@refusal("trash-empty.click", shared=True)
def _the_trash(world: World) -> str:
    world.studio.trash.delete_timeline(world.studio.new_timeline("Soon gone"))
    reload(world.page)
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


FAST = {"steps": 1, "preview_every_seconds": 0.0}


@contextmanager
def a_world(browser: Browser, place: Path, home: Path, tiny_folder: Path, may_remove: bool) -> Iterator[World]:
    """A served page whose timeline of two people is ready to be branched."""
    studio = open_studio(home, tiny_folder, place / "assets")
    with served(studio, home, place / "assets", may_remove=may_remove) as url:
        taught = studio.new_timeline("Taught")
        for one in studio.samples()[:2]:
            config = studio.base.train.updated(FAST)
            studio.wait(studio.learn(LearnRequest(taught, Concept(one.name, one.token, one.pictures), config)))
        world = World(browser, studio, home, url, taught)
        yield world
        world.close()


@pytest.fixture(scope="module")
def world(
    browser: Browser, place: Path, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with a_world(browser, place, tmp_path_factory.mktemp("own"), tiny_folder, may_remove=True) as world:
        yield world


@pytest.fixture(scope="module")
def shared_world(
    browser: Browser, place: Path, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with a_world(browser, place, tmp_path_factory.mktemp("shared"), tiny_folder, may_remove=False) as world:
        yield world


def walk(world: World, case: Case) -> None:
    """The case, and all as it was before."""
    fine = False
    try:
        if not world.timeline:
            world.open()
        expect_notice(world.page, case(world))
        fine = True
    finally:
        world.find()
        if case in SPOILING or not fine:
            world.close()
        else:
            world.page.keyboard.press("Escape")  # a question that was refused stays open
            expect(world.page.get_by_role("dialog")).to_have_count(0)
            open_tab(world.page, "Playground")
        end_lessons(world.studio)


def _named(cases: dict[str, Case]) -> list[Case]:
    return list(dict.fromkeys(cases.values()))


@NEEDS_CHROMIUM[0]
@NEEDS_CHROMIUM[1]
@pytest.mark.slow
@pytest.mark.parametrize("case", _named(CASES), ids=lambda case: case.__name__.strip("_"))
def test_a_refusal_is_seen(world: World, case: Case) -> None:
    walk(world, case)


@NEEDS_CHROMIUM[0]
@NEEDS_CHROMIUM[1]
@pytest.mark.slow
@pytest.mark.parametrize("case", _named(SHARED_CASES), ids=lambda case: case.__name__.strip("_"))
def test_a_refusal_of_a_shared_page_is_seen(shared_world: World, case: Case) -> None:
    walk(shared_world, case)
