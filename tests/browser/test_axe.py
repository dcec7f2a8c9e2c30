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


STILL = "*, ::before, ::after { transition: none !important; }"  # colours that fade would be measured half way


def faults(page: Page) -> list[str]:
    """What axe has against the page as it stands, on phone and desktop, light and dark: rule, and where."""
    said = []
    for size in (PHONE, DESKTOP):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        for theme in ("light", "dark"):
            page.evaluate("theme => cloraLook(theme)", theme)
            for fault in Axe().run(page, options=RULES).response["violations"]:
                where = [f"{node['target']} {node['html'][:160]}" for node in fault["nodes"]]
                said += [f"{theme}, {size['width']} px, {fault['id']}: {place}" for place in where]
    return said


def test_axe_finds_nothing(visit: Visit) -> None:
    page = visit()
    page.add_style_tag(content=STILL)
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
        found[name] = faults(page)
    for opener, panel in PANELS.items():
        page.locator(opener).click()
        expect(page.locator(panel)).to_be_visible()
        found[panel] = faults(page)
        page.keyboard.press("Escape")
        expect(page.locator(panel)).to_be_hidden()
    open_tab(page, "Playground")
    page.locator(".cl-wall [data-look]").first.click()
    expect(page.locator("#look-acts")).to_contain_text("a photo of")
    found["a picture, large"] = faults(page)
    said = [f"{place}: {fault}" for place, faults_there in found.items() for fault in faults_there]
    assert said == [], "\n".join(said)
