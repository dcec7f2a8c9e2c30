"""Grid and strength in a real browser: drawn, looked into, downloaded, brought back."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser.visitor import NEEDS_CHROMIUM, Visit, overflow, reload
from PIL import Image
from playwright.sync_api import Page, expect

from clora_core.concepts import Concept
from clora_core.drawing.png_settings import read_settings
from clora_core.jobs.requests import LearnRequest
from clora_core.studio.studio import Studio

pytestmark = [*NEEDS_CHROMIUM, pytest.mark.slow]


def taught(studio: Studio) -> str:
    """The token of a person taught in the newest timeline."""
    sample = studio.samples()[0]
    concept = Concept(sample.name, sample.token, sample.pictures)
    fast = {"preview_every_seconds": 0.0, "learning_rate": 0.05}
    request = LearnRequest(studio.default_timeline(), concept, studio.base.train_with(fast))
    assert studio.wait(studio.learn(request), 120).state == "done"
    return sample.token


def strength(page: Page, value: str) -> None:
    number = page.locator("#strength-1 input[type=number]")
    number.fill(value)
    number.press("Tab")


def pixels(path: Path) -> bytes:
    with Image.open(path) as image:
        return image.tobytes()


def test_strengths_of_0_and_of_a_half_more_differ_and_come_back(visit: Visit, studio: Studio) -> None:
    page = visit()
    token = taught(studio)
    reload(page)
    prompt = page.locator("#prompt textarea")
    prompt.fill("a photo")
    page.locator("#sampling-advanced button").first.click()
    expect(page.locator("#strength-1")).to_be_hidden()
    prompt.fill(f"a photo of {token}")
    expect(page.locator("#strength-1")).to_contain_text(token)
    page.locator("#lock-seed input").check()
    for drawn, value in enumerate(("0", "1.5"), start=1):
        strength(page, value)
        page.locator("#draw").click()
        expect(page.locator(".cl-wall [data-look]")).to_have_count(drawn)
        expect(page.locator("#draw")).to_be_visible()
    weak, strong = reversed(studio.history(2))
    assert read_settings(weak)["strengths"] == {token: 0} and read_settings(strong)["strengths"] == {token: 1.5}
    assert pixels(weak) != pixels(strong)
    page.locator(".cl-wall button").nth(1).click()
    page.get_by_role("button", name="Use these settings").click()
    expect(page.locator("#strength-1 input[type=number]")).to_have_value("0")


def test_a_grid_is_drawn_downloaded_and_brought_back(visit: Visit, studio: Studio, tmp_path: Path) -> None:
    page = visit()
    token = taught(studio)
    reload(page)
    page.locator("#prompt textarea").fill(f"a photo of {token}")
    page.locator("#grid button").first.click()
    page.locator("#grid-across-values textarea").fill("5-7")
    page.locator("#grid-down-values textarea").fill("0, 1.5")
    expect(page.locator("#grid-said")).to_contain_text("6 pictures")
    page.locator("#draw-grid").click()
    expect(page.locator("#grid-board button")).to_have_count(6)
    expect(page.locator("#grid-board tbody th")).to_have_text(["Strength 0", "Strength 1.5"])
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Save as one PNG").click()
    sheet = tmp_path / "sheet.png"
    waiting.value.save_as(sheet)
    found = read_settings(sheet)
    assert found["axes"] == {"seed": [5, 6, 7], "strength": [0.0, 1.5]} and found["prompt"] == f"a photo of {token}"
    with Image.open(sheet) as image:
        assert image.width > 3 * 32 and image.height > 2 * 32
    assert overflow(page) <= 0
    page.locator("#grid-board button").nth(5).click()
    page.get_by_role("button", name="Use these settings").click()
    expect(page.locator("#lightbox")).to_be_hidden()
    expect(page.locator(".cl-made")).to_contain_text("seed 7")
    expect(page.locator("#seed input")).to_have_value("7")
    page.locator("#grid-across-values textarea").fill("1")
    page.locator(".cl-wall button").first.click()
    page.get_by_role("button", name="Use these settings").click()
    expect(page.locator("#grid-across-values textarea")).to_have_value("5, 6, 7")


def test_a_grid_that_cannot_be_is_refused_where_it_is_typed(visit: Visit, studio: Studio) -> None:
    page = visit()
    page.locator("#prompt textarea").fill("a photo")
    page.locator("#grid button").first.click()
    page.locator("#grid-across-values textarea").fill("1-50")
    page.locator("#grid-down-values textarea").fill("0, 1.5 [9]")
    expect(page.locator("#grid-said")).to_contain_text("1.5 [9]")
    page.locator("#grid-down-values textarea").fill("0-1.5 [9]")
    expect(page.locator("#grid-said")).to_contain_text("100")
    page.locator("#draw-grid").click()
    expect(page.locator(".toast-body").first).to_contain_text("100")
