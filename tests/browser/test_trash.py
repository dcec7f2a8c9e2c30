"""Rename, delete, bring back, bring in, export: as a visitor does it."""

from __future__ import annotations

import re
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from browser.visitor import NEEDS_CHROMIUM, PHONE, Visit, open_tab, reload
from diffusers import UNet2DConditionModel
from playwright.sync_api import Page, expect
from safetensors.torch import save_file
from tiny.concepts import tiny_concept

from clora_core.concepts import Concept
from clora_core.jobs.requests import LearnRequest
from clora_core.store.store import ConceptStore
from clora_core.studio.studio import Studio

pytestmark = [*NEEDS_CHROMIUM, pytest.mark.slow]


def taught(studio: Studio, place: Path, name: str, method: str, *people: str) -> str:
    """A timeline with these people, not learned but put there; the newest, so that a visitor sees it."""
    store = ConceptStore(place / "home")
    timeline_id = store.create(store.free_title(name), studio.base.id, "Tiny", method)
    for person in people:
        before = store.load(timeline_id, studio.base.id)
        concept = replace(tiny_concept(person, len(before.concepts) + 1), token=f"<{person.lower()}>")
        store.append(before, concept)
    return timeline_id


def cards(page: Page) -> list[str]:
    return page.locator(".cl-card-title b").all_inner_texts()


def at(page: Page, person: str, button: str) -> None:
    page.locator(".cl-card").filter(has_text=person).get_by_role("button", name=button).click()


def test_rename_delete_and_back(visit: Visit, studio: Studio, place: Path) -> None:
    taught(studio, place, "Routed people", "routed", "Ann", "Bob", "Cy")
    page = visit()
    open_tab(page, "Timeline")
    at(page, "Cy", "Rename")
    name = page.locator("#other-name input, #other-name textarea")
    expect(name).to_be_focused()
    name.fill("Cyrus")
    name.press("Enter")
    expect(page.locator(".cl-card").last).to_contain_text("Cyrus")
    expect(page.locator(".cl-card").last).to_contain_text("<cy>")
    page.locator("#rename-timeline").click()
    name.fill("My routed people")
    page.locator("#rename-yes").click()
    expect(page.locator("#timeline input")).to_have_value(re.compile("My routed people · 3"))

    at(page, "Bob", "Delete")
    expect(page.locator(".cl-card")).to_have_count(2)
    page.locator("#snack").get_by_role("button", name="Bring it back").click()
    expect(page.locator(".cl-card")).to_have_count(3)
    assert cards(page) == ["Ann", "Bob", "Cyrus"]
    expect(page.locator("#snack .cl-snack")).to_have_count(0)

    at(page, "Ann", "Delete")
    expect(page.locator(".cl-card")).to_have_count(2)
    page.locator("#delete-timeline").click()
    expect(page.locator("#timeline input")).not_to_have_value(re.compile("My routed people"))
    page.locator("#trash button").first.click()
    page.get_by_role("button", name="Restore My routed people").click()
    expect(page.locator("#timeline input")).to_have_value(re.compile("My routed people · 2"))
    page.get_by_role("button", name="Restore Ann").click()
    expect(page.locator("#timeline input")).to_have_value(re.compile("My routed people · 3"))
    expect(page.locator(".cl-card")).to_have_count(3)  # the header says it first
    assert cards(page) == ["Ann", "Bob", "Cyrus"]

    page.locator("#delete-timeline").click()
    expect(page.locator("#timeline input")).not_to_have_value(re.compile("My routed people"))
    page.locator("#trash-empty").click()
    page.locator("#empty-yes").click()
    expect(page.locator("#trash")).to_be_hidden()
    assert studio.trash.items() == []


def test_what_others_stand_on_is_answered_with_a_branch(visit: Visit, studio: Studio, place: Path) -> None:
    taught(studio, place, "Stacked people", "clora", "Ann", "Bob", "Cy")
    page = visit(PHONE)
    open_tab(page, "Timeline")
    at(page, "Bob", "Delete")
    expect(page.locator("#ask-name")).to_contain_text("Bob cannot leave")
    expect(page.locator("#new-name input, #new-name textarea")).to_be_focused()
    expect(page.locator("#ask-name")).to_be_in_viewport()
    page.locator("#create-timeline").click()
    expect(page.locator("#timeline input")).to_have_value(re.compile("Stacked people without Bob · 1 concept"))
    expect(page.locator(".cl-card")).to_have_count(1)
    assert cards(page) == ["Ann"]
    at(page, "Ann", "Delete")  # the last one is undone
    expect(page.locator("#cards")).to_contain_text("Undone, ready to come back")
    page.locator("#snack").get_by_role("button", name="Bring it back").click()
    expect(page.locator(".cl-card")).to_have_count(1)


