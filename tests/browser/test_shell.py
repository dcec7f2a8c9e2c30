"""What belongs to no tab: the header, its panels, questions, the keyboard, the guided first run."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.visitor import NEEDS_CHROMIUM, TABS, WAIT_MS, Visit, new_page, open_tab, reload, teach
from playwright.sync_api import Browser, Page, Response, expect
from tiny.served import open_studio, served

from clora_core.studio.studio import Studio

pytestmark = [*NEEDS_CHROMIUM, pytest.mark.slow]


def focused(page: Page) -> str:
    """The id of the element with the focus, or of the nearest one around it that has one."""
    found: str = page.evaluate("document.activeElement.closest('[id]')?.id || ''")
    return found


def kept_in_browser(response: Response, timeline_id: str) -> bool:
    """Whether the page was told to keep this timeline for the next visit."""
    asked = response.request.post_data or ""
    return '"timelines"' in asked and f'"{timeline_id}"' in asked


def test_the_timeline_is_chosen_once_for_all_tabs(visit: Visit, studio: Studio) -> None:
    page = visit()
    for name in TABS:
        open_tab(page, name)
        expect(page.locator("#timeline")).to_be_visible()
    open_tab(page, "Add concept")
    page.locator("#new-timeline").click()
    expect(page.locator("#new-name input, #new-name textarea")).to_be_focused()
    page.keyboard.type("Somewhere else")
    with page.expect_response(lambda response: kept_in_browser(response, "somewhere-else"), timeout=WAIT_MS):
        page.keyboard.press("Enter")
    expect(page.locator("#timeline input")).to_have_value("Somewhere else · 0 concepts")
    expect(page.locator("#coming")).to_contain_text("Somewhere else")
    studio.new_timeline("Made by another visitor")
    reload(page)
    expect(page.locator("#timeline input")).to_have_value("Somewhere else · 0 concepts")


def test_a_question_has_the_focus_and_gives_it_back(visit: Visit) -> None:
    page = visit()
    opener = page.locator("#new-timeline")
    opener.focus()
    page.keyboard.press("Enter")
    question = page.get_by_role("dialog")
    expect(question.get_by_label("Name")).to_be_focused()
    for _ in range(4):  # Tab stays inside
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('.cl-dialog') !== null")
    page.keyboard.press("Escape")
    expect(question).to_have_count(0)
    expect(opener).to_be_focused()
    page.keyboard.press("?")
    expect(page.locator("#help-panel")).to_be_visible()
    page.wait_for_function("document.activeElement.closest('#help-panel')")
    page.keyboard.press("Escape")
    expect(page.locator("#help-panel")).to_be_hidden()
    page.locator("#prompt textarea").fill("who")
    page.keyboard.press("?")
    expect(page.locator("#prompt textarea")).to_have_value("who?")


def test_arrows_move_in_tabs_and_groups(visit: Visit, studio: Studio) -> None:
    page = visit()
    page.get_by_role("tab", name="Playground").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Add concept")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("tab", name="Add concept")).to_be_focused()
    samples = page.locator(".cl-sample")
    expect(samples.first).to_be_visible()
    stops = page.evaluate("[...document.querySelectorAll('.cl-sample')].filter(one => one.tabIndex === 0).length")
    assert (stops, samples.count()) == (1, 3)
    samples.first.focus()
    page.keyboard.press("ArrowRight")
    expect(samples.nth(1)).to_be_focused()
    page.keyboard.press("End")
    expect(samples.nth(2)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#concept-name input, #concept-name textarea")).not_to_have_value("")


def test_the_focus_goes_on_where_a_button_vanishes(visit: Visit) -> None:
    page = visit()
    page.locator("#prompt textarea").fill("a house")
    page.locator("#draw").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".cl-made")).to_contain_text("a house")
    expect(page.locator("#draw")).to_be_focused()


def test_the_look_is_kept_in_the_browser(visit: Visit) -> None:
    page = visit()
    dark = "document.body.classList.contains('dark')"
    assert not page.evaluate(dark)
    page.locator("#settings-open").click()
    page.locator("#settings-theme").get_by_label("dark", exact=True).check()
    page.wait_for_function(dark)
    reload(page)
    page.wait_for_function(dark)
    page.locator("#settings-open").click()
    expect(page.locator("#settings-theme").get_by_label("dark", exact=True)).to_be_checked()
    page.locator("#settings-theme").get_by_label("light", exact=True).check()
    page.wait_for_function(f"!({dark})")


@pytest.fixture
def two_models(tmp_path: Path, place: Path, tiny_folder: Path) -> Iterator[tuple[str, Studio, Path]]:
    """Address and studio of a page of its own, and the folder of another model."""
    other = tmp_path / "other"
    shutil.copytree(tiny_folder, other)
    unet = json.loads((other / "unet/config.json").read_text())
    (other / "unet/config.json").write_text(json.dumps({**unet, "dropout": 0.125}))
    preset = {"name": "The other one", "sampling": {"steps": 7}, "train": {"steps": 20}}
    (other / "clora.json").write_text(json.dumps(preset))
    studio = open_studio(tmp_path / "home", tiny_folder, place / "assets")
    with served(studio, tmp_path / "home", place / "assets") as url:
        studio.warm_up()
        yield url, studio, other


def test_another_model_is_opened_and_other_visitors_are_told(
    visit: Visit, two_models: tuple[str, Studio, Path]
) -> None:
    url, studio, other = two_models
    chosen = studio.new_timeline("Of the first model")
    page, somebody = visit(address=url), visit(address=url)
    expect(page.locator("#timeline input")).to_have_value("Of the first model · 0 concepts")
    assert chosen != studio.new_timeline("Changed later")
    expect(somebody.locator("#model")).to_contain_text("Tiny test model")
    page.locator(".cl-model").click()
    page.locator("#model-typed input, #model-typed textarea").fill("/nowhere/at/all")
    page.locator("#model-open").click()
    expect(page.get_by_test_id("toast-body")).to_contain_text("There is no model /nowhere/at/all")
    page.get_by_test_id("toast-close").click()
    page.locator("#model-typed input, #model-typed textarea").fill(str(other))
    page.keyboard.press("Enter")
    for each in (page, somebody):
        expect(each.locator("#model")).to_contain_text("The other one ready")
        expect(each.get_by_test_id("toast-body")).to_contain_text("The other one")
        expect(each.locator("#timeline input")).to_have_value(re.compile("^My concepts.* · 0 concepts"))
    expect(page.locator("#model-panel")).to_be_hidden()
    page.locator("#sampling-advanced button").first.click()
    expect(page.locator("#sampling-advanced #setting-steps input")).to_have_value("7")
    teach(page, "Ida Rot")
    expect(page.locator("#try-it")).to_be_visible()
    page.locator(".cl-model").click()
    page.get_by_label("Tiny test model").check()
    page.locator("#model-open").click()
    expect(page.locator("#timeline input")).to_have_value("Of the first model · 0 concepts")
    for context in (page.context, somebody.context):
        context.close()


def test_a_model_that_cannot_be_loaded_is_told_in_the_panel(visit: Visit, two_models: tuple[str, Studio, Path]) -> None:
    url, studio, other = two_models
    for weights in (other / "unet").glob("*.safetensors"):
        weights.write_bytes(b"broken")
    page = visit(address=url)
    page.locator(".cl-model").click()
    page.locator("#model-typed input, #model-typed textarea").fill(str(other))
    page.locator("#model-open").click()
    expect(page.locator("#model-opening")).to_contain_text("could not be loaded")
    page.keyboard.press("Escape")
    expect(page.locator("#model")).to_contain_text("Tiny test model ready")
    page.context.close()


def test_the_first_run_leads_to_what_changed_and_does_not_come_back(
    browser: Browser, tmp_path: Path, place: Path, tiny_folder: Path
) -> None:
    studio = open_studio(tmp_path / "home", tiny_folder, place / "assets")
    with served(studio, tmp_path / "home", place / "assets") as url:
        studio.warm_up()
        page = new_page(browser, knows_the_page=False)
        page.goto(url)
        now = page.locator("#first-run [aria-current=step]")
        expect(now).to_contain_text("Pick a person")
        now.get_by_role("button").click()
        for place_of, name in ((2, "Ida Rot"), (4, "Bo Blau")):
            teach(page, name)
            expect(page.locator("#try-it")).to_be_visible()
            expect(page.locator("#first-run .cl-done")).to_have_count(place_of)
            if place_of == 2:
                page.locator("#try-it").click()
                page.locator("#draw").click()
                expect(page.locator("#first-run .cl-done")).to_have_count(3)
                open_tab(page, "Add concept")
        open_tab(page, "Timeline")
        expect(page.locator("#first-run nav")).to_have_count(0)
        reload(page)
        expect(page.locator(".cl-chip").first).to_be_visible()
        expect(page.locator("#first-run nav")).to_have_count(0)
        page.context.close()


def test_the_first_run_can_be_skipped(browser: Browser, url: str) -> None:
    page = new_page(browser, knows_the_page=False)
    page.goto(url)
    page.locator("#first-run").get_by_role("button", name="Skip").click()
    expect(page.locator("#first-run nav")).to_have_count(0)
    reload(page)
    expect(page.locator("#first-run nav")).to_have_count(0)
    page.context.close()


def test_cleaning_frees_what_is_not_needed(visit: Visit, two_models: tuple[str, Studio, Path]) -> None:
    url, studio, _ = two_models
    page = visit(address=url)
    page.locator("#prompt textarea").fill("a house")
    page.locator("#draw").click()
    expect(page.locator(".cl-made")).to_contain_text("a house")
    page.locator("#settings-open").click()
    free = page.locator("#settings-disk").get_by_role("button", name=re.compile("Free"))
    expect(free.first).to_be_visible()
    page.locator("#settings-disk [data-value=jobs]").click()
    expect(page.get_by_test_id("toast-body")).to_contain_text("free again")
    assert studio.history(1)
    page.context.close()
