"""The page in a real browser (Chromium through Playwright): every tab, phone width, and the main job.

Most run on the tiny model; the longest teach two people on the embedded
model and draw the first. Conditions are waited for, never times.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from browser.app_process import app_process
from browser.visitor import (
    LONG,
    NEEDS_CHROMIUM,
    PHONE,
    WAIT_MS,
    Visit,
    new_page,
    open_tab,
    overflow,
    reload,
    teach,
)
from PIL import Image, ImageOps
from playwright.sync_api import Browser, Page, expect
from tiny.served import served

from clora_core.answers import Sample
from clora_core.concepts import Concept
from clora_core.disk import ASSETS
from clora_core.drawing.png_settings import read_settings
from clora_core.jobs.requests import LearnRequest
from clora_core.studio.studio import Studio

pytestmark = [*NEEDS_CHROMIUM, pytest.mark.slow]

HELD_OUT = (
    Path(__file__).resolve().parents[2] / "assets" / "benchmarks" / "sample" / "held_out"
)  # pictures of the sample people, learned by nothing


def test_the_form_shows_what_the_chosen_method_reads(visit: Visit) -> None:
    page = visit()
    open_tab(page, "Add concept")
    page.locator("#train-advanced button").first.click()
    rank, weight = page.locator("#setting-rank"), page.locator("#setting-penalty_weight")
    expect(rank).to_be_visible()
    expect(page.locator("#setting-replay_pictures")).to_be_hidden()
    page.locator("#setting-method input").click()
    page.get_by_role("option", name="EWC: ").click()
    expect(rank).to_be_hidden()
    expect(weight.locator("input")).to_have_value("1000000")


def test_chips_write_where_the_cursor_stands_and_cards_lead_to_the_playground(visit: Visit, studio: Studio) -> None:
    page = visit()
    teach(page, "Bo Blau")
    expect(page.locator("#try-it")).to_be_visible()
    open_tab(page, "Timeline")
    page.get_by_title("Draw Bo Blau in the Playground").click()
    prompt = page.locator("#prompt textarea")
    expect(prompt).to_have_value("a photo of <bo-blau>")
    prompt.fill("a photo of on a beach")
    prompt.evaluate("box => box.setSelectionRange(10, 10)")
    page.locator(".cl-chip").click()
    expect(prompt).to_have_value("a photo of <bo-blau> on a beach")
    prompt.fill("a photo of <nobody>")
    expect(page.locator("#prompt-notes")).to_contain_text("<nobody>")


def test_history_survives_a_reload_and_brings_settings_back(visit: Visit, studio: Studio) -> None:
    before = len(studio.history(60))
    page = visit()
    prompt, seed = page.locator("#prompt textarea"), page.locator("#seed input")
    page.locator("#lock-seed input").check()
    for number in ("11", "22"):
        prompt.fill(f"picture {number}")
        seed.fill(number)
        prompt.press("Enter")
        expect(page.locator(".cl-made")).to_contain_text(f"seed {number}")
        expect(page.locator("#draw")).to_be_visible()
    reload(page)
    page.locator("#which-history label").last.click()  # of all timelines
    expect(page.locator(".cl-wall [data-look]")).to_have_count(min(24, before + 2))
    page.locator(".cl-wall [data-look]").nth(1).click()
    page.locator("[data-act=use]").click()
    expect(prompt).to_have_value("picture 11")
    expect(seed).to_have_value("11")
    expect(page.locator(".cl-made")).to_contain_text("seed 11")


def test_a_seed_typed_while_a_picture_is_drawn_stays(visit: Visit) -> None:
    page = visit()
    prompt, seed = page.locator("#prompt textarea"), page.locator("#seed input")
    page.locator("#lock-seed input").check()
    prompt.fill("a tall picture")
    seed.fill("11")
    with page.expect_request(lambda asked: "queue/join" in asked.url and ",11,true," in (asked.post_data or "")):
        prompt.press("Enter")
    seed.fill("33")
    expect(page.locator(".cl-made")).to_contain_text("seed 11")
    expect(page.locator("#draw")).to_be_visible()
    expect(seed).to_have_value("33")
    prompt.press("Enter")
    expect(page.locator(".cl-made")).to_contain_text("seed 33")


def test_a_typed_seed_is_kept_without_being_told(visit: Visit) -> None:
    page = visit()
    page.locator("#prompt textarea").fill("a picture")
    page.locator("#seed input").fill("1234")
    expect(page.locator("#lock-seed input")).to_be_checked()
    page.locator("#draw").click()
    expect(page.locator(".cl-made")).to_contain_text("seed 1234")
    expect(page.locator("#seed input")).to_have_value("1234")


def test_a_pasted_text_goes_into_the_inputs_and_minus_one_is_a_new_seed(visit: Visit) -> None:
    page = visit()
    prompt, seed = page.locator("#prompt textarea"), page.locator("#seed input")
    prompt.fill("a tall picture\nNegative prompt: far\nSteps: 1, CFG scale: 2, Seed: 77, Size: 64x32")
    expect(prompt).to_have_value("a tall picture")
    expect(seed).to_have_value("77")
    expect(page.locator("#lock-seed input")).to_be_checked()
    expect(page.get_by_text("they are in their fields now")).to_be_visible()
    prompt.press("Enter")
    expect(page.locator(".cl-made")).to_contain_text("seed 77")
    expect(page.locator(".cl-made")).to_contain_text("1 steps")
    expect(page.locator("#draw")).to_be_visible()
    seed.fill("-1")
    prompt.press("Enter")
    expect(page.locator(".cl-made")).not_to_contain_text("seed 77")
    expect(page.locator("#lock-seed input")).not_to_be_checked()
    expect(seed).not_to_have_value("-1")


def test_try_it_goes_to_the_timeline_it_was_learned_in_and_the_prompt_stays_where_it_fits(
    visit: Visit, studio: Studio
) -> None:
    page = visit()
    teach(page, "Ida Rot")
    expect(page.locator("#try-it")).to_be_visible()
    prompt, timeline = page.locator("#prompt textarea"), page.locator("#timeline input")
    open_tab(page, "Timeline")
    home = timeline.input_value()
    page.locator("#new-timeline").click()
    page.locator("#new-name input, #new-name textarea").fill("Elsewhere")
    page.locator("#new-name input, #new-name textarea").press("Enter")
    expect(timeline).to_have_value(re.compile("Elsewhere"))
    open_tab(page, "Playground")
    prompt.fill("a house by the sea")
    open_tab(page, "Add concept")
    page.locator("#try-it").click()
    expect(prompt).to_have_value("a photo of <ida-rot>")
    expect(page.locator(".cl-chip")).to_have_count(1)
    open_tab(page, "Timeline")
    expect(timeline).to_have_value(home)
    open_tab(page, "Playground")
    prompt.fill("a house by the sea")
    open_tab(page, "Timeline")
    timeline.click()
    page.get_by_role("option", name=re.compile("Elsewhere")).click()
    open_tab(page, "Playground")
    expect(page.locator("#chips")).to_contain_text("Nobody learned")
    expect(prompt).to_have_value("a house by the sea")


def test_a_concept_that_lands_leaves_what_is_being_typed(visit: Visit, studio: Studio) -> None:
    first = studio.samples()[-1]  # Mia
    config = studio.base.train.updated({"steps": 2, "preview_every_seconds": 0.0})
    learning = studio.learn(
        LearnRequest(studio.default_timeline(), Concept(first.name, first.token, first.pictures), config)
    )
    assert studio.wait(learning, WAIT_MS / 1000).state == "done"
    page = visit()
    teach(page, "Ida Rot", steps=LONG["steps"])
    open_tab(page, "Playground")
    as_of = page.locator("#as-of input[type=number]")
    as_of.fill("0")
    as_of.press("Tab")
    page.locator("#prompt textarea").fill("half a sen")
    open_tab(page, "Timeline")
    page.locator("#new-timeline").click()
    name = page.locator("#new-name input, #new-name textarea")
    name.fill("My fam")
    expect(page.locator(".cl-card")).to_have_count(1)
    job = studio.job()
    assert job
    studio.stop(job.id, keep=True)
    expect(page.locator(".cl-card")).to_have_count(2)
    expect(name).to_have_value("My fam")
    expect(name).to_be_visible()
    page.keyboard.press("Escape")
    open_tab(page, "Playground")
    expect(page.locator("#prompt textarea")).to_have_value("half a sen")
    expect(as_of).to_have_value("0")
    expect(page.locator(".cl-chip")).to_have_count(2)


def test_a_running_job_is_there_after_a_reload_and_in_a_second_browser(visit: Visit, studio: Studio) -> None:
    page = visit()
    teach(page, "Mia Gruen", steps=LONG["steps"])
    expect(page.locator("#stop-discard")).to_be_visible()
    reload(page)
    second = visit(PHONE)
    for each in (page, second):
        open_tab(each, "Add concept")
        expect(each.locator("#job")).to_contain_text("Mia Gruen")
        expect(each.locator("#curves svg").first).to_be_visible()
        assert overflow(each) <= 0
    page.locator("#stop-discard").click()
    page.locator("#discard-yes").click()
    for each in (page, second):
        expect(each.locator("#live")).to_be_hidden()
        expect(each.locator("#start")).to_be_visible()
    assert studio.timeline(studio.default_timeline()).cards == ()


def test_stop_and_keep_then_undo_asks_first_and_redo_brings_back(visit: Visit) -> None:
    page = visit()
    teach(page, "Ida Rot", steps=LONG["steps"])
    expect(page.locator("#curves svg").first).to_be_visible()
    page.locator("#stop-keep").click()
    expect(page.locator("#job")).to_contain_text("Stopped early, kept")
    open_tab(page, "Timeline")
    page.get_by_role("button", name="Undo Ida Rot").click()
    expect(page.locator("#ask-undo")).to_contain_text("Undo Ida Rot?")
    page.locator("#undo-yes").click()
    expect(page.locator(".cl-shelf")).to_contain_text("Ida Rot")
    page.get_by_role("button", name="Redo Ida Rot").click()
    expect(page.locator(".cl-card")).to_have_count(1)
    expect(page.locator(".cl-shelf")).to_have_count(0)


def test_own_pictures_names_and_tokens_are_judged_at_once(visit: Visit, studio: Studio, tmp_path: Path) -> None:
    page = visit()
    open_tab(page, "Add concept")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    files = [*studio.samples()[0].pictures[:2], tmp_path / "broken.png"]
    page.locator("#drop input[name=files]").set_input_files(files)
    expect(page.locator(".cl-checked li")).to_have_count(3)
    expect(page.locator(".cl-checked")).to_contain_text("2 usable pictures: add at least 1 more")
    expect(page.locator(".cl-refused .cl-note")).not_to_be_empty()
    page.get_by_label("Remove broken.png").click()
    expect(page.locator(".cl-checked li")).to_have_count(2)
    page.locator("#concept-name input, #concept-name textarea").fill("Ilva Maron")
    expect(page.get_by_label("Token", exact=True)).to_have_value("<ilva-maron>")
    page.get_by_label("Token", exact=True).fill("<Ilva>")
    expect(page.locator("#token-note .cl-bad")).to_be_visible()
    page.get_by_label("Token", exact=True).fill("<ilva>")
    expect(page.locator("#token-note .cl-good")).to_contain_text("<ilva> is free")
    expect(page.locator("#start")).to_be_disabled()
    expect(page.locator("#start-note")).to_contain_text("1 more picture")


def test_new_timelines_and_branches(visit: Visit, studio: Studio) -> None:
    page = visit()
    before = len(studio.timelines())
    teach(page, "Ida Rot")
    expect(page.locator("#try-it")).to_be_visible()
    open_tab(page, "Timeline")
    page.get_by_role("button", name="Branch from here").click()
    page.locator("#create-timeline").click()
    expect(page.locator("#timeline input")).to_have_value(re.compile("branch 1 · 1 concept"))
    page.locator("#new-timeline").click()
    page.locator("#new-name input, #new-name textarea").fill("Second try")
    page.locator("#new-name input, #new-name textarea").press("Enter")
    expect(page.locator("#timeline input")).to_have_value(re.compile("Second try · 0 concepts"))
    expect(page.locator("#cards")).to_contain_text("Nothing learned yet")
    assert len(studio.timelines()) == before + 2


# --------------------------------------------------------------------- the main job, on the embedded model


def shown_files(page: Page) -> list[Path]:
    """The picture files on the stage, as the page addresses them."""
    addresses = page.locator(".cl-shown img").evaluate_all("images => images.map(i => i.getAttribute('src'))")
    return [Path(unquote(address.split("file=")[1].split("?")[0])) for address in addresses]


Walk = tuple[str, list[Path]]  # the first one's name, its pictures


def teach_uploads(page: Page, person: Sample) -> str:
    """Start learning somebody from picture files, which are kept for Compare; returns the token."""
    page.locator("#drop input[name=files]").set_input_files(list(person.pictures))
    expect(page.locator(".cl-checked li")).to_have_count(len(person.pictures))
    page.locator("#concept-name input, #concept-name textarea").fill(person.name)
    token, keep = f"<{person.name.lower()}>", page.locator("#keep-pictures input")
    expect(page.get_by_label("Token", exact=True)).to_have_value(token)
    if not keep.is_visible():
        page.locator("#train-advanced button").first.click()
    keep.check()
    page.locator("#start").click()
    expect(page.locator("#job")).to_contain_text(person.name)
    return token


@pytest.fixture(scope="module")
def walked(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """Upload, train, see the card, upload and teach a second, draw the first."""
    home = tmp_path_factory.mktemp("walk")
    first, second = Studio.open(home / "look").samples()[:2]
    learning_ms = 600_000
    with app_process(home / "home", home / "app.log") as (url, _):
        page = new_page(browser)
        page.goto(url)
        expect(page.locator("#chips .cl-chip").first).to_be_visible(timeout=60_000)
        expect(page.locator("#model")).to_contain_text("ready", timeout=120_000)
        open_tab(page, "Timeline")
        page.locator("#new-timeline").click()
        page.locator("#new-name input, #new-name textarea").fill("Browser test")
        page.locator("#create-timeline").click()
        expect(page.locator("#timeline input")).to_have_value(re.compile("Browser test"))
        open_tab(page, "Add concept")
        taught = teach_uploads(page, first)
        expect(page.locator("#try-it")).to_be_visible(timeout=learning_ms)
        open_tab(page, "Timeline")
        expect(page.locator(".cl-card")).to_have_count(1)
        expect(page.locator(".cl-card")).to_contain_text(first.name)
        open_tab(page, "Add concept")
        page.locator("#another").click()
        teach_uploads(page, second)
        expect(page.locator("#try-it")).to_be_visible(timeout=learning_ms)
        open_tab(page, "Playground")
        page.locator("#lock-seed input").check()  # seed 0, as it stands there
        page.locator("#prompt textarea").fill(f"a photo of {taught}")
        page.locator("#prompt textarea").press("Enter")
        expect(page.locator(".cl-made")).to_contain_text(taught, timeout=learning_ms)
        pictures = shown_files(page)
        page.context.close()
    return first.name, pictures


def test_compare_learns_the_same_under_other_methods_and_shows_all(visit: Visit, studio: Studio) -> None:
    page = visit()
    own = studio.default_timeline()
    for sample in studio.samples()[:2]:
        job = studio.learn(LearnRequest(own, Concept(sample.name, sample.token, sample.pictures), studio.base.train))
        assert studio.wait(job, WAIT_MS / 1000).state == "done"
    reload(page)
    open_tab(page, "Compare")
    expect(page.locator("#compare-headline")).to_contain_text("Learned under C-LoRA only")
    expect(page.locator("#compare-row")).not_to_be_visible()
    expect(page.locator("#compare-picture")).not_to_be_visible()
    expect(page.locator("#compare-stop")).not_to_be_visible()
    page.get_by_label("Sequential LoRA").uncheck()
    expect(page.locator("#compare-go")).to_be_disabled()
    page.get_by_label("Sequential LoRA").check()
    page.get_by_label("Stacked LoRAs").check()  # beside sequential LoRA, which is chosen
    page.locator("#compare-go").click()
    expect(page.locator("#versus tbody tr")).to_have_count(2)
    expect(page.locator("#versus thead")).to_contain_text("Sequential LoRA")
    expect(page.locator("#maps table")).to_have_count(2)
    expect(page.locator("#measures")).to_contain_text("older pictures changed by")
    expect(page.locator("#compare-slider img").first).to_be_visible()
    page.locator("#versus [data-act=token]").last.click()
    expect(page.locator("#versus tr[aria-selected]")).to_contain_text(studio.samples()[1].name)
    expect(page.locator("#maps table")).to_have_count(3)  # the second method has landed
    expect(page.locator("#versus tr[aria-selected]")).to_contain_text(studio.samples()[1].name)  # as it was
    page.locator("#versus").get_by_role("button", name="Stacked LoRAs").click()
    expect(page.locator("#measures")).to_contain_text("C-LoRA on the left, Stacked LoRAs on the right")
    page.locator("#compare-picture").click()
    with page.expect_download() as download:
        page.locator("#compare-download").click()
    with Image.open(download.value.path()) as picture:
        assert "comparison" in picture.info


def test_two_people_compared_under_two_methods_from_uploads_to_the_table(visit: Visit, studio: Studio) -> None:
    page = visit()
    open_tab(page, "Add concept")
    for sample, name in zip(studio.samples(), ("Ilva", "Orso"), strict=False):
        teach_uploads(page, replace(sample, name=name))
        expect(page.locator("#try-it")).to_be_visible()
        page.locator("#another").click()
        expect(page.locator("#live")).to_be_hidden()
    open_tab(page, "Compare")
    expect(page.locator("#compare-go")).to_contain_text("Sequential LoRA")  # what one click does
    page.locator("#compare-go").click()
    expect(page.locator("#versus tbody tr")).to_have_count(2)
    expect(page.locator("#versus")).to_contain_text("Ilva")
    expect(page.locator("#versus")).to_contain_text("Sequential LoRA")
    expect(page.locator("#measures")).to_contain_text("older pictures changed by")


def mirrored(picture: Path, target: Path) -> Path:
    """A sample's own pictures are known again."""
    with Image.open(picture) as image:
        ImageOps.mirror(image).save(target)
    return target


