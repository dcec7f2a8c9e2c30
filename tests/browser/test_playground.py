"""Looking at pictures in a real browser: large, side by side, dropped for their settings, by keyboard, on a phone."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from browser.visitor import NEEDS_CHROMIUM, PHONE, Visit, overflow, reload
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Page, expect

from clora_core.studio.studio import Studio

pytestmark = [*NEEDS_CHROMIUM, pytest.mark.slow]
LOW = {"width": 1280, "height": 720}
DROP = """
({name, data}) => {
  const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
  const dropped = new DataTransfer();
  dropped.items.add(new File([bytes], name, {type: 'image/png'}));
  for (const kind of ['dragenter', 'dragover', 'drop']) {
    const event = new DragEvent(kind, {bubbles: true, cancelable: true, dataTransfer: dropped});
    document.querySelector('#prompt textarea').dispatchEvent(event);
  }
}
"""


def draw(page: Page, prompt: str) -> None:
    page.locator("#prompt textarea").fill(prompt)
    page.locator("#prompt textarea").press("Enter")
    expect(page.locator(".cl-made")).to_contain_text(prompt)
    expect(page.locator("#draw")).to_be_visible()


def focused(page: Page, what: str) -> str:
    found: str = page.evaluate(f"document.activeElement.{what} || ''")
    return found


def test_the_whole_picture_the_prompt_and_draw_are_seen_without_scrolling(visit: Visit) -> None:
    page = visit(LOW)
    draw(page, "a picture")
    page.evaluate("scrollTo(0, 0)")
    for part in ("#prompt", "#draw", ".cl-shown img"):
        box = page.locator(part).bounding_box()
        assert box and box["y"] >= 0 and box["y"] + box["height"] <= LOW["height"], part
    before = page.locator(".cl-shown img").bounding_box()
    page.locator("#sampling-advanced button").first.click()
    expect(page.locator("#setting-steps")).to_be_visible()
    assert page.locator(".cl-shown img").bounding_box() == before


def test_a_picture_opens_large_and_the_keyboard_is_enough(visit: Visit, studio: Studio) -> None:
    page = visit()
    for name in ("one", "two", "three"):
        draw(page, f"picture {name}")
    expect(page.locator(".cl-wall [data-look]")).to_have_count(3)
    page.locator(".cl-wall [tabindex='0']").focus()
    page.keyboard.press("ArrowRight")
    assert "picture two" in focused(page, "ariaLabel")
    page.keyboard.press("Enter")
    facts = page.locator("#look-acts")
    expect(facts).to_contain_text("picture two")
    page.keyboard.press("ArrowLeft")
    expect(facts).to_contain_text("picture three")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(facts).to_contain_text("picture one")
    page.keyboard.press("+")
    expect(page.locator(".cl-frame")).to_have_class("cl-frame cl-zoomed")
    page.keyboard.press("0")
    expect(page.locator(".cl-frame")).to_have_class("cl-frame")
    page.keyboard.press("c")
    expect(page.locator(".cl-frame .cl-other")).to_be_visible()
    page.locator(".cl-cut").focus()
    page.keyboard.press("Home")  # the slider's own key
    assert page.evaluate("document.querySelector('.cl-frame').style.getPropertyValue('--cut')") == "0%"
    for _ in range(12):  # the focus stays inside
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('#lightbox') !== null")
    page.get_by_role("button", name="Favourite").click()
    expect(page.get_by_role("button", name="Favourite")).to_have_attribute("aria-pressed", "true")
    assert any(path.name in studio.favourites() for path in studio.history(3))
    page.keyboard.press("Escape")
    expect(page.locator("#lightbox")).to_be_hidden()
    expect(page.locator(".cl-favourite")).to_have_count(1)
    assert "picture two" in focused(page, "ariaLabel")
    page.locator("#which-history label").nth(1).click()
    expect(page.locator(".cl-wall figure:not(.cl-favourite)")).to_have_count(0)


def test_a_dropped_picture_brings_its_settings(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    info = PngInfo()
    info.add_text(
        "parameters", "a dog\nSteps: 3, Sampler: Unheard of, CFG scale: 2, Seed: 88, Size: 64x32, Clip skip: 2"
    )
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=info)
    page.evaluate(DROP, {"name": "a.png", "data": base64.b64encode((tmp_path / "a.png").read_bytes()).decode()})
    expect(page.locator("#prompt textarea")).to_have_value("a dog")
    expect(page.locator("#seed input")).to_have_value("88")
    expect(page.locator("#lock-seed input")).to_be_checked()
    said = page.get_by_test_id("toast-body")
    expect(said).to_contain_text("Unheard of")
    expect(said).to_contain_text("Clip skip")
    page.locator("#draw").click()
    expect(page.locator(".cl-made")).to_contain_text("seed 88")
    Image.new("RGB", (8, 8)).save(tmp_path / "b.png")
    page.locator("#prompt-menus input[type=file]").set_input_files(tmp_path / "b.png")
    expect(page.get_by_text("carries no settings").first).to_be_visible()


def test_drawing_by_keyboard_keeps_the_focus_and_the_prompts(visit: Visit) -> None:
    page = visit()
    prompt = page.locator("#prompt textarea")
    draw(page, "the first")
    draw(page, "the second")
    before = page.locator(".cl-made").inner_text()
    page.locator("#draw").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".cl-made")).not_to_have_text(before)
    expect(page.locator(".cl-drawing")).to_have_count(0)
    expect(page.locator("#draw")).to_be_visible()
    page.wait_for_function("document.activeElement.id === 'draw'")
    prompt.fill("the third")
    page.locator("#seed input").focus()
    page.keyboard.press("Control+Enter")
    expect(page.locator(".cl-made")).to_contain_text("the third")
    expect(page.locator("#draw")).to_be_visible()
    prompt.fill("half")
    prompt.press("ArrowUp")
    expect(prompt).to_have_value("the third")
    prompt.press("ArrowUp")
    expect(prompt).to_have_value("the second")
    prompt.press("ArrowDown")
    prompt.press("ArrowDown")
    expect(prompt).to_have_value("half")
    reload(page)
    page.locator("#recent summary").click()
    expect(page.locator("#recent [data-prompt]").first).to_have_text("the third")


def test_a_phone_from_prompt_to_picture(visit: Visit) -> None:
    page = visit(PHONE)
    for part in ("#as-of, #prompt", "#pictures", "#seed"):
        box, stage = page.locator(part).first.bounding_box(), page.locator("#stage").bounding_box()
        assert box and stage and box["y"] < stage["y"]
    page.locator("#prompt textarea").fill("a house")
    page.locator("#draw").tap() if page.evaluate("'ontouchstart' in window") else page.locator("#draw").click()
    picture = page.locator(".cl-shown img")
    expect(page.locator(".cl-made")).to_contain_text("a house")
    expect(picture).to_be_in_viewport()
    assert overflow(page) <= 0
    assert page.evaluate("document.documentElement.scrollHeight") <= 4 * PHONE["height"]
    picture.click()
    expect(page.locator("#look-acts")).to_contain_text("a house")
    for part in (".cl-front", "[data-do=close]", "[data-act=use]"):
        expect(page.locator(part)).to_be_in_viewport()
    assert overflow(page) <= 0


def test_what_is_in_front_follows_the_timeline(visit: Visit, studio: Studio) -> None:
    page = visit()
    draw(page, "only here")
    other = studio.new_timeline("Another")
    reload(page)
    expect(page.locator(".cl-made")).to_have_count(1)
    page.get_by_role("tab", name="Timeline").click()
    page.locator("#timeline input").click()
    page.get_by_role("option", name="Another").click()
    page.get_by_role("tab", name="Playground").click()
    expect(page.locator(".cl-made")).to_have_count(0)
    expect(page.locator(".cl-ready").first).to_be_visible()
    assert studio.timeline(other).cards == ()


def test_all_that_was_drawn_is_saved_at_once(visit: Visit, studio: Studio) -> None:
    page = visit()
    draw(page, "one alone")
    expect(page.get_by_role("button", name="Save all")).to_have_count(0)
    page.locator("#pictures label").nth(1).click()
    draw(page, "two of them")
    saved: list[str] = []
    page.on("download", lambda download: saved.append(download.suggested_filename))
    page.get_by_role("button", name="Save all 2").click()
    while len(saved) < 2:
        page.wait_for_event("download")
    assert sorted(saved) == sorted(path.name for path in studio.history(2))
