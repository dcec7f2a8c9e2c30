"""Write the pictures of the page in docs/pictures, with the real app.

    python scripts/screenshots.py                      the embedded model: the four pictures that README shows
    python scripts/screenshots.py --all --out DIR      every tab, desktop and phone width, light and dark, to look at
    python scripts/screenshots.py --assets DIR         another model and other timelines

Starts from the shipped example timeline in a home folder of its own, draws a few pictures, with --all teaches one
sample person, and takes the pictures on the way. Needs Playwright and Chromium.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from browser.visitor import CHROMIUM, DESKTOP, PHONE, open_tab  # noqa: E402
from playwright.sync_api import Browser, Page, expect, sync_playwright  # noqa: E402
from tiny.served import served  # noqa: E402

from clora_core.disk import ASSETS  # noqa: E402
from clora_core.studio.studio import Studio  # noqa: E402

LEARN_MS = 900_000
MAX_BYTES = 150_000  # a picture in docs, see tests/test_docs.py
SHOWN = [("", DESKTOP, 1.0, "light")]  # what README shows: playground.webp, add.webp, ...
LOOKS = [
    (f"-{width}-{theme}", size, scale, theme)
    for width, size, scale in (("desktop", DESKTOP, 1.0), ("phone", PHONE, 1.5))
    for theme in ("light", "dark")
]


def visit(browser: Browser, url: str, size: dict[str, int], scale: float, theme: str) -> Page:
    """A new visitor with this screen and theme, the page loaded and the model ready."""
    context = browser.new_context(viewport=size, device_scale_factor=scale)  # type: ignore[arg-type]
    page = context.new_page()
    page.add_init_script("localStorage['clora-first-run'] = '5'")  # no guided first run
    page.goto(f"{url}?__theme={theme}")
    expect(page.locator("#chips :is(.cl-chip, .cl-empty)").first).to_be_visible(timeout=60_000)
    expect(page.locator("#model")).to_contain_text("ready", timeout=120_000)
    return page


def shoot(page: Page, path: Path) -> None:
    """The whole page as a WebP file of less than ``MAX_BYTES``, once every picture on it is there."""
    page.evaluate("for (const i of document.images) i.loading = 'eager'")
    page.wait_for_function("[...document.images].every(i => i.complete)")
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement?.blur()")
    picture = Image.open(io.BytesIO(page.screenshot(full_page=True, animations="disabled"))).convert("RGB")
    for quality in range(80, 0, -5):
        picture.save(path, quality=quality, method=6)
        if path.stat().st_size < MAX_BYTES:
            break
    print(path)


def draw_some(page: Page) -> None:
    """A small history: the ideas of the menu, and one batch of four."""
    for idea in page.locator("#ideas .cl-idea").all()[:3]:
        page.locator("#ideas summary").click()
        idea.click()
        prompt = page.locator("#prompt textarea").input_value()
        page.locator("#draw").click()
        expect(page.locator(".cl-made")).to_contain_text(prompt, timeout=120_000)
        expect(page.locator("#draw")).to_be_visible()
    page.locator("#pictures").get_by_text("4", exact=True).click()
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


def take(studio: Studio, url: str, out: Path, everything: bool) -> None:
    """The tabs in the order of a first visit. everything: in every look, and while something is learned, too."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        first = visit(browser, url, DESKTOP, 1.0, "light")
        if everything:
            shoot(first, out / "first-start.webp")
        draw_some(first)
        looks = LOOKS if everything else SHOWN
        pages = {look: visit(browser, url, size, scale, theme) for look, size, scale, theme in looks}
        for look, page in pages.items():
            page.locator(".cl-wall [data-look]").first.click()
            page.locator("[data-act=use]").click()  # its prompt and settings, too
            expect(page.locator("#lock-seed input")).to_be_checked()
            shoot(page, out / f"playground{look}.webp")
            fill_form(page)
            shoot(page, out / f"add{look}.webp")
            open_tab(page, "Timeline")
            expect(page.locator("#cards")).to_be_visible()
            shoot(page, out / f"timeline{look}.webp")
            open_tab(page, "Compare")
            expect(page.locator("#versus tbody tr").first).to_be_visible()
            shoot(page, out / f"compare{look}.webp")
        if everything:
            take_learning(first, pages, out)
        browser.close()


def take_learning(first: Page, pages: dict[str, Page], out: Path) -> None:
    """A lesson begun by the first visitor, as all see it, and what the first one sees at its end."""
    fill_form(first)
    first.locator("#start").click()
    expect(first.locator(".cl-growth .cl-strip img").first).to_be_visible(timeout=LEARN_MS)
    for look, page in pages.items():
        open_tab(page, "Add concept")
        expect(page.locator("#curves svg").first).to_be_visible()
        shoot(page, out / f"learning{look}.webp")
        page.context.close()  # more pages would take their share of the processor
    expect(first.locator("#try-it")).to_be_visible(timeout=LEARN_MS)
    shoot(first, out / "learned-desktop-light.webp")
    first.set_viewport_size(PHONE)  # type: ignore[arg-type]
    shoot(first, out / "learned-phone-light.webp")


def main() -> None:
    """Serve the app on a new home folder and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--assets", type=Path, default=ASSETS, help="base/ and timelines/ to show")
    parser.add_argument("--all", action="store_true", help="every tab, width and theme, each under its own name")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        studio = Studio.open(home, assets=options.assets)
        with served(studio, home, options.assets) as url:
            studio.warm_up()
            take(studio, url, options.out, options.all)


if __name__ == "__main__":
    main()
