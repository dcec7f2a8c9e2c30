"""A visitor of the page: where the browser is, what screens there are, the page on the tiny model, and the first steps
of every visit."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tiny.served import make_people, open_studio, served

from clora_core.studio.studio import Studio

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
from playwright.sync_api import Browser, Page, expect, sync_playwright  # noqa: E402

# the first paints no window and starts no renderers for one, so that it takes half the time
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
PATH = os.environ.get("PATH", "") + os.pathsep + "/usr/bin"
CHROMIUM = next((found for name in BROWSERS if (found := shutil.which(name, path=PATH))), None)
NEEDS_CHROMIUM = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium found: install it, for example apt install chromium"),
]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
LONG = {"steps": 100_000}
WAIT_MS = 60_000  # a machine may be busy; what does not come costs as much
TABS = ("Playground", "Add concept", "Timeline", "Compare")
KNOWS_THE_PAGE = "localStorage['clora-first-run'] ??= '5'"  # the guided first run lies over the foot of the page
Visit = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("browser")
    make_people(place / "assets")
    return place


@pytest.fixture(scope="module")
def studio(place: Path, tiny_folder: Path) -> Studio:
    return open_studio(place / "home", tiny_folder, place / "assets")


@pytest.fixture(scope="module")
def url(studio: Studio, place: Path) -> Iterator[str]:
    with served(studio, place / "home", place / "assets") as url:
        studio.warm_up()
        yield url


def new_page(browser: Browser, size: dict[str, int] = DESKTOP, knows_the_page: bool = True) -> Page:
    """An empty page of a new visitor, who has seen the guided first run already. Nothing moves on it by itself."""
    context = browser.new_context(viewport=size, reduced_motion="reduce")  # type: ignore[arg-type]
    if knows_the_page:
        context.add_init_script(KNOWS_THE_PAGE)
    context.set_default_timeout(WAIT_MS)
    page: Page = context.new_page()
    return page


@pytest.fixture
def visit(browser: Browser, studio: Studio, url: str) -> Iterator[Visit]:
    """visit(size, address) opens the page as a new visitor, on a new timeline of this test, and fails the test on
    any complaint of the browser."""
    studio.new_timeline(studio.free_title("Test"))
    complaints: list[str] = []
    contexts = []

    def visit(size: dict[str, int] = DESKTOP, address: str = url) -> Page:
        page = new_page(browser, size)
        contexts.append(page.context)
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("response", lambda r: complaints.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        page.goto(address)
        _is_filled_in(page)
        return page

    yield visit
    for context in contexts:
        context.close()
    end_lessons(studio)
    # Gradio's own client says the first of every upload, and uploads all the same; and the others when a page is left
    # while it listens
    usual = ("Method not implemented.", "AbortError: signal is aborted", "Unexpected error Connection errored out.")
    found = [words for words in complaints if not words.startswith(usual)]
    assert not found, found


def end_lessons(studio: Studio) -> None:
    """Stop what a test left running or waiting, the last first: it would hold up the next test."""
    for lesson in studio.lessons.all()[::-1]:
        studio.stop(lesson.id)
        studio.wait(lesson.id, WAIT_MS / 1000)


def _is_filled_in(page: Page) -> None:
    """Wait until the studio has answered: what is typed before is overwritten."""
    expect(page.locator("#chips :is(.cl-chip, .cl-empty)").first).to_be_visible()


def reload(page: Page) -> None:
    """The same visitor opens the page again."""
    page.reload()
    _is_filled_in(page)


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def teach(page: Page, name: str, steps: int | None = None) -> None:
    """Teach a sample person through the form, up to the running job."""
    open_tab(page, "Add concept")
    page.get_by_label(f"Use the sample {name}").click()
    expect(page.locator(".cl-checked li")).to_have_count(len(list(pictures_shown(page))))
    expect(page.locator("#concept-name input, #concept-name textarea")).to_have_value(name)
    if steps:
        page.locator("#train-advanced button").first.click()
        number = page.locator("#setting-steps input")
        number.click()
        number.fill(str(steps))
        number.press("Tab")
        expect(number).to_have_value(str(steps))
    page.locator("#start").click()
    expect(page.locator("#job")).to_contain_text(name)


def pictures_shown(page: Page) -> Iterator[str]:
    expect(page.locator(".cl-checked li").first).to_be_visible()
    yield from page.locator(".cl-checked .cl-file").all_inner_texts()


def overflow(page: Page) -> int:
    width: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return width
