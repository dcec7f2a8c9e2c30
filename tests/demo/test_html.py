"""The page's pure parts: words, escaping, what is said about pictures, prompts and jobs."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import proxy_bypass_environment

import gradio as gr
import pytest
from markupsafe import Markup
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import app
from clora_core.answers import Card, JobView, Preview, Sample, TimelineView
from clora_core.concepts import TrainStep, token_for_name
from clora_core.data.pictures import CheckedPicture
from clora_core.drawing.png_settings import not_read, read_settings, save_picture, settings_in
from clora_core.errors import MissingMethodError, PictureError, SettingsError, StoreError
from clora_core.jobs.board import MOST_WAITING
from clora_core.jobs.requests import DrawRequest
from clora_core.models.description import First
from clora_core.settings.drawing import SamplingConfig
from clora_core.settings.learning import TrainConfig
from clora_core.settings.methods import BUILT_IN, EWC, TEXTUAL_INVERSION
from clora_core.verdict import Verdict
from demo import fields
from demo.emptying import EmptyTrash
from demo.errors import told
from demo.html import add as add_html
from demo.html import curves, parts, words
from demo.html import job as job_html
from demo.html import lessons as lessons_html
from demo.html import lightbox as lightbox_html
from demo.html import playground as playground_html
from demo.html import timeline as timeline_html
from demo.new_timeline import NewTimeline
from demo.sharing import Owners, open_to_others, reach_directly, refuse_unless
from demo.tabs.add import AddTab
from demo.tabs.lesson import LessonPanel, looked_at
from demo.tabs.playground import Gallery, Playground, ready_prompt, with_token
from demo.tabs.timeline import TimelineTab
from demo.uploads import upload_folder, uploaded

EVIL = '<img src=x onerror="alert(1)">&${1}{{2}}'


def flat(html: str) -> str:
    """With every run of spaces and line ends as one space, as a browser shows it."""
    return " ".join(html.split())


def card(index: int, name: str = "Rex") -> Card:
    token = f"<{name.lower()}>"
    return Card(
        index,
        f"{index:03d}-x",
        name,
        token,
        "2025-01-02T03:04:05+00:00",
        75.0,
        100,
        8,
        None,
        None,
        None,
        {},
    )


def timeline(*names: str, undone: tuple[Card, ...] = ()) -> TimelineView:
    return TimelineView("t", "First", "clora", tuple(card(i, name) for i, name in enumerate(names, 1)), undone)


def job(**changes: object) -> JobView:
    plain = JobView(
        "0001-learn", "learn", "running", 3, 10, 1.5, 2.0, 3.5, "learning", "", "t", name="Rex", token="<rex>"
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (9.4, "9 s"), (59.7, "1 min"), (75, "1 min 15 s"), (4000, "1 h 6 min")]
)
def test_duration(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("created", "said"),
    [
        ("2025-06-10T11:59:30+00:00", "just now"),
        ("2025-06-10T11:30:00+00:00", "30 min ago"),
        ("2025-06-10T02:00:00+00:00", "10 h ago"),
        ("2025-06-09T02:00:00+00:00", "yesterday"),
        ("2025-06-01T02:00:00+00:00", "1 Jun 2025"),
        ("once", "once"),
    ],
)
def test_ago(created: str, said: str) -> None:
    assert words.ago(created, datetime(2025, 6, 10, 12, tzinfo=UTC)) == said


def test_names_cannot_smuggle_markup_in(tmp_path: Path) -> None:
    evil = replace(card(1), name=EVIL, token=EVIL)
    view = TimelineView("t", EVIL, "clora", (evil,), (evil,))
    broken = CheckedPicture(tmp_path / EVIL.replace("/", ""), None, EVIL)
    pages = [
        timeline_html.cards(view, {}, BUILT_IN),
        add_html.coming(view, protected=True, draws=""),
        timeline_html.undo_question(EVIL, 1),
        timeline_html.branch_title(view, 1),
        add_html.samples([Sample(EVIL, EVIL, ())]),
        add_html.checked_pictures([broken]),
        parts.model_state(EVIL, True, ""),
        playground_html.chips(view, 1),
        playground_html.point(view, 1),
        playground_html.prompt_notes([EVIL]),
        playground_html.stage([tmp_path / "a.png"], {"prompt": EVIL, "negative_prompt": EVIL, "model": EVIL}),
        playground_html.history([(tmp_path / "a.png", {"prompt": EVIL})]),
        playground_html.ideas([EVIL]),
        playground_html.waiting_stage(view, EVIL, [EVIL]),
        job_html.job_head(job(name=EVIL, token=EVIL, message=EVIL, phase=EVIL)),
        job_html.job_pictures(job(previews=[Preview(1, EVIL, EVIL, tmp_path / "a.png", True)])),
    ]
    for page in pages:
        assert "onerror=&quot;" in page or EVIL.split(">")[0] not in page
        assert "<img src=x" not in page


def test_checked_pictures_say_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    fine = CheckedPicture(tmp_path / "a.jpg", Image.new("RGB", (40, 40)), None, "rotated upright (EXIF)")
    bad = CheckedPicture(tmp_path / "b.heic", None, "HEIC cannot be read; export it as JPEG")
    page = flat(add_html.checked_pictures([fine, bad]))
    assert "1 usable picture: add at least 2 more. 1 left out." in page
    assert "rotated upright (EXIF)" in page and "export it as JPEG" in page
    assert "3 pictures ready." in add_html.checked_pictures([fine] * 3)
    assert add_html.checked_pictures([]) == ""


def test_what_is_to_be_said_of_pictures_stands_above_them(tmp_path: Path) -> None:
    wide, square = Image.new("RGB", (60, 40)), Image.new("RGB", (40, 40))
    fine = CheckedPicture(tmp_path / "a.jpg", wide, caption="in the snow", mask=Image.new("L", (60, 40)))
    small = CheckedPicture(tmp_path / "b.jpg", None, "Too small: 40 x 40 pixels.", shown=square)
    page = flat(add_html.checked_pictures([fine, small], ["a.jpg is nearly the same as c.jpg."], ["From a zip."]))
    for said in (
        "nearly the same as c.jpg",
        "From a zip.",
        "1 caption read",
        "1 picture is no square",
        "partly masked",
    ):
        assert said in page
    assert page.count("<img") == 2 and page.count("b.jpg</span>") == 1 and "cl-nopicture" not in page
    assert "no square" not in add_html.checked_pictures([CheckedPicture(tmp_path / "c.jpg", square)])
    assert "left out" in add_html.checked_pictures([], [], ["film.mp4 left out."])


def playground(**asked: Any) -> Playground:
    """The tab on a studio that has a timeline of <ann> and answers what it is asked for."""
    base = SimpleNamespace(sampling=SamplingConfig(), resolution=64, first=First(), plain=())
    answers = {
        "timeline": lambda _: timeline("Ann"),
        "picture_settings": dict,
        "prompt_notes": lambda *_: [],
        "methods": BUILT_IN,
        "history": lambda _: [],
    }
    with gr.Blocks():
        return Playground(SimpleNamespace(base=base, **{**answers, **asked}), gr.Dropdown(), gr.State())  # type: ignore[arg-type]


def test_a_pasted_text_becomes_settings() -> None:
    text = "<ann>\nNegative prompt: glasses\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 4, Size: 64x32"
    tab = playground(pasted_settings=lambda prompt: settings_in(prompt) if "Steps" in prompt else {})
    changes = tab._typed("t", text, 1)
    assert (changes[tab.prompt], changes[tab.seed], changes[tab.locked]) == ("<ann>", 4, True)
    now = {name: changes[field] for name, field in tab.settings.items() if field in changes}
    sizes = {"width": 64, "height": 32}
    assert now == {"negative_prompt": "glasses", "steps": 20, "sampler": "Euler a", "guidance_scale": 7.0, **sizes}
    assert tab.settings["sampler"] not in tab._typed("t", text.replace("Euler a", "Magic"), 1)


def test_a_seed_of_minus_one_is_a_new_one_and_is_not_kept() -> None:
    asked: list[DrawRequest] = []
    tab = playground(draw=lambda request: asked.append(request) or "job")
    given = {field: field.value for field in (*tab.settings.values(), tab.as_of, tab.pictures, *tab.strengths.given)}
    given |= {tab.timeline: "t", tab.prompt: "<ann>", tab.locked: True}
    for seed in (-1, -1, 5):
        changes = next(tab._start({**given, tab.seed: seed}))
    assert asked[0].settings.seed != asked[1].settings.seed and asked[2].settings.seed == 5
    assert tab.seed not in changes and next(tab._start({**given, tab.seed: -1}))[tab.locked] is False
    with pytest.raises(SettingsError, match="seed must be between"):  # not in Gradio's words
        next(tab._start({**given, tab.seed: -2}))
    assert tab.seed.minimum is None


def test_somebody_new_begins_with_the_models_own_prompt_and_with_its_seed_where_nothing_is_drawn() -> None:
    drawn: list[Path] = []
    asked: list[DrawRequest] = []
    tab = playground(draw=lambda request: asked.append(request) or "job")
    tab.studio.base.first, tab.studio.base.plain = First("a photo of <ann>, red", 7), ("a house",)  # type: ignore[misc]
    tab.studio.history = lambda _: drawn  # type: ignore[method-assign]
    assert tab.follow("t", "")[tab.prompt] == "a photo of <ann>, red"
    assert ready_prompt(timeline("Bob"), (), "a photo of <ann>") == "a photo of <bob>"  # the first has no <ann>
    assert ready_prompt(timeline(), ("a house",), "a photo of <ann>") == "a house"
    given = {field: field.value for field in (*tab.settings.values(), tab.as_of, tab.pictures, *tab.strengths.given)}
    given |= {tab.timeline: "t", tab.prompt: "a photo of <ann>, red", tab.locked: False, tab.seed: 0}
    next(tab._start(given))
    assert asked[0].settings.seed == 7
    drawn.append(Path("a.png"))
    assert tab.follow("t", "")[tab.prompt] == "a photo of <ann>, red"
    next(tab._start(given))
    assert asked[1].settings.seed != 7


def test_what_is_in_front_fits_the_timeline_and_the_prompt(tmp_path: Path) -> None:
    pictures = {
        tmp_path / "3.png": {"prompt": "a house", "timeline": "other"},
        tmp_path / "2.png": {"prompt": "a house", "timeline": "t"},
        tmp_path / "1.png": {"prompt": "a house", "timeline": "t"},
    }
    tab = playground()
    tab.gallery = Gallery(SimpleNamespace(history=lambda _: list(pictures), picture_settings=pictures.get))  # type: ignore[arg-type]
    assert tab.gallery.fitting("t", " a house ") == [str(tmp_path / "2.png")]
    assert tab.gallery.fitting("t", "a photo of <ann>") == []


def test_pictures_stand_in_a_grid_as_near_to_a_square_as_can_be(tmp_path: Path) -> None:
    for count, across, down in ((1, 1, 1), (2, 2, 1), (4, 2, 2), (5, 3, 2), (16, 4, 4)):
        page = playground_html.stage([tmp_path / "a.png"] * count, {"width": 64, "height": 32})
        assert f"--across:{across};--down:{down};--aspect:2.0" in page


def test_a_token_takes_the_place_of_the_only_one_in_a_prompt() -> None:
    assert with_token("a photo of <ann> in red, <ann> smiling", "<bob>") == "a photo of <bob> in red, <bob> smiling"
    for prompt in ("", "a dog", "<ann> next to <eve>"):
        assert with_token(prompt, "<bob>") == "a photo of <bob>"


def test_a_picture_that_was_half_there_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"half")
    gallery = Gallery(SimpleNamespace(picture_settings=read_settings, history=lambda limit: [path]))  # type: ignore[arg-type]
    assert gallery.fitting("t", "a house") == []
    save_picture(Image.new("RGB", (8, 8)), path, {"prompt": "a house", "timeline": "t"})
    assert gallery.fitting("t", "a house") == [str(path)]


def test_the_history_is_of_the_timeline_the_favourites_or_all_and_goes_on(tmp_path: Path) -> None:
    pictures = {
        tmp_path / f"{number}.png": {"prompt": f"nr {number}", "timeline": "t" if number % 2 else "u"}
        for number in range(9, 0, -1)
    }
    shown = SimpleNamespace(
        history=lambda limit: list(pictures)[:limit], picture_settings=pictures.get, favourites=lambda: {"4.png"}
    )
    gallery = Gallery(shown)  # type: ignore[arg-type]

    def found(which: str, most: int = 60) -> tuple[list[str], bool]:
        page = gallery.wall([], "t", which, most)
        return re.findall(r'alt="nr (\d)"', page), 'data-act="more"' in page

    assert found("This timeline") == (list("97531"), False)
    assert found("This timeline", 3) == (list("975"), True)
    assert found("All", 9) == (list("987654321"), False)
    assert found("Favourites") == (["4"], False)
    page = gallery.wall([str(tmp_path / "7.png")], "t", "This timeline", 60)
    assert page.count("aria-current") == 1 and page.count('tabindex="0"') == 1  # one tab stop
    assert "Nothing was drawn from this timeline" in gallery.wall([], "v", "This timeline", 60)
    assert re.findall(r'alt="nr (\d)"', gallery.wall([], "t", "All", 60, "4 NR")) == ["4"]  # both words
    assert "No prompt here" in gallery.wall([], "t", "This timeline", 60, "4")


def test_settings_of_a_dropped_picture_are_taken_and_what_cannot_be_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "<ann>\nSteps: 20, Sampler: Euler q, CFG scale: 7, Seed: 4, Size: 64x32, Clip skip: 2, Model hash: 1a"
    info = PngInfo()
    info.add_text("parameters", text)
    Image.new("RGB", (8, 8)).save(upload_folder() / "a.png", pnginfo=info)
    told: list[str] = []
    monkeypatch.setattr(gr, "Info", lambda words, **_: told.append(words))
    tab = playground(unread_settings=not_read)
    tab.studio.picture_settings = read_settings  # type: ignore[method-assign]
    changes = tab._drop(str(upload_folder() / "a.png"), "t", "")
    assert (changes[tab.prompt], changes[tab.seed], changes[tab.locked]) == ("<ann>", 4, True)
    assert changes[tab.settings["width"]] == 64
    unused = told[0].partition("Not used")[2]
    assert "Clip skip" in unused and "Euler q" in unused and "hash" not in unused and "seed" not in unused
    own = {"prompt": "<ann>", "seed": 2**40, "timeline": "t", "as_of": 1}
    save_picture(Image.new("RGB", (8, 8)), upload_folder() / "a.png", own)
    changes = tab._drop(str(upload_folder() / "a.png"), "t", "")
    assert changes[tab.as_of] == 1 and tab.seed not in changes and str(2**40) in told[1].partition("Not used")[2]
    Image.new("RGB", (8, 8)).save(upload_folder() / "a.png")
    with pytest.raises(PictureError, match="carries no settings"):
        tab._drop(str(upload_folder() / "a.png"), "t", "")


def test_a_prompt_that_is_drawn_comes_first_among_the_recent_ones() -> None:
    tab = playground()
    kept: list[str] = []
    for prompt in ("a", "b", " ", "a"):
        kept = tab._remember(kept, prompt)[tab.prompts]
    assert kept == ["a", "b"]
    assert tab._remember(None, "a")[tab.recent].count("data-prompt") == 1


def test_a_picture_says_what_made_it_and_can_be_a_favourite(tmp_path: Path) -> None:
    settings = {"prompt": EVIL, "seed": 0, "width": 8, "height": 4, "timeline": "ours"}
    page = lightbox_html.looked(tmp_path / "a.png", settings, False, {"ours": "Our people"})
    assert "<dd>Our people</dd>" in page and "<dd>ours</dd>" in lightbox_html.looked(tmp_path, settings, False, {})
    assert "<img src=x" not in page and "<dd>0</dd>" in page and "8 x 4" in page
    assert 'data-act="use"' in page and 'aria-pressed="false"' in page
    page = lightbox_html.looked(tmp_path / "a.png", {}, None, {})
    assert "carries no settings" in page and "data-act" not in page


def test_later_concepts_are_dimmed_in_the_chips() -> None:
    page = playground_html.chips(timeline("Ann", "Bob"), 1)
    assert page.count("cl-later") == 1 and page.index("&lt;ann&gt;") < page.index("cl-later")


def test_empty_states_say_what_to_do() -> None:
    assert "Add concept" in timeline_html.cards(timeline(), {}, BUILT_IN)
    assert "teach someone" in playground_html.chips(timeline(), 0)
    assert "Press Draw" in playground_html.waiting_stage(timeline("Ann"), "a photo of <ann>", [])
    assert playground_html.history([]) == ""


def test_there_is_no_branch_from_a_card_that_was_undone_elsewhere() -> None:
    shown = SimpleNamespace(timeline=lambda timeline_id: timeline("Ann"), timelines=list, free_title=str)
    with gr.Blocks() as page:
        chosen = gr.Dropdown(render=False)
        naming = NewTimeline(shown, chosen)  # type: ignore[arg-type]
        emptying = EmptyTrash(shown, True)  # type: ignore[arg-type]
        tab = TimelineTab(shown, chosen, naming, emptying, True)  # type: ignore[arg-type]
    (branching,) = (f.fn for f in page.fns.values() if (tab.cards._id, "click") in f.targets)
    click = {"act": "branch", "value": "1"}
    assert "Branch from Ann" in branching("t", gr.EventData(None, click))[naming.title]
    with pytest.raises(gr.Error, match="1 concept by now. Reload the page"):
        branching("t", gr.EventData(None, {**click, "value": "2"}))


def test_undone_concepts_wait_on_the_shelf() -> None:
    page = timeline_html.cards(timeline("Ann", undone=(card(2, "Bob"),)), {}, BUILT_IN)
    assert page.index("Ann") < page.index("Undone") < page.index("Bob")


def test_job_head_tells_progress_then_the_verdict() -> None:
    page = job_html.job_head(job())
    assert 'aria-valuenow="30"' in page and "4 s" in page and "2.0" in page
    page = job_html.job_head(job(state="done", message="All older concepts kept.", step=10))
    assert "All older concepts kept." in page and "progressbar" not in page
    assert "Stopped early, kept" in job_html.job_head(job(state="stopped", concept_id="001-rex"))


def test_job_pictures_show_the_new_and_an_older_one_before_and_now(tmp_path: Path) -> None:
    previews = [
        Preview(0, "<ann>", "Ann", tmp_path / "0.png", False),
        Preview(5, "<rex>", "Rex", tmp_path / "1.png", True),
        Preview(5, "<ann>", "Ann", tmp_path / "2.png", False),
    ]
    page = job_html.job_pictures(job(previews=previews))
    assert page.index("Rex") < page.index("Ann") and "before" in page and "step 5" in page


def test_a_card_shows_how_its_concept_was_learned() -> None:
    page = timeline_html.cards(timeline("Ann", "Bob"), {card(2, "Bob").id: Markup("<svg>learned</svg>")}, BUILT_IN)
    assert page.index("Bob") < page.index("<svg>learned</svg>") and page.count("<svg>") == 1


def test_curves_have_an_axis_and_survive_odd_values() -> None:
    steps = [TrainStep(i, 10, 0.5 / i, 0.0, 1.0, i * 0.1) for i in range(1, 8)]
    page = job_html.learning_curves(steps, 10)
    assert page.count("<polyline") == 2 and "no penalty" in page
    assert "nan" not in curves.curve("Loss", "", [1, 2, 3], [0.5, float("nan"), 0.4], 10, "new")
    assert "on their way" in curves.curve("Loss", "", [], [], 10, "new")
    assert curves.ticks(0.0, 0.37) == pytest.approx([0.0, 0.2]) and curves.ticks(0, 0) == [0]
    assert curves.running_mean([1, 3, 5, 7], 2) == [1, 2, 4, 6]


def test_picture_urls_change_with_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "a b#1.png"
    path.write_bytes(b"1")
    url = words.picture_url(path)
    assert url.startswith("gradio_api/file=/") and "%20" in url and "%23" in url and "?v=" in url
    assert words.picture_url(tmp_path / "gone.png").endswith("?v=0")


def test_settings_inputs_come_from_the_dataclass_and_go_back() -> None:
    preset = TrainConfig(steps=77, flip=True)
    inputs = fields.setting_inputs(preset, skip=("seed",))
    assert "seed" not in inputs and inputs["steps"].value == 77 and inputs["flip"].value is True
    assert inputs["rank"].info and isinstance(inputs["precision"], gr.Dropdown)
    values = {name: component.value for name, component in inputs.items()}
    assert fields.from_inputs(preset, values) == preset
    assert fields.from_inputs(preset, {"steps": None}).steps == 77  # emptied: the preset
    assert fields.from_inputs(SamplingConfig(), {"guidance_scale": 4}).guidance_scale == 4.0
    with pytest.raises(SettingsError, match="rank"):
        fields.from_inputs(preset, {"rank": 0})


def test_our_errors_become_notices_and_bugs_stay_bugs() -> None:
    def wrong() -> None:
        raise PictureError("Too few.")

    def generator() -> object:
        yield 1
        raise PictureError("Too few.")

    def bug() -> None:
        raise KeyError("x")

    with pytest.raises(gr.Error, match=r"Too few.") as caught:
        told(wrong)()
    assert caught.value.title == "Pictures" and caught.value.print_exception is False
    with pytest.raises(gr.Error, match=r"Too few."):
        list(told(generator)())
    with pytest.raises(KeyError):
        told(bug)()


def test_the_app_says_in_one_line_that_there_is_no_such_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        app.main(["--home", str(tmp_path / "home"), "--model", str(tmp_path / "nowhere")])
    assert left.value.code == 2 and "nowhere" in capsys.readouterr().err
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as left:
        app.main(["--home", str(tmp_path / "file/home")])
    assert left.value.code == 2 and capsys.readouterr().err.startswith("error: ")
    with pytest.raises(SystemExit) as left:
        app.main(["--method-file", str(tmp_path / "none.py")])
    assert left.value.code == 2 and "There is no method file" in capsys.readouterr().err
    for wrong in ("name", "name:", ":password", ""):
        with pytest.raises(SystemExit) as left:
            app.main(["--auth", wrong])
        assert left.value.code == 2 and "give NAME:PASSWORD" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("share", "host", "space", "reached"),
    [
        (False, "", False, False),
        (False, "127.0.0.1", False, False),
        (False, "0.0.0.0", False, True),
        (True, "", False, True),
        (False, "", True, True),
    ],
)
def test_who_can_reach_the_page(share: bool, host: str, space: bool, reached: bool) -> None:
    assert open_to_others(share, host, space) is reached


def test_those_who_wait_leave_threads_for_the_others() -> None:
    assert 2 * (sum(MOST_WAITING.values()) - MOST_WAITING["learn"] + 3) < app.THREADS  # for a lesson nobody waits


def test_what_others_can_reach_takes_nothing_back() -> None:
    refuse_unless(True)
    with pytest.raises(StoreError, match="--auth NAME:PASSWORD"):
        refuse_unless(False)


def test_files_outside_the_upload_folder_are_left_out(tmp_path: Path) -> None:
    inside = upload_folder() / "abc" / "a.png"
    assert uploaded([str(inside), str(tmp_path / "secret.png"), f"{inside.parent}/../../../etc/hostname"]) == [
        str(inside)
    ]


@pytest.fixture
def tab() -> AddTab:
    """The form of the tab Add concept."""
    shown = SimpleNamespace(
        base=SimpleNamespace(train_with=TrainConfig.from_dict),
        methods=BUILT_IN,
        timeline=lambda timeline_id: timeline(),
        samples=list,
        check_token=lambda token, timeline_id: None,
    )
    with gr.Blocks():
        return AddTab(shown, gr.Dropdown(render=False), private=True, owners=Owners(True))  # type: ignore[arg-type]


@pytest.fixture
def panel() -> LessonPanel:
    """The panel over a studio that shows one job."""
    with gr.Blocks():
        return LessonPanel(SimpleNamespace(job=lambda job_id: job(id=job_id)), True, Owners(True))  # type: ignore[arg-type]


def test_the_form_shows_what_the_chosen_method_reads_and_no_more(tab: AddTab) -> None:
    advanced = tab.advanced
    assert ("EWC: " + EWC.sentence, "ewc") in advanced.method.choices
    shown = {name for name, field in advanced.settings.items() if field.visible}
    assert shown == set(TrainConfig().specs()) and "replay_pictures" in set(advanced.settings) - shown
    for row in BUILT_IN:
        changes = advanced._preset(row.name)
        now = {name for name, field in advanced.settings.items() if changes[field]["visible"]}
        unread = {"learning_rate", "weight_decay"} if row is TEXTUAL_INVERSION else set()
        assert now == set(TrainConfig(row).specs()) - unread
        assert changes[advanced.settings["steps"]]["label"] == "Steps"
        assert changes[advanced.groups["own"]]["visible"] == bool(row.options().specs())


def test_the_form_comes_back_as_the_browser_kept_it(tab: AddTab, tmp_path: Path) -> None:
    advanced = tab.advanced
    given = {part: part.value for part in advanced.inputs} | {
        tab.awake: True,
        tab.pictures.paths: [],
        tab.name: "Zoe",
        tab.token: "<zoe>",
    }
    given |= {advanced.method: "ewc", advanced.settings["penalty_weight"]: 5.0, advanced.keep_pictures: True}
    kept = tab.remember(given)[tab.kept]
    assert kept["settings"] == {"penalty_weight": 5.0}
    assert tab.kept not in tab.remember({**given, tab.awake: False})  # while the page is being opened
    (tmp_path / "secret.png").write_bytes(b"x")
    back = tab.restored({**kept, "paths": [str(tmp_path / "secret.png")]}, "people")  # written by hand
    assert (back[tab.name], back[tab.token], back[advanced.method]) == ("Zoe", "<zoe>", "ewc")
    assert back[advanced.settings["penalty_weight"]]["value"] == 5.0 and back[advanced.keep_pictures] is True
    assert back[tab.pictures.paths] == []
    assert advanced.restored({"method": "gone"}) == {}


def test_the_form_takes_over_what_a_concept_was_learned_with(tab: AddTab) -> None:
    advanced, learned = tab.advanced, TrainConfig(EWC).updated({"steps": 77, "penalty_weight": 5.0})
    changes = advanced.of_card(replace(card(1), settings={**learned.to_json(), "of_a_later_version": 1}))
    values = {name: changes[advanced.settings[name]]["value"] for name in learned.specs()}
    assert changes[advanced.method] == "ewc" and values == {name: learned.to_json()[name] for name in values}
    assert changes[advanced.box]["open"] is True
    assert advanced.keep_pictures not in changes and advanced.show_real not in changes  # asked anew each time
    with pytest.raises(MissingMethodError, match="elsewhere"):
        advanced.of_card(replace(card(1), settings={"method": "elsewhere"}))


def test_a_name_that_gives_no_token_is_said_and_stays_said(tab: AddTab) -> None:
    """The token is emptied then, and what is said of the token must not take its place."""
    tab.studio.propose_token = token_for_name  # type: ignore[method-assign]
    said = tab._named("日本", "<zoe>", "<zoe>")
    assert said[tab.token] == "" and "No token can be made" in said[tab.name_note]
    assert tab.token_note not in said and tab._judged("", "people") == ""
    assert tab._named("Zoe", "", "") == {tab.token: "<zoe>", tab.name_note: "", tab.proposed: "<zoe>"}


def test_settings_are_listed_by_the_labels_of_their_method() -> None:
    stored = TrainConfig.from_dict({"method": "ewc", "penalty_weight": 5.0}).to_json() | {"rank": 16}  # as once written
    rows = parts.setting_rows(stored, BUILT_IN)
    assert rows[:2] == [("Method", "EWC"), ("Penalty weight (lambda)", "5")] and "Rank" not in dict(rows)
    assert ("size_weight", "2") in parts.setting_rows({"method": "small", "size_weight": 2.0}, BUILT_IN)


def test_watch_updates_only_what_moved(panel: LessonPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    first = panel.watch([job()], None, "")
    assert first[panel.seen].job_id == "0001-learn" and first[panel.live]["visible"] is True
    assert panel.watch([job()], first[panel.seen], "") == {}
    monkeypatch.setattr(panel.studio, "job", lambda job_id: job(step=4))
    second = panel.watch([job()], first[panel.seen], "")
    assert set(second) == {panel.seen, panel.head, panel.curves, panel.verdict, panel.measured}
    assert "4 <small>" in second[panel.head]
    gone = panel.watch([], second[panel.seen], "")
    assert gone[panel.live]["visible"] is False and panel.watch([], gone[panel.seen], "") == {}


@pytest.mark.parametrize(
    ("lesson", "offered"),
    [
        ({"here": True}, {"pause", "keep", "drop_it"}),
        ({"here": True, "step": 0}, {"pause", "drop_it"}),
        ({"here": True, "stopping": True}, set()),
        ({}, set()),  # in another programme
        ({"state": "queued", "here": True}, {"drop_it"}),
        ({"state": "paused", "resumable": True, "begun": True}, {"resume", "afresh", "give_up"}),
        ({"state": "interrupted", "resumable": True}, {"resume", "give_up"}),
        ({"state": "failed", "resumable": True}, {"resume", "give_up"}),
        ({"state": "failed"}, {"another"}),
        ({"state": "done", "concept_id": "001-rex"}, {"try_it", "another"}),
    ],
)
def test_only_what_is_possible_is_offered(
    panel: LessonPanel, monkeypatch: pytest.MonkeyPatch, lesson: dict[str, object], offered: set[str]
) -> None:
    monkeypatch.setattr(panel.studio, "job", lambda job_id: job(**lesson))
    shown = panel.watch([job(**lesson)], None, "")
    names = ("pause", "keep", "drop_it", "resume", "afresh", "give_up", "try_it", "another")
    assert {name for name in names if shown[getattr(panel, name)]["visible"]} == offered


def test_the_lesson_that_is_learned_is_looked_at_unless_another_is_chosen() -> None:
    runs, waits = job(id="0002-learn"), job(id="0003-learn", state="queued")
    early, late = (job(id=f"000{n}-learn", state="done", ended=float(n)) for n in (1, 4))
    assert looked_at([runs, waits, early, late], "") == runs.id
    assert looked_at([runs, waits, early, late], waits.id) == waits.id
    assert looked_at([early, late], waits.id) == late.id and looked_at([], "") == ""


def test_the_line_numbers_those_that_wait_and_says_why_one_failed() -> None:
    jobs = [
        job(id="0001-learn", here=True),
        job(id="0002-learn", state="queued", phase="waiting for its turn", name="Mug", here=True),
        job(id="0003-learn", state="queued", phase="waiting for its turn", name=EVIL, here=True),
        job(id="0004-learn", state="failed", name="Cup", message="No room <here>.", resumable=True),
    ]
    page = flat(lessons_html.line(jobs, jobs[0].id, {"t": "Mine"}))
    assert [row.place for row in lessons_html.rows(jobs, "")] == [0, 1, 2, 0]
    assert page.count("<li") == 4 and page.count("disabled") == 2 and "No room &lt;here&gt;." in page
    assert (
        EVIL not in page and lessons_html.line(jobs[:1], jobs[0].id, {}) == "" and lessons_html.line([], "", {}) == ""
    )


def test_the_line_says_how_long_it_takes_and_for_which_timeline_where_there_are_several() -> None:
    waits = replace(job(id="0002-learn", state="queued", timeline_id="u"), step=0, total=100)
    page = flat(lessons_html.line([job(), waits], "", {"t": "Mine", "u": "Yours"}))
    assert "1 waiting, about 54 s for all" in page and "in Yours" in page  # 3.5 s left, and 100 steps at 2 a second
    assert lessons_html.all_left([job()]) is None
    assert lessons_html.all_left([job(seconds_left=None), waits]) is None


@pytest.mark.parametrize(
    ("lessons", "said"),
    [
        ([job(seconds_left=120)], "Learning Rex 30 %, 2 min left"),
        ([job(seconds_left=None), job(id="0002-learn", state="queued")], "Learning Rex 30 % · 1 lesson more"),
        ([job(stopping=True)], "Stopping Rex 30 %"),
        ([job(state="paused", resumable=True)], "Rex is paused at 30 %"),
        ([job(state="interrupted", resumable=True)], "Rex was interrupted"),
        ([job(state="interrupted", resumable=True)] * 2, "2 lessons wait for you: go on, or discard them"),
        ([job(state="failed", resumable=True)], "Rex could not be learned"),
        ([job(state="done", concept_id="001-rex", ended=7.2)], "Rex is learned"),
        (
            [job(state="done", concept_id="001-rex", ended=7.2, verdict=Verdict(0.5, (), "does not look like them"))],
            "Rex is stored, and not like its pictures",
        ),
    ],
)
def test_the_pill_says_what_is_learned_or_waits_for_somebody(lessons: list[JobView], said: str) -> None:
    page = lessons_html.pill(lessons)
    assert f"<span>{said}</span>" in page and f'data-title="{said}"' in page
    assert ('data-news="0001-learn-7"' in page) == said.startswith(("Rex is learned", "Rex is stored"))


@pytest.mark.parametrize(
    ("changed", "said"),
    [(0.0, "as good as new"), (0.0999, "as good as new"), (0.1, "fading"), (0.5, "lost")],
)
def test_a_card_says_how_its_concept_is_and_the_figure_behind_it(changed: float, said: str) -> None:
    view = replace(timeline("Rex"), cards=(replace(card(1), changed=changed), replace(card(2), changed=0.0)))
    assert f"<span>{said}</span> <span>{changed:.1%}</span>" in timeline_html.cards(view, {}, BUILT_IN)
    assert timeline_html.cards(view, {}, BUILT_IN).count("cl-health") == 1  # the newest cannot have faded yet
    assert "cl-health" not in timeline_html.cards(timeline("Rex"), {}, BUILT_IN)


def test_the_forgetting_map_has_a_row_a_concept_and_a_column_a_time() -> None:
    html = timeline_html.forgetting_map(timeline("Rex", EVIL, "Mug"), ((0.0,), (0.05, 0.0), (0.8, 0.013, 0.0)))
    rows = html.split("<tbody>")[1].split("</tr>")[:3]
    assert ["new" in row for row in rows] == [True] * 3
    assert [row.count("%</i>") for row in rows] == [2, 1, 0]
    assert 'title="Rex after Mug: 80.0%"' in rows[0]  # what a cell too narrow for its figure still says
    assert [row.count('class="cl-none"') for row in rows] == [0, 1, 2]
    assert "5.0%" in rows[0] and "1.3%" in rows[1] and 'class="cl-dark"' in rows[0]
    assert "<img" not in html
    assert timeline_html.forgetting_map(timeline("Rex"), ((0.0,),)) == ""


def test_a_model_that_draws_one_kind_of_thing_says_so_before_minutes_are_spent() -> None:
    view = TimelineView("t", "Mine", "clora", (), ())
    told = "draws portraits of one or two people"
    assert told in add_html.coming(view, True, "portraits of one or two people")
    assert told in parts.model_state("Cartoon portraits", True, "", "portraits of one or two people")
    assert "This model" not in add_html.coming(view, True, "") and "draws" not in parts.model_state("SD", True, "")


def test_the_page_is_reached_without_the_proxy_of_the_company(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "intranet")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    reach_directly("127.0.0.1")
    assert os.environ["no_proxy"] == "intranet,127.0.0.1"
    assert proxy_bypass_environment("127.0.0.1:7860") and not proxy_bypass_environment("example.org")


def test_sizes_are_said_in_the_unit_that_fits() -> None:
    assert [words.size(count) for count in (30_000, 400_000, 18_000_000, 1_234_000_000)] == [
        "30 kB",
        "0.4 MB",
        "18 MB",
        "1.2 GB",
    ]


def test_the_newest_pictures_come_with_the_page_and_older_ones_when_they_are_looked_at(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(playground_html.NEWEST + 3)]
    for path in paths[:-1]:  # the last is gone
        Image.effect_noise((512, 512), 90).save(path)
    page = playground_html.history([(path, {}) for path in paths])
    pictures = re.findall(r"<img [^>]*>", page)
    newest, older = pictures[: playground_html.NEWEST], pictures[playground_html.NEWEST :]
    assert all('src="data:image/webp' in picture for picture in newest)
    assert len(older) == 3 and all("gradio_api/file" in picture and 'loading="lazy"' in picture for picture in older)
    assert sum(map(len, newest)) < playground_html.NEWEST * 25_000  # of noise, which no format makes small
    gone = words.small(tmp_path / "gone.png", 72)
    assert gone.startswith("gradio_api/file=")
    before = words.small(paths[0], 72)
    Image.new("RGB", (64, 64), "red").save(paths[0])
    os.utime(paths[0], (1, 1))
    assert words.small(paths[0], 72) != before  # another picture of that name
