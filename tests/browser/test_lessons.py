"""The line of lessons in a real browser: lined up, put in another order, paused, discarded, and over a restart."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from browser.app_process import app_process
from browser.visitor import (
    LONG,
    NEEDS_CHROMIUM,
    PHONE,
    WAIT_MS,
    Visit,
    new_page,
    open_tab,
    overflow,
    reload,
    teach,
)
from playwright.sync_api import Browser, Page, expect
from tiny.served import open_studio

from clora_core.studio.studio import Studio

pytestmark = [*NEEDS_CHROMIUM, pytest.mark.slow]
NAME = "#concept-name input, #concept-name textarea"


@pytest.fixture(autouse=True)
def nothing_is_left(studio: Studio) -> Iterator[None]:
    """What a test lined up ends with it."""
    yield
    for lesson in studio.lessons.all()[::-1]:
        studio.stop(lesson.id)
        studio.wait(lesson.id, WAIT_MS / 1000)


def ask(page: Page, name: str) -> None:
    """One more sample person into the line."""
    page.get_by_label(f"Use the sample {name}").click()
    expect(page.locator(NAME)).to_have_value(name)
    expect(page.locator(".cl-checked li")).to_have_count(4)
    page.locator("#start").click()
    expect(page.locator(NAME)).to_have_value("")


def names(page: Page) -> list[str]:
    return page.locator("#lessons li b").all_inner_texts()


def test_the_next_are_prepared_while_one_is_learned_and_everybody_sees_it(visit: Visit, studio: Studio) -> None:
    page = visit()
    teach(page, "Ida Rot", steps=LONG["steps"])
    for name in ("Bo Blau", "Mia Gruen"):
        ask(page, name)
    expect(page.locator("#lessons li")).to_have_count(3)
    page.get_by_role("button", name="Move Mia Gruen up").click()
    expect(page.locator("#lessons li").nth(1)).to_contain_text("Mia Gruen")
    assert names(page) == ["Ida Rot", "Mia Gruen", "Bo Blau"]
    reload(page)
    other = visit(PHONE)
    for each in (page, other):
        expect(each.locator(".cl-pill")).to_contain_text("Learning Ida Rot")  # on the Playground
        assert each.title().startswith("Learning Ida Rot")
        each.locator(".cl-pill").click()
        expect(each.locator("#job")).to_contain_text("Ida Rot")
        expect(each.locator("#lessons li")).to_have_count(3)
        assert overflow(each) <= 0
    other.get_by_role("button", name="Take Bo Blau out").click()
    other.locator("#discard-yes").click()
    expect(page.locator("#lessons li")).to_have_count(2)


def test_pause_go_on_and_a_discard_brings_the_form_back(visit: Visit, studio: Studio) -> None:
    page = visit()
    teach(page, "Ida Rot", steps=LONG["steps"])
    page.locator("#pause").click()
    expect(page.locator("#resume")).to_be_visible()
    expect(page.locator("#stop-discard")).to_be_hidden()
    expect(page.locator(".cl-pill")).to_contain_text("paused")
    page.locator("#resume").click()
    expect(page.locator("#stop-discard")).to_be_visible()
    page.locator("#stop-discard").click()
    expect(page.locator("#ask-discard")).to_contain_text("Discard Ida Rot?")
    page.locator("#discard-no").click()
    expect(page.locator("#ask-discard")).to_be_hidden()
    page.locator("#stop-discard").click()
    page.locator("#discard-yes").click()
    expect(page.locator("#live")).to_be_hidden()
    expect(page.locator(NAME)).to_have_value("Ida Rot")
    expect(page.locator(".cl-checked li")).to_have_count(4)
    expect(page.locator(".cl-pill")).to_have_count(0)


NOTED = """
window.told = [];
window.Notification = class { constructor(words) { window.told.push(words); } };
window.Notification.permission = 'granted';
"""


def test_the_title_and_a_notification_say_that_a_lesson_has_ended(visit: Visit, studio: Studio) -> None:
    page = visit()
    page.add_init_script(NOTED)
    reload(page)
    teach(page, "Ida Rot")
    expect(page.locator("#try-it")).to_be_visible()
    expect(page).to_have_title(re.compile("^Ida Rot is (learned|stored).* · C-LoRA Studio$"))
    assert [told.split(",")[0] for told in page.evaluate("window.told")] in (
        ["Ida Rot is learned"],
        ["Ida Rot is stored"],
    )
    reload(page)
    expect(page.locator(".cl-pill")).to_contain_text(re.compile("Ida Rot is (learned|stored)"))
    assert page.evaluate("window.told") == []  # it was told already
    open_tab(page, "Add concept")
    page.locator("#another").click()
    expect(page).to_have_title("C-LoRA Studio")
    expect(page.locator("#live")).to_be_hidden()


@contextmanager
def killed_at_the_end(home: Path, assets: Path, log: Path) -> Iterator[str]:
    """The address of the app in a process of its own, which is killed at the end."""
    with app_process(home, log, "--model", str(assets / "base")) as (url, app):
        try:
            yield url
        finally:
            app.kill()


@pytest.mark.skipif(os.name == "nt", reason="kills the app as Unix does")
def test_three_lessons_in_the_line_outlive_a_killed_app(
    browser: Browser, studio: Studio, place: Path, tmp_path: Path
) -> None:
    home, log = tmp_path / "home", tmp_path / "app.log"
    open_studio(home, place / "assets" / "base", place / "assets", steps=800).close()  # the preset on disk
    people = [sample.name for sample in studio.samples()][:3]
    page = new_page(browser)
    with killed_at_the_end(home, place / "assets", log) as url:
        page.goto(url)
        open_tab(page, "Add concept")
        for number, sample in enumerate(studio.samples()[:3]):
            page.locator("#drop input[name=files]").set_input_files(list(sample.pictures))
            expect(page.locator(".cl-checked li")).to_have_count(len(sample.pictures))
            page.locator(NAME).fill(sample.name)
            expect(page.locator("#token-note .cl-good")).to_be_visible()
            page.locator("#start").click()
            expect(page.locator(NAME)).to_have_value("")
            if number:
                expect(page.locator("#lessons li")).to_have_count(number + 1)
            else:
                expect(page.locator("#curves svg").first).to_be_visible()
    with killed_at_the_end(home, place / "assets", log) as url:
        page.goto(url)
        pill = page.locator(".cl-pill")
        expect(pill).to_contain_text(re.compile("lessons wait for you|was interrupted"))  # the first may have ended
        several = "lessons" in pill.inner_text()
        pill.click()
        page.get_by_role("button", name="Go on with all" if several else "Go on learning").click()
        expect(pill).to_contain_text(re.compile("is (learned|stored)"), timeout=600_000)
        open_tab(page, "Timeline")
        expect(page.locator(".cl-card")).to_have_count(3)
        for name in people:
            expect(page.locator("#cards")).to_contain_text(name)
        page.context.close()