def test_compare_asks_again_for_pictures_that_were_not_kept(visit: Visit, studio: Studio, tmp_path: Path) -> None:
    page = visit()
    own, given = studio.default_timeline(), {}
    for name, sample in zip(("Ilva", "Orso"), studio.samples(), strict=False):
        given[name] = [mirrored(path, tmp_path / f"{name}-{path.name}") for path in sample.pictures]
        concept = Concept(name, studio.propose_token(name), tuple(given[name]))
        job = studio.learn(LearnRequest(own, concept, studio.base.train))
        assert studio.wait(job, WAIT_MS / 1000).state == "done"
    reload(page)
    open_tab(page, "Compare")
    expect(page.locator("#compare-start")).to_contain_text("Pictures of Ilva, Orso were not kept")
    expect(page.locator("#compare-go")).to_be_disabled()
    expect(page.locator("#compare-whose input")).to_have_value("Ilva")
    page.locator("#compare-drop input[type=file]").set_input_files(given["Ilva"])
    expect(page.locator("#compare-start")).to_contain_text(f"<ilva>: {len(given['Ilva'])}")
    expect(page.locator("#compare-whose input")).to_have_value("Orso")  # the next one that is missing
    expect(page.locator("#compare-go")).to_be_disabled()
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name, files in given.items():
            for file in files:
                archive.write(file, f"people/{name}/{file.name}")
    page.locator("#compare-drop input[type=file]").set_input_files(tmp_path / "all.zip")
    expect(page.locator("#compare-start")).to_contain_text(f"<orso>: {len(given['Orso'])}")
    page.locator("#compare-go").click()
    expect(page.locator("#versus tbody tr")).to_have_count(2)
    expect(page.locator("#measures")).to_contain_text("older pictures changed by")


