"""Every named endpoint, called the way a programme would: gradio_client against the served page."""

from __future__ import annotations

import inspect
import math
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio.blocks import Block, BlockFunction
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from tiny.served import make_people, open_studio, served

from clora_core.concepts import Concept
from clora_core.errors import StoreError, StudioError
from clora_core.jobs.requests import LearnRequest
from clora_core.studio.studio import Studio
from demo.api import Api, checked
from demo.page import build_demo
from demo.sharing import Owners
from demo.tabs.lesson import LessonPanel, Seen
from demo.uploads import uploaded

ENDPOINTS = {
    "/timelines",
    "/timeline",
    "/new_timeline",
    "/branch",
    "/undo",
    "/redo",
    "/rename",
    "/delete",
    "/trash",
    "/restore",
    "/learn",
    "/lessons",
    "/pause",
    "/resume",
    "/job",
    "/stop",
    "/draw",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("api")
    make_people(folder / "assets")
    return folder


@pytest.fixture(scope="module")
def studio(folder: Path, tiny_folder: Path) -> Studio:
    return open_studio(folder / "home", tiny_folder, folder / "assets")


@pytest.fixture(scope="module")
def url(studio: Studio, folder: Path) -> Iterator[str]:
    with served(studio, folder / "home", folder / "assets") as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> Client:
    return Client(url, verbose=False)


def pictures_of(studio: Studio, place: int) -> list[Any]:
    return [handle_file(str(path)) for path in studio.samples()[place].pictures]


@pytest.fixture(scope="module")
def learned(client: Client, studio: Studio) -> str:
    """A timeline with one concept in it, <ann>."""
    timeline_id: str = client.predict(name="Api", api_name="/new_timeline")
    started = client.predict(
        pictures=pictures_of(studio, 0),
        name="Ann",
        token="",
        timeline_id=timeline_id,
        settings={"steps": 3},
        keep_pictures=False,
        api_name="/learn",
    )
    assert studio.wait(started, 120).state == "done"
    return timeline_id


def handler(studio: Studio, elem_id: str) -> BlockFunction:
    """What the page calls on a click of this button, through the queue."""
    demo = build_demo(studio)
    (button,) = (at for at, block in demo.blocks.items() if block.elem_id == elem_id)
    (found,) = (f for f in demo.fns.values() if f.fn and f.queue and (button, "click") in f.targets)
    return found


def part(found: BlockFunction, elem_id: str) -> Block:
    """The input or output of a handler with this id."""
    return next(block for block in (*found.inputs, *found.outputs) if block.elem_id == elem_id)


def test_exactly_these_endpoints_are_public(client: Client) -> None:
    assert set(client.view_api(return_format="dict", print_info=False)["named_endpoints"]) == ENDPOINTS


def test_new_timeline_and_timelines(client: Client) -> None:
    made = client.predict(name="Fresh", api_name="/new_timeline")
    assert made in [entry["id"] for entry in client.predict(api_name="/timelines")]


def test_learn_puts_a_card_into_the_timeline(client: Client, learned: str) -> None:
    cards = client.predict(timeline_id=learned, api_name="/timeline")["cards"]
    assert [(c["name"], c["token"], c["steps"], c["picture_count"]) for c in cards] == [("Ann", "<ann>", 3, 4)]


def test_job_tells_how_it_went(client: Client, learned: str) -> None:
    job = client.predict(job_id="", api_name="/job")
    assert job["kind"] == "learn" and job["state"] == "done" and job["step"] == 3 and job["message"]


def test_draw_returns_pictures_with_their_settings_inside(client: Client, learned: str) -> None:
    files = client.predict(
        prompt="a photo of <ann>",
        timeline_id=learned,
        as_of=1,
        settings={"seed": 5, "pictures": 2},
        api_name="/draw",
    )
    paths = [file["path"] if isinstance(file, dict) else file for file in files]
    assert len(paths) == 2
    with Image.open(paths[0]) as picture:
        assert picture.size == (32, 32)
        assert picture.info["parameters"].startswith("a photo of <ann>\n") and "Seed: 5" in picture.info["parameters"]


def test_rename_delete_restore(client: Client, learned: str) -> None:
    other = client.predict(name="Passing", api_name="/new_timeline")
    assert client.predict(name="Gone", timeline_id=other, api_name="/rename")["name"] == "Gone"
    item = client.predict(timeline_id=other, api_name="/delete")
    assert [(i["id"], i["name"]) for i in client.predict(api_name="/trash")] == [(item, "Gone")]
    assert client.predict(item_id=item, api_name="/restore")["kind"] == "timeline"
    concept = client.predict(timeline_id=learned, api_name="/timeline")["cards"][0]["id"]
    renamed = client.predict(name="Anna", timeline_id=learned, concept_id=concept, api_name="/rename")
    assert [(c["name"], c["token"]) for c in renamed["cards"]] == [("Anna", "<ann>")]
    client.predict(name="Ann", timeline_id=learned, concept_id=concept, api_name="/rename")


def test_undo_and_redo(client: Client, learned: str) -> None:
    undone = client.predict(timeline_id=learned, api_name="/undo")
    assert not undone["cards"] and [c["token"] for c in undone["undone"]] == ["<ann>"]
    assert [c["token"] for c in client.predict(timeline_id=learned, api_name="/redo")["cards"]] == ["<ann>"]


def test_branch(client: Client, learned: str) -> None:
    made = client.predict(timeline_id=learned, k=1, name="Twig", api_name="/branch")
    assert [c["token"] for c in client.predict(timeline_id=made, api_name="/timeline")["cards"]] == ["<ann>"]


def test_stop_discards_or_keeps(client: Client, studio: Studio, learned: str) -> None:
    started = client.predict(
        pictures=pictures_of(studio, 1),
        name="Ben",
        token="<ben>",
        timeline_id=learned,
        settings={"steps": 100_000},
        keep_pictures=False,
        api_name="/learn",
    )
    stopped = client.predict(job_id=started, keep=False, api_name="/stop")
    assert stopped["state"] == "stopped" and not stopped["concept_id"]
    assert len(client.predict(timeline_id=learned, api_name="/timeline")["cards"]) == 1


def test_the_buttons_stop_the_job_that_is_shown_and_not_the_one_that_runs_by_now(studio: Studio, learned: str) -> None:
    ask, discard = handler(studio, "stop-discard"), handler(studio, "discard-yes")
    shown, sample = studio.job(), studio.samples()[1]
    assert shown and shown.finished
    config = studio.base.train.updated({"steps": 100_000, "preview_every_seconds": 0.0})
    running = studio.learn(LearnRequest(learned, Concept("Ben", "<ben>", sample.pictures), config))
    discard.fn(shown.id, learned, [], "")
    while (view := studio.wait(running, 0.02)).step < 3:
        assert not view.finished, view.message
    asked = ask.fn(Seen(running, "running"), [], "")
    assert running in asked.values() and not studio.wait(running, 0.0).finished
    filled = discard.fn(running, learned, [], "")
    assert studio.wait(running, 60).state == "stopped"
    assert "Ben" in filled.values() and "<ben>" in filled.values()
    (pictures,) = (value for value in filled.values() if isinstance(value, list))
    assert uploaded(pictures) == pictures and len(pictures) == len(sample.pictures)
    assert all(Path(picture).exists() for picture in pictures)
    with pytest.raises(gr.Error, match="Reload the page"):
        ask.fn(None, [], "")


def test_lessons_are_listed_paused_and_gone_on_with(client: Client, studio: Studio, learned: str) -> None:
    config = studio.base.train.updated({"steps": 100_000, "preview_every_seconds": 0.0})
    running = studio.learn(LearnRequest(learned, Concept("Ben", "<ben>", studio.samples()[1].pictures), config))
    while studio.wait(running, 0.02).step < 3:
        pass
    assert [lesson["id"] for lesson in client.predict(api_name="/lessons")] == [running]
    assert client.predict(api_name="/pause")["state"] == "paused"
    assert client.predict(job_id=running, afresh=False, api_name="/resume") == running
    assert client.predict(job_id=running, keep=False, api_name="/stop")["state"] == "stopped"


def test_draw_can_be_pressed_again_after_a_drawing_that_was_lost(studio: Studio, folder: Path, learned: str) -> None:
    found = handler(studio, "draw")
    draw, cancel = part(found, "draw"), part(found, "cancel-draw")
    (job_id,) = (block for block in found.outputs if isinstance(block, gr.State) and block.value == "")
    given = {block: block.value for block in found.inputs}
    shown = found.fn(given | {part(found, "timeline"): learned, part(found, "prompt"): "a photo"})
    changes = next(shown)
    assert not changes[draw]["visible"] and changes[cancel]["visible"]
    studio.wait(changes[job_id], 60)
    shutil.rmtree(folder / "home/jobs" / changes[job_id])
    changes = next(shown)
    assert changes[draw]["visible"] and not changes[cancel]["visible"] and changes[job_id] == ""
    with pytest.raises(gr.Error, match="There is no job"):
        next(shown)


@pytest.mark.parametrize(
    ("endpoint", "values", "words"),
    [
        ("/timeline", {"timeline_id": "nowhere"}, "nowhere"),
        ("/draw", {"prompt": "  ", "timeline_id": "", "as_of": None, "settings": None}, "prompt is empty"),
        ("/draw", {"prompt": "x", "timeline_id": "", "as_of": None, "settings": {"stepz": 1}}, "stepz"),
        ("/learn", {"pictures": [], "name": "X", "token": "<x>"}, "3 to 30"),
        ("/learn", {"pictures": [], "name": "X", "token": "x"}, "cannot be a token"),
        ("/learn", {"pictures": ["/etc/hostname"], "name": "X", "token": "<x>"}, "not uploaded through this page"),
    ],
)
def test_users_errors_come_back_as_sentences(client: Client, endpoint: str, values: dict[str, Any], words: str) -> None:
    with pytest.raises(AppError, match=words):
        client.predict(**values, api_name=endpoint)


WRONG = [None, 5, -1, math.nan, math.inf, 1e308, "x", "\ud800", "\0", "x" * 10_000_000, [], [[]], {}, {"a": 1}, True]
WRONG += ["../../etc/passwd", "\u202egnp.exe", {"seed": "x"}, {"steps": math.nan}, {"steps": [1]}, {"seed": "1-" * 99}]
WRONG += [{"negative_prompt": 5}, {"<ida-rot>": "much"}, {"strength": {}}, {"seed": 1e308}]


@pytest.mark.slow
def test_whatever_is_sent_is_answered_with_a_sentence(studio: Studio, learned: str) -> None:
    """Every endpoint with every wrong thing in each of its places: a refusal of ours, or an answer; never a bug."""
    before, tried = studio.timeline(learned), 0
    api = Api(studio, may_remove=True)
    for name in sorted(place[1:] for place in ENDPOINTS - {"/resume", "/pause", "/undo", "/redo", "/delete"}):
        endpoint = checked(getattr(api, name))
        right = {"prompt": "a photo", "timeline_id": learned, "name": "Ann", "k": 0, "job_id": "0001-learn"}
        right |= {"item_id": "none", "pictures": [], "concept_id": "", "settings": {"steps": 1}}
        places = inspect.signature(getattr(api, name)).parameters
        given = {place: right[place] for place in places if place in right}
        for place in places:
            for wrong in WRONG:
                with suppress(StudioError):
                    endpoint(**{**given, place: wrong})
                tried += 1
    assert tried > 500
    assert [card.token for card in studio.timeline(learned).cards] == [card.token for card in before.cards]
    for summary in studio.timelines():
        studio.trash.delete_timeline(summary.id) if summary.id != learned else None


def test_learn_reads_no_file_that_was_not_uploaded(url: str, tmp_path: Path) -> None:
    for number in range(3):
        Image.new("RGB", (64, 64), (number, 0, 0)).save(tmp_path / f"{number}.png")
    pictures = [{"path": str(tmp_path / f"{number}.png")} for number in range(3)]
    call = f"{url}gradio_api/call/learn"
    event = httpx.post(call, json={"data": [pictures, "Spy", "<spy>", "", {}, False]}).json()["event_id"]
    answer = httpx.get(f"{call}/{event}", timeout=30).text
    assert "event: error" in answer and "not uploaded through this page" in answer


def test_pictures_are_served_and_other_files_are_not(url: str, studio: Studio, client: Client, learned: str) -> None:
    card = client.predict(timeline_id=learned, api_name="/timeline")["cards"][0]
    assert httpx.get(f"{url}gradio_api/file={card['learned_picture']}").status_code == 200
    assert httpx.get(f"{url}gradio_api/file={Path(__file__).resolve()}").status_code == 403
    assert httpx.get(f"{url}gradio_api/file=app.py").status_code == 403


def test_other_websites_cannot_use_the_served_page(url: str) -> None:
    for headers in ({"Host": "rebound.example"}, {"Origin": "http://evil.example"}, {"Origin": "http://127.0.0.1:1"}):
        for place in ("", "gradio_api/info", "gradio_api/upload"):
            answer = httpx.post(url + place, headers=headers) if place else httpx.get(url, headers=headers)
            assert answer.status_code == 403 and "does not answer to this name" in answer.text
    assert httpx.get(url, headers={"Origin": url.rstrip("/")}).status_code == 200


def test_the_page_is_sent_compressed(url: str) -> None:
    with httpx.stream("GET", url, headers={"Accept-Encoding": "gzip"}) as answer:
        as_sent = sum(map(len, answer.iter_raw()))
    assert answer.headers["content-encoding"] == "gzip" and as_sent < 100_000


def test_a_lesson_is_stopped_on_a_shared_page_only_in_the_tab_that_began_it(studio: Studio) -> None:
    def visitor(tab: str) -> gr.Request:
        return gr.Request(session_hash=tab)

    owners = Owners(may_remove=False)
    owners.note("0001-learn", visitor("ann"))
    owners.refuse_others("0001-learn", visitor("ann"))
    for job_id, tab in (("0001-learn", "bob"), ("0002-learn", "ann"), ("0002-learn", "")):
        with pytest.raises(StoreError, match="in the tab of the browser in which it was begun"):
            owners.refuse_others(job_id, visitor(tab))
    Owners(may_remove=True).refuse_others("0002-learn", visitor("bob"))
    with gr.Blocks():
        panel = LessonPanel(studio, may_remove=False, owners=owners)
    seen = Seen("0001-learn")
    for act in (panel._pause, panel._keep, panel._start_over):
        with pytest.raises(StoreError, match="in which it was begun"):
            act(seen, visitor("bob"))


def test_nothing_is_taken_back_on_a_shared_page_without_a_password(studio: Studio, folder: Path, learned: str) -> None:
    shared = Api(studio, may_remove=False)
    for refuse in (shared.undo, shared.redo, shared.delete, shared.restore, shared.rename):
        with pytest.raises(StoreError, match="without a password"):
            refuse(learned)
    for keep in (False, True):  # of whoever began it
        with pytest.raises(StoreError, match="without a password"):
            shared.stop("0001-learn", keep)
    with pytest.raises(StoreError, match="without a password"):
        shared.pause()
    with pytest.raises(StoreError, match="without a password"):
        shared.resume("0001-learn", afresh=True)
    closed = Studio.open(folder / "other", studio.base.path, "cpu", assets=folder / "assets")
    ben = Concept("Ben", "<ben>", studio.samples()[1].pictures)
    waiting = closed.learn(LearnRequest(closed.default_timeline(), ben, studio.base.train))
    closed.close()
    with pytest.raises(StoreError, match="is not being learned now"):
        Api(closed, may_remove=True).stop(waiting, keep=True)
    assert list((folder / "other/uploads" / waiting).iterdir())
    assert len(studio.timeline(learned).cards) == 1