def test_a_lora_comes_in_as_a_concept(visit: Visit, studio: Studio, tmp_path: Path) -> None:
    studio.new_timeline("From elsewhere")
    layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    width = UNet2DConditionModel.load_config(studio.base.path, subfolder="unet")
    shapes = {"up": (width["block_out_channels"][0], 2), "down": (2, width["cross_attention_dim"])}
    tensors = {f"{layer}.lora_{end}.weight": torch.ones(shape) for end, shape in shapes.items()}
    tensors["lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight"] = torch.ones(1, 1)
    save_file(tensors, tmp_path / "Kim.safetensors")
    page = visit()
    open_tab(page, "Timeline")
    page.locator("#bring").click()
    page.locator("#bring-lora input[type=file]").set_input_files(tmp_path / "Kim.safetensors")
    expect(page.locator("#bring-found")).to_contain_text("1 matrix of the text encoder")
    page.locator("#bring-word input, #bring-word textarea").fill("photo")
    page.locator("#bring-leave-out input").check()
    page.locator("#bring-go").click()
    expect(page.locator(".cl-card").last).to_contain_text("brought in from Kim.safetensors, no pictures")
    expect(page.locator("#ask-bring")).to_be_hidden()


def test_export_gives_one_file(visit: Visit, studio: Studio, tmp_path: Path) -> None:
    page = visit()
    timeline_id = studio.default_timeline()
    open_tab(page, "Timeline")
    page.locator("#export").click()
    expect(page.locator("#export-status")).to_contain_text("nothing to export")
    expect(page.locator("#export-go")).to_be_hidden()
    page.keyboard.press("Escape")
    sample = studio.samples()[0]
    config = studio.base.train.updated({"steps": 2, "preview_every_seconds": 0.0})
    studio.wait(studio.learn(LearnRequest(timeline_id, Concept("Ida", sample.token, sample.pictures), config)), 60)
    reload(page)
    open_tab(page, "Timeline")
    page.locator("#export").click()
    page.locator("#export-go").click()
    expect(page.locator("#export-status")).to_contain_text("Proved")
    expect(page.locator("#export-usage")).to_contain_text("<lora:")
    with page.expect_download() as download:
        page.locator("#export-download").click()
    download.value.save_as(tmp_path / "made.zip")
    with zipfile.ZipFile(tmp_path / "made.zip") as archive:
        assert {Path(name).suffix for name in archive.namelist()} >= {".safetensors", ".txt"}


def test_a_picture_is_deleted_where_it_is_looked_at(visit: Visit, studio: Studio) -> None:
    page = visit()
    page.locator("#prompt textarea").fill("a picture")
    page.locator("#prompt textarea").press("Enter")
    expect(page.locator(".cl-wall [data-look]")).to_have_count(1)
    (path,) = studio.history()
    page.locator(".cl-wall [data-look]").click()
    page.locator("#look-acts").get_by_role("button", name="Delete").click()
    back = page.locator("#look-acts").get_by_role("button", name="Bring it back")
    expect(back).to_be_visible()
    expect(page.locator(".cl-wall [data-look]")).to_have_count(0)
    assert not path.exists()
    back.click()
    expect(page.locator(".cl-wall [data-look]")).to_have_count(1)
    expect(page.locator("#look-acts").get_by_role("button", name="Delete")).to_be_visible()
    page.locator("#look-acts").get_by_role("button", name="Delete").click()
    expect(back).to_be_visible()
    page.keyboard.press("Escape")
    open_tab(page, "Timeline")
    page.locator("#trash button").first.click()
    page.locator("#trash-list").get_by_role("button", name="Restore").click()
    expect(page.locator("#trash")).to_be_hidden()
    open_tab(page, "Playground")
    expect(page.locator(".cl-wall [data-look]")).to_have_count(1)
    assert studio.history() == [path]
