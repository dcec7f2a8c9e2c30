"""Tools for assistants, called as one calls them: by the protocol's own client, over the served page."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file
from PIL import Image
from tiny.served import make_people, open_studio, served

from clora_core.errors import SettingsError
from clora_core.studio.studio import Studio
from demo import tools

pytest.importorskip("mcp", reason="the package mcp is not installed")
from mcp import ClientSession  # noqa: E402
from mcp.client.streamable_http import streamable_http_client  # noqa: E402

Call = Callable[..., Any]
OFFERED = {
    "timelines",
    "timeline",
    "new_timeline",
    "branch",
    "undo",
    "redo",
    "lessons",
    "pause",
    "resume",
    "stop",
    "teach",
    "draw",
    "progress",
    "rename",
    "delete",
    "trash",
    "restore",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tools")
    make_people(folder / "assets")
    return folder


@pytest.fixture(scope="module")
def studio(folder: Path, tiny_folder: Path) -> Studio:
    return open_studio(folder / "home", tiny_folder, folder / "assets", steps=3)


@pytest.fixture(scope="module")
def url(studio: Studio, folder: Path) -> Iterator[str]:
    with served(studio, folder / "home", folder / "assets", flags=["--mcp"]) as url:
        yield url


@pytest.fixture(scope="module")
def call(url: str) -> Call:
    """call("tool", **values) -> (whether it failed, its contents); without a tool the list of all."""

    async def session(tool: str, values: dict[str, Any]) -> Any:
        async with (
            streamable_http_client(f"{url}gradio_api/mcp/") as (reading, writing, _),
            ClientSession(reading, writing) as client,
        ):
            await client.initialize()
            if not tool:
                return (await client.list_tools()).tools
            result = await client.call_tool(tool, values)
            return result.isError, result.content

    return lambda tool="", **values: asyncio.run(session(tool, values))


def test_an_assistant_is_offered_tools_that_say_what_they_take(call: Call) -> None:
    offered = {tool.name: tool for tool in call()}
    assert set(offered) == OFFERED and all(tool.description for tool in offered.values())
    for name in ("teach", "draw", "progress"):
        assert all(value["description"] for value in offered[name].inputSchema["properties"].values()), name
    assert offered["teach"].inputSchema["required"] == ["name", "folder"]


def test_an_assistant_teaches_draws_lists_and_undoes(call: Call, studio: Studio) -> None:
    _, (timeline,) = call("new_timeline", name="Tools")
    person = str(studio.samples()[0].pictures[0].parent)
    failed, (job,) = call("teach", name="Ann", folder=person, timeline_id=timeline.text)
    assert not failed and studio.wait(job.text, 120).state == "done"
    assert studio.timeline(timeline.text).cards[0].steps == 3
    _, (said,) = call("progress", job_id=job.text)
    assert said.text.startswith("Ann: done.")
    failed, (picture, _) = call("draw", prompt="a photo of <ann>", timeline_id=timeline.text, seed=4)
    assert not failed and picture.type == "image"
    with Image.open(io.BytesIO(base64.b64decode(picture.data))) as image:
        assert image.size == (32, 32)
    _, (listed,) = call("timeline", timeline_id=timeline.text)
    assert "<ann>" in listed.text
    assert not call("undo", timeline_id=timeline.text)[0] and not studio.timeline(timeline.text).cards


@pytest.mark.parametrize(
    ("tool", "values", "words"),
    [
        ("draw", {"prompt": "a photo of <nobody>"}, "not learned at this point"),
        ("draw", {"prompt": " "}, "prompt is empty"),
        ("draw", {"prompt": "a photo", "as_of": 9}, "there is no 9"),
        ("teach", {"name": "Rex", "folder": "/nowhere/at/all"}, "is no folder"),
        ("teach", {"name": "", "folder": "."}, "name"),
        ("undo", {"timeline_id": "nowhere"}, "nowhere"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(call: Call, tool: str, values: dict[str, Any], words: str) -> None:
    failed, (said,) = call(tool, **values)
    assert failed and words in said.text


def test_programmes_call_what_they_always_called(url: str, studio: Studio) -> None:
    client = Client(url, verbose=False)
    pictures = [handle_file(str(path)) for path in studio.samples()[1].pictures]
    timeline = client.predict(name="Programme", api_name="/new_timeline")
    job = client.predict(pictures, "Ben", "<ben>", timeline, {"steps": 1}, False, api_name="/learn")
    assert studio.wait(job, 120).state == "done"


@pytest.mark.parametrize(("others", "password"), [(True, False), (True, True), (False, True)])
def test_tools_are_for_this_machine_only(others: bool, password: bool) -> None:
    with pytest.raises(SettingsError, match="on this machine"):
        tools.refuse_tools_to_others(others, password)
    tools.refuse_tools_to_others(False, False)


def test_the_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="pip install"):
        tools.refuse_tools_to_others(False, False)
