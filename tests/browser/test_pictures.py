"""Pictures in, in a real browser: a folder and a zip, cut and described, what is said, and a reload."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from browser.visitor import NEEDS_CHROMIUM, PHONE, Visit, open_tab, overflow, reload
from PIL import Image
from playwright.sync_api import Page, expect

from clora_core.data.pictures import open_pictures
from clora_core.studio.studio import Studio

pytestmark = [*NEEDS_CHROMIUM, pytest.mark.slow]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """kohya's layout: four wide pictures, one with a caption, one that is nearly another; and what systems add."""
    folder, rng = tmp_path / "10_zoe person", np.random.default_rng(4)
    (folder / "__MACOSX").mkdir(parents=True)
    for number in range(3):
        blocks = Image.fromarray(rng.integers(0, 256, (4, 6, 3), dtype=np.uint8))
        blocks.resize((120, 80), Image.Resampling.NEAREST).save(folder / f"{number}.png")
    Image.open(folder / "0.png").save(folder / "again.jpg", quality=60)
    (folder / "1.txt").write_text("in the snow", encoding="utf-8")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "__MACOSX/._0.png").write_bytes(b"x")
    return folder


def drop(page: Page, path: Path) -> None:
    """Drag a file or folder from the desktop onto the drop zone."""
    page.locator("#drop .cl-drop").scroll_into_view_if_needed()
    box = page.locator("#drop .cl-drop").bounding_box()
    assert box
    devtools = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] - 12, "data": data}
    for kind in ("dragEnter", "dragOver", "drop"):
        devtools.send("Input.dispatchDragEvent", {"type": kind, **place})


def test_a_folder_is_dropped_cut_described_and_comes_back_after_a_reload(
    visit: Visit, studio: Studio, folder: Path
) -> None:
    page = visit()
    open_tab(page, "Add concept")
    expect(page.locator("#start")).to_be_disabled()
    expect(page.locator("#start-note")).to_contain_text("3 pictures and a name")
    drop(page, folder)
    expect(page.locator(".cl-checked li")).to_have_count(4)
    said = page.locator(".cl-checked")
    expect(said).to_contain_text("10 repeats")
    expect(said).to_contain_text("again.jpg is nearly the same as 0.png")
    expect(said).to_contain_text("1 caption read")
    expect(page.get_by_label("Name", exact=True)).to_have_value("zoe")
    expect(page.get_by_label("Token", exact=True)).to_have_value("<zoe>")
    expect(page.locator("#start")).to_be_enabled()
    expect(page.locator("#estimate")).to_contain_text("About")

    page.get_by_label("Edit 1.png").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("textarea")).to_have_value("in the snow")
    expect(dialog.locator("output")).to_have_text("a photo of <zoe>, in the snow")
    dialog.locator("textarea").fill("<zoe> asleep")
    expect(dialog.locator("output")).to_have_text("<zoe> asleep")
    canvas = dialog.locator(".cl-edit-stage canvas")
    canvas.focus()
    for _ in range(40):
        canvas.press("ArrowLeft")
    dialog.get_by_role("button", name="Use it like this").click()
    expect(dialog).to_have_count(0)
    cut = page.locator(".cl-checked li", has_text="1.png")
    expect(cut).to_contain_text("cropped")
    expect(cut).to_contain_text("<zoe> asleep")

    page.get_by_label("Edit 2.png").click()
    dialog.get_by_role("button", name="Mask out").click()
    box = canvas.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] * 0.2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] * 0.8, steps=5)
    page.mouse.up()
    dialog.get_by_role("button", name="Use it like this").click()
    expect(page.locator(".cl-checked li", has_text="2.png")).to_contain_text("partly masked")

    reload(page)
    open_tab(page, "Add concept")
    expect(page.locator(".cl-checked li")).to_have_count(4)
    expect(page.locator(".cl-checked li", has_text="1.png")).to_contain_text("cropped")
    expect(page.get_by_label("Name", exact=True)).to_have_value("zoe")
    page.locator("#start").click()
    expect(page.locator("#try-it")).to_be_visible()
    expect(page.locator(".cl-checked li")).to_have_count(0)  # the form is free for the next one
    (card,) = [card for card in studio.timeline(studio.job().timeline_id).cards if card.token == "<zoe>"]
    assert card.picture_count == 4
    image = open_pictures([folder / "1.png"], 16)[0].image
    assert image and image.size == (120, 80)  # what was given is as it was


def test_a_zip_on_a_phone_and_a_part_of_it_is_refused(visit: Visit, folder: Path, tmp_path: Path) -> None:
    (folder / "small.png").write_bytes(b"")
    Image.new("RGB", (12, 12), "red").save(folder / "small.png")
    page = visit(PHONE)
    open_tab(page, "Add concept")
    page.locator("#drop input[name=files]").set_input_files(shutil.make_archive(str(tmp_path / "set"), "zip", folder))
    expect(page.locator(".cl-checked li")).to_have_count(5)
    refused = page.locator(".cl-refused")
    expect(refused).to_contain_text("Too small: 12 x 12 pixels")
    expect(refused.locator("img")).to_have_count(1)
    assert refused.inner_text().count("small.png") == 1 and overflow(page) <= 0
    page.get_by_label("Name", exact=True).fill("日本")
    expect(page.locator("#name-note")).to_contain_text("No token can be made")
    expect(page.locator("#start")).to_be_disabled()
    page.get_by_label("Edit 0.png").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
