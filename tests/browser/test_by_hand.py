"""Two whole ways through the page: with the keyboard alone, and on a phone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from browser.visitor import NEEDS_CHROMIUM, PHONE, Visit, open_tab, overflow
from PIL import Image
from playwright.sync_api import Page, expect

from clora_core.studio.studio import Studio

pytestmark = [*NEEDS_CHROMIUM, pytest.mark.slow]
MOST_STOPS = 40


def tab_to(page: Page, selector: str, keys: str = "Tab") -> None:
    """Press Tab until the element has the focus."""
    for _ in range(MOST_STOPS):
        if page.evaluate("selector => !!document.activeElement.closest(selector)", selector):
            return
        page.keyboard.press(keys)
    raise AssertionError(f"{selector} is not reached within {MOST_STOPS} stops")


def test_keyboard_only_from_the_first_page_to_a_learned_concept(visit: Visit, studio: Studio) -> None:
    page = visit()
    tab_to(page, "[role=tab]", "Shift+Tab")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Add concept")).to_have_attribute("aria-selected", "true")
    tab_to(page, ".cl-sample")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#concept-name input, #concept-name textarea")).not_to_have_value("")
    tab_to(page, "#start")
    page.keyboard.press("Enter")
    expect(page.locator("#try-it")).to_be_visible()
    tab_to(page, "#try-it")
    page.keyboard.press("Enter")
    expect(page.locator("#prompt textarea")).to_be_visible()
    tab_to(page, "#draw")
    page.keyboard.press("Enter")
    expect(page.locator(".cl-made")).to_contain_text("a photo of")
    assert len(studio.timeline(studio.default_timeline()).cards) == 1


def test_a_phone_from_upload_to_picture(visit: Visit, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for number in range(3):
        pixels = rng.integers(0, 256, (96, 72, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((720, 960)).save(tmp_path / f"IMG_{number}.jpg")
    page = visit(PHONE)
    open_tab(page, "Add concept")
    page.locator("#drop input[name=files]").set_input_files(sorted(tmp_path.glob("*.jpg")))
    expect(page.locator(".cl-checked li")).to_have_count(3)
    page.get_by_label("Name", exact=True).fill("Rex")
    expect(page.get_by_label("Token", exact=True)).to_have_value("<rex>")
    assert overflow(page) <= 0
    page.locator("#start").click()
    expect(page.locator("#try-it")).to_be_visible()
    assert overflow(page) <= 0
    page.locator("#try-it").click()
    page.locator("#draw").click()
    picture = page.locator("#stage img").first
    expect(picture).to_be_visible()
    page.wait_for_function("document.querySelector('#stage img').naturalWidth > 0")
    assert overflow(page) <= 0
