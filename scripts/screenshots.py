"""Write docs/*.png: every tab, desktop and phone width, light and dark, with the real app.

    python scripts/screenshots.py                      the embedded model, into docs/
    python scripts/screenshots.py --assets DIR --out DIR

Starts from the shipped example timeline in a home folder of its own, draws a few pictures, teaches one
sample person, and takes the pictures on the way. Needs Playwright and Chromium.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "browser")]

from playwright.sync_api import Browser, Page, expect, sync_playwright  # noqa: E402
from test_page import CHROMIUM, DESKTOP, PHONE, open_tab  # noqa: E402
from tiny.served import served  # noqa: E402

from clora_core.studio.studio import ASSETS, Studio  # noqa: E402

LEARN_MS = 900_000
LOOKS = [
    (f"{width}-{theme}", size, scale, theme)
    for width, size, scale in (("desktop", DESKTOP, 1.0), ("phone", PHONE, 1.5))
    for theme in ("light", "dark")
]


def visit(browser: Browser, url: str, size: dict[str, int], scale: float, theme: str) -> Page:
    """A new visitor with this screen and theme, the page loaded and the model ready."""
    context = browser.new_context(viewport=size, device_scale_factor=scale)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{url}?__theme={theme}")
    expect(page.locator("#chips :is(.cl-chip, .cl-empty)").first).to_be_visible(timeout=60_000)
    expect(page.locator("#model")).to_contain_text("ready", timeout=120_000)
    return page


def shoot(page: Page, out: Path, name: str) -> None:
    """The whole page as ``out``/``name``.png, once every picture on it is there."""
    page.evaluate("for (const i of document.images) i.loading = 'eager'")
    page.wait_for_function("[...document.images].every(i => i.complete)")
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement?.blur()")
    path = out / f"{name}.png"
    page.screenshot(path=path, full_page=True, animations="disabled")
    print(path)


def draw_some(page: Page) -> None:
    """A small history: the ideas under the prompt, and one batch of four."""
    for idea in page.locator(".cl-idea").all()[:3]:
        idea.click()
        prompt = page.locator("#prompt textarea").input_value()
        page.locator("#draw").click()
        expect(page.locator(".cl-made")).to_contain_text(prompt, timeout=120_000)
        expect(page.locator("#draw")).to_be_visible()
    page.locator("#pictures label").last.click()
    page.locator("#draw").click()
    expect(page.locator(".cl-shown figure")).to_have_count(4, timeout=120_000)
    expect(page.locator("#draw")).to_be_visible()


def fill_form(page: Page) -> str:
    """Choose the first sample person that is not learned yet; returns the name."""
    open_tab(page, "Add concept")
    sample = page.locator(".cl-sample:not(.cl-known)").first
    name = sample.inner_text().strip()
    sample.click()
    expect(page.locator(".cl-checked li").first).to_be_visible()
    expect(page.locator("#token-note .cl-good")).to_be_visible()
    return name


def take(studio: Studio, url: str, out: Path) -> None:
    """All pictures, in the order of a first visit."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        first = visit(browser, url, DESKTOP, 1.0, "light")
        shoot(first, out, "first-start")
        draw_some(first)
        pages = {name: visit(browser, url, size, scale, theme) for name, size, scale, theme in LOOKS}
        for name, page in pages.items():
            page.locator(".cl-wall button").first.click()  # its prompt and settings, too
            expect(page.locator("#lock-seed input")).to_be_checked()
            shoot(page, out, f"playground-{name}")
            fill_form(page)
            shoot(page, out, f"add-{name}")
            open_tab(page, "Timeline")
            expect(page.locator("#cards")).to_be_visible()
            shoot(page, out, f"timeline-{name}")
            open_tab(page, "Compare")
            expect(page.locator("#versus tbody tr").first).to_be_visible()
            shoot(page, out, f"compare-{name}")
        fill_form(first)
        first.locator("#start").click()
        expect(first.locator(".cl-growth .cl-strip img").first).to_be_visible(timeout=LEARN_MS)
        for name, page in pages.items():
            open_tab(page, "Add concept")
            expect(page.locator("#curves svg").first).to_be_visible()
            shoot(page, out, f"learning-{name}")
        for page in pages.values():
            page.context.close()  # four more pages would take their share of the processor
        expect(first.locator("#try-it")).to_be_visible(timeout=LEARN_MS)
        shoot(first, out, "learned-desktop-light")
        first.set_viewport_size(PHONE)  # type: ignore[arg-type]
        shoot(first, out, "learned-phone-light")
        browser.close()


def main() -> None:
    """Serve the app on a new home folder and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--assets", type=Path, default=ASSETS, help="base/ and timelines/ to show")
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        studio = Studio.open(home, assets=options.assets)
        with served(studio, home, options.assets) as url:
            studio.warm_up()
            take(studio, url, options.out)


if __name__ == "__main__":
    main()
