"""axe-core finds nothing on any tab, panel and question, in either theme, on desktop and phone."""

from __future__ import annotations

import pytest
from browser.visitor import DESKTOP, NEEDS_CHROMIUM, PHONE, TABS, Visit, open_tab, teach
from playwright.sync_api import Page, expect

Axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is missing").Axe

pytestmark = [*NEEDS_CHROMIUM, pytest.mark.slow]
RULES = {
    "resultTypes": ["violations"],
    "rules": {"label-content-name-mismatch": {"enabled": True}},  # experimental in axe, and a finding of ours
}
PANELS = {"#help-open": "#help-panel", "#settings-open": "#settings-panel", ".cl-model": "#model-panel"}


def faults(page: Page) -> list[str]:
    """What axe has against the page as it stands: rule, help, and where."""
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{fault['id']}: {node['target']} {node['html'][:160]}" for fault in found for node in fault["nodes"]]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(visit: Visit, url: str, size: dict[str, int], theme: str) -> None:
    page = visit(size, address=f"{url}?__theme={theme}")
    found = {}
    for name in TABS:
        open_tab(page, name)
        found[f"{name}, empty"] = faults(page)
    for person in ("Ida Rot", "Bo Blau"):
        teach(page, person)
        expect(page.locator("#try-it")).to_be_visible()
        found[f"lesson of {person}"] = faults(page)
        page.locator("#another").click()
        expect(page.locator("#start")).to_be_visible()
    open_tab(page, "Playground")
    page.locator("#prompt textarea").fill("a photo of <ida-rot>")
    page.locator("#draw").click()
    expect(page.locator(".cl-wall [data-look]").first).to_be_visible()
    expect(page.locator("#draw")).to_be_visible()
    page.locator("#sampling-advanced button").first.click()
    page.locator("#grid button").first.click()
    page.locator("#grid-down-values textarea").fill("0, 1.5")
    page.locator("#draw-grid").click()
    expect(page.locator("#grid-board button")).to_have_count(8)
    expect(page.locator("#draw-grid")).to_be_visible()
    for name in TABS:
        open_tab(page, name)
        page.wait_for_timeout(300)  # colours fade for a moment, and axe would measure them half way
        found[name] = faults(page)
    for opener, panel in PANELS.items():
        page.locator(opener).click()
        expect(page.locator(panel)).to_be_visible()
        page.wait_for_timeout(300)
        found[panel] = faults(page)
        page.keyboard.press("Escape")
        expect(page.locator(panel)).to_be_hidden()
    open_tab(page, "Playground")
    page.locator(".cl-wall [data-look]").first.click()
    expect(page.locator("#look-acts")).to_contain_text("a photo of")
    page.wait_for_timeout(300)
    found["a picture, large"] = faults(page)
    said = [f"{place}: {fault}" for place, faults_there in found.items() for fault in faults_there]
    assert said == [], "\n".join(said)
