"""What a stranger does in the first minute, in a real browser: every tab opens, and a concept is taught and drawn."""

from __future__ import annotations

import pytest
from browser.visitor import DESKTOP, NEEDS_CHROMIUM, PHONE, TABS, Visit, open_tab, overflow, teach
from playwright.sync_api import expect

from clora_core.studio.studio import Studio

pytestmark = NEEDS_CHROMIUM


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_tab_opens_and_nothing_scrolls_sideways(visit: Visit, size: dict[str, int]) -> None:
    page = visit(size)
    for name, inside in zip(TABS, ("#draw", "#start", "#cards", "#compare-headline"), strict=True):
        open_tab(page, name)
        expect(page.locator(inside)).to_be_visible()
        assert overflow(page) <= 0


@pytest.mark.slow
def test_teach_see_prompt(visit: Visit, studio: Studio) -> None:
    page = visit()
    teach(page, "Ida Rot")
    expect(page.locator("#try-it")).to_be_visible()
    expect(page.locator(".cl-verdict")).not_to_be_empty()
    page.locator("#try-it").click()
    prompt = page.locator("#prompt textarea")
    expect(prompt).to_be_visible()
    expect(prompt).to_have_value("a photo of <ida-rot>")
    expect(page.locator(".cl-chip")).to_have_count(1)
    prompt.press("Enter")
    expect(page.locator(".cl-stage")).to_contain_text("a photo of <ida-rot>")
    open_tab(page, "Timeline")
    expect(page.locator(".cl-card")).to_contain_text("Ida Rot")
