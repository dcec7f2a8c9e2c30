"""How fast the app feels: ``python scripts/felt.py --out FILE`` adds a line to FILE (docs/results/felt.jsonl).

Starts ``python app.py`` on a new home folder, opens the page in a headless Chromium, presses Draw at once, and counts
what a first visit costs with sixty pictures in the history. Then draws and learns in this process. Seconds are of the
clock, but for ``cpu``: those of the processor, which other work on the machine hardly moves. Needs Playwright, Chromium
and an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import httpx  # noqa: E402
from browser.visitor import CHROMIUM, DESKTOP  # noqa: E402
from playwright.sync_api import Browser, Page, Response, expect, sync_playwright  # noqa: E402

from clora_core.disk import ASSETS, append_line  # noqa: E402

HISTORY = 60
WAIT_MS = 300_000
DRAWN, STEPS = 5, 20  # of which the median is taken


@contextmanager
def app(home: Path, port: int) -> Iterator[str]:
    """``python app.py`` on this home, and its address; it may not answer yet."""
    command = [sys.executable, "app.py", "--home", str(home), "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(60)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def answered(url: str) -> None:
    while True:
        try:
            if httpx.get(url, trust_env=False, timeout=60).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.05)


def usable(page: Page, url: str) -> None:
    page.set_default_timeout(WAIT_MS)
    page.goto(url)
    expect(page.locator("#chips :is(.cl-chip, .cl-empty)").first).to_be_visible(timeout=WAIT_MS)


def first_minute(browser: Browser, home: Path) -> dict[str, Any]:
    """Seconds from the command to the first answer, to a page that can be used, and to the first picture."""
    began = time.monotonic()
    with app(home, free_port()) as url:
        answered(url)
        found = {"answer": time.monotonic() - began}
        page = browser.new_page(viewport=DESKTOP)  # type: ignore[arg-type]
        usable(page, url)
        found["page"] = time.monotonic() - began
        page.locator("#draw").click()
        expect(page.locator(".cl-shown img").first).to_be_visible(timeout=WAIT_MS)
        found["picture"] = time.monotonic() - began
        page.close()
    return {f"seconds_to_{name}": round(seconds, 1) for name, seconds in found.items()}


def visits(browser: Browser, home: Path) -> dict[str, Any]:
    """Requests and megabytes (as sent) of a first visit and of a reload, with a full history."""
    drawn = next((home / "pictures").glob("*.png"))
    for number in range(1, HISTORY):
        shutil.copyfile(drawn, drawn.with_stem(f"{drawn.stem}-{number:02d}"))
    found: dict[str, Any] = {}
    with app(home, free_port()) as url:
        answered(url)
        context = browser.new_context(viewport=DESKTOP)  # type: ignore[arg-type]
        page, seen = context.new_page(), []
        page.on("response", lambda response: seen.append(response))
        for visit in ("cold", "warm"):
            seen.clear()
            began = time.monotonic()
            usable(page, url) if visit == "cold" else page.reload()
            expect(page.locator(".cl-wall button").first).to_be_visible(timeout=WAIT_MS)
            found[f"{visit}_seconds"] = round(time.monotonic() - began, 1)
            page.wait_for_timeout(2000)
            fetched = [response for response in seen if not response.url.startswith("data:")]
            found[f"{visit}_requests"] = len(fetched)
            found[f"{visit}_megabytes"] = round(sum(map(sent, fetched)) / 1e6, 2)
        context.close()
    return found


def sent(response: Response) -> int:
    """Bytes of a response on the wire; 0 for one out of the browser's cache, or that never ends."""
    try:
        sizes = response.request.sizes()
    except Exception:  # Playwright knows no size of a stream
        return 0
    return int(sizes["responseBodySize"]) + int(sizes["responseHeadersSize"])


def work() -> dict[str, Any]:
    """A picture and a learning step of the embedded model with its preset: seconds, and seconds of the processor."""
    from clora_core.concepts import Concept, Timeline
    from clora_core.drawing.generate import generate
    from clora_core.learning.trainer import train_concept
    from clora_core.models.description import read_base
    from clora_core.models.loading import load_backbone

    began = time.process_time()
    base = read_base(ASSETS / "base")
    backbone = load_backbone(base.path, "cpu")
    found: dict[str, Any] = {"load_cpu": time.process_time() - began}
    timeline, sampling = Timeline("felt", "Felt", base.id), replace(base.sampling, pictures=1)
    generate(backbone, timeline, "a photo of a man", sampling)
    spent = [clocked(lambda: generate(backbone, timeline, "a photo of a man", sampling)) for _ in range(DRAWN)]
    found |= medians("picture", spent)
    pictures = tuple(sorted((ASSETS / "base" / "people" / "ada").glob("*.png")))
    with train_concept(backbone, Concept("Ada", "<ada>", pictures), timeline, base.train) as training:
        next(training)  # the first encodes the pictures
        found |= medians("step", [clocked(lambda: next(training)) for _ in range(STEPS)])
    return {name: round(value, 3) for name, value in found.items()}


def clocked(call: Any) -> tuple[float, float]:
    """Seconds and processor's seconds of a call."""
    began, spent = time.monotonic(), time.process_time()
    call()
    return time.monotonic() - began, time.process_time() - spent


def medians(name: str, spent: list[tuple[float, float]]) -> dict[str, float]:
    seconds, cpu = zip(*spent, strict=True)
    return {f"{name}_seconds": statistics.median(seconds), f"{name}_cpu": statistics.median(cpu)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, help="a .jsonl file to which the line is added")
    parser.add_argument("--only", choices=("page", "work"), help="the page alone, or drawing and learning alone")
    parser.add_argument("--note", default="", help="what was measured, for example a commit")
    chosen = parser.parse_args()
    facts: dict[str, Any] = {"note": chosen.note, "cpus": os.cpu_count(), "machine": platform.machine()}
    facts["threads"] = os.environ.get("OMP_NUM_THREADS", "all")
    if chosen.only != "work":
        with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            facts |= first_minute(browser, Path(folder))
            facts |= visits(browser, Path(folder))
            browser.close()
    if chosen.only != "page":
        facts |= work()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    facts["load"] = load and round(load, 1)
    print(json.dumps(facts, indent=1))
    if chosen.out:
        append_line(chosen.out, facts)


if __name__ == "__main__":
    main()