needs_the_model = pytest.mark.skipif(
    not (ASSETS / "base" / "model_index.json").exists(), reason="the embedded model is not here"
)


@needs_the_model
def test_compare_shows_the_shipped_example_at_once(browser: Browser, tmp_path: Path) -> None:
    studio = Studio.open(tmp_path / "home")
    with served(studio, tmp_path / "home", ASSETS) as url:
        page = new_page(browser)
        page.goto(url)
        expect(page.locator("#chips .cl-chip").first).to_be_visible(timeout=60_000)
        open_tab(page, "Compare")
        expect(page.locator("#versus thead")).to_contain_text("C-LoRA")
        expect(page.locator("#versus thead")).to_contain_text("Sequential LoRA")
        expect(page.locator("#compare-headline")).to_contain_text("changed more under Sequential LoRA")
        expect(page.locator("#versus tbody th img")).to_have_count(5)  # a real picture of each
        expect(page.locator("#maps table")).to_have_count(2)
        page.locator("#maps summary").click()
        cells = [table.locator("td", has_text="%").all_inner_texts() for table in page.locator("#maps table").all()]
        clora, sequential = ([float(cell.rstrip("%")) for cell in each] for each in cells)
        assert len(clora) == len(sequential) == 4 + 3 + 2 + 1 and sum(clora) < sum(sequential)
        likeness = (
            page.locator("#measures tr", has_text="likeness to the real pictures").locator("td").all_inner_texts()
        )
        assert len(likeness) == 2 and all(0.4 < float(value) < 1 for value in likeness)
        page.context.close()


@needs_the_model
def test_two_people_taught_in_the_browser_and_the_first_is_drawn(walked: Walk) -> None:
    name, pictures = walked
    assert len(pictures) == 1
    settings = read_settings(pictures[0])
    assert settings["prompt"] == f"a photo of <{name.lower()}>"
    assert Image.open(pictures[0]).size == (128, 128)


@needs_the_model
def test_the_first_is_drawn_as_herself(walked: Walk) -> None:
    from clora_core.measures.features import EfficientNetLite0, unit_features
    from clora_core.measures.metrics import nearest_concept

    name, pictures = walked
    network = EfficientNetLite0()
    references = {
        folder.name: unit_features(network, [Image.open(path) for path in sorted(folder.glob("*.png"))])
        for folder in sorted(HELD_OUT.iterdir())
    }
    assert nearest_concept(unit_features(network, [Image.open(path) for path in pictures]), references) == name.lower()
