"""No refusal is silent: whatever a tab refuses is seen as a notice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.visitor import LONG, NEEDS_CHROMIUM, Visit, open_tab, teach
from playwright.sync_api import Page, expect
from tiny.served import open_studio, served

from clora_core.concepts import Concept
from clora_core.jobs.requests import LearnRequest
from clora_core.studio.studio import Studio

pytestmark = NEEDS_CHROMIUM
ON_TOP = """words => [...document.querySelectorAll('[data-testid=toast-body]')].some(notice => {
    const {x, y, width, height} = notice.getBoundingClientRect();
    const there = document.elementFromPoint(x + width / 2, y + height / 2);
    return notice.contains(there) && notice.textContent.toLowerCase().includes(words.toLowerCase());
})"""
SHARED = "Others can reach this page without a password"


def expect_notice(page: Page, words: str) -> None:
    """The notice with these words is seen, with nothing over it; all are closed for the next one."""
    page.wait_for_function(ON_TOP, arg=words)
    page.get_by_test_id("toast-close").evaluate_all("buttons => buttons.forEach(button => button.click())")
    expect(page.get_by_test_id("toast-body")).to_have_count(0)


def stop(studio: Studio) -> None:
    """End what is learning and keep nothing."""
    job = studio.job()
    if job and not job.finished:
        studio.stop(job.id, keep=False)
        studio.wait(job.id)


@pytest.fixture(autouse=True)
def nothing_learns_on(studio: Studio) -> Iterator[None]:
    """What a test began to learn ends with it."""
    yield
    stop(studio)


def test_playground(visit: Visit, studio: Studio) -> None:
    page = visit()
    prompt = page.locator("#prompt textarea")
    prompt.fill("")
    page.locator("#draw").click()
    expect_notice(page, "The prompt is empty")
    prompt.fill("a picture that will be gone")
    prompt.press("Enter")
    expect(page.locator(".cl-made")).to_contain_text("will be gone")
    expect(page.locator("#draw")).to_be_visible()
    gone = studio.history(1)[0]
    gone.unlink()
    page.locator(f'.cl-wall [data-look$="{gone.name}"]').click()
    expect_notice(page, f"The picture {gone.name} is no longer there")


def test_add_concept(visit: Visit, studio: Studio) -> None:
    page = visit()
    open_tab(page, "Add concept")
    expect(page.locator("#start")).to_be_disabled()
    name = page.locator("#concept-name input, #concept-name textarea")
    name.press("Enter")
    expect_notice(page, "name")
    name.fill("Zoe")
    expect(page.locator("#concept-token input, #concept-token textarea")).to_have_value("<zoe>")
    name.press("Enter")
    expect_notice(page, "A concept needs 3 to 30 pictures")
    bad = {"name": "bad.zip", "mimeType": "application/zip", "buffer": b"no zip"}
    page.locator("#drop input[name=files]").set_input_files(bad)
    expect_notice(page, "bad.zip is damaged")


@pytest.mark.slow
def test_timeline(visit: Visit, studio: Studio) -> None:
    page = visit()
    open_tab(page, "Timeline")
    page.locator("#new-timeline").click()
    page.locator("#create-timeline").click()
    expect_notice(page, "The timeline has no name")
    expect(page.locator("#ask-name")).to_be_visible()
    page.locator("#forget-timeline").click()
    expect(page.locator("#ask-name")).to_be_hidden()
    teach(page, "Ida Rot")
    expect(page.locator("#try-it")).to_be_visible()
    page.locator("#another").click()
    teach(page, "Bo Blau", steps=LONG["steps"])
    open_tab(page, "Timeline")
    page.get_by_role("button", name="Undo Ida Rot").click()
    page.locator("#undo-yes").click()
    expect_notice(page, "Bo Blau is being learned")


def test_a_click_beside_the_buttons_is_no_refusal(visit: Visit) -> None:
    page = visit()
    open_tab(page, "Timeline")
    page.locator("#cards").click(position={"x": 2, "y": 2})
    page.locator("#new-timeline").click()
    expect(page.locator("#ask-name")).to_be_visible()
    expect(page.get_by_test_id("toast-body")).to_have_count(0)


@pytest.fixture
def shared_page(visit: Visit, tmp_path: Path, place: Path, tiny_folder: Path) -> Iterator[tuple[Page, Studio]]:
    """A page that others can reach without a password, with one concept learned."""
    studio = open_studio(tmp_path / "home", tiny_folder, place / "assets")
    with served(studio, tmp_path / "home", place / "assets", may_remove=False) as url:
        sample = studio.samples()[0]
        config = studio.base.train.updated({"steps": 2, "preview_every_seconds": 0.0})
        concept = Concept(sample.name, sample.token, sample.pictures)
        studio.wait(studio.learn(LearnRequest(studio.default_timeline(), concept, config)))
        page = visit(address=url)
        yield page, studio
        page.context.close()  # before nobody answers it any more
        stop(studio)


@pytest.mark.slow
def test_a_shared_page_says_that_it_takes_nothing_back(shared_page: tuple[Page, Studio]) -> None:
    page, studio = shared_page
    open_tab(page, "Timeline")
    page.get_by_role("button", name="Undo").first.click()
    expect_notice(page, SHARED)
    expect(page.locator("#ask-undo")).to_be_hidden()
    teach(page, studio.samples()[1].name, steps=LONG["steps"])
    page.locator("#stop-discard").click()
    expect_notice(page, SHARED)
