"""How the page binds its handlers: no refusal can be silent, and nothing waits behind a drawing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio.blocks import BlockFunction
from tiny.served import make_people, open_studio

from demo.page import build_demo


@pytest.fixture(scope="module")
def bound(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[BlockFunction]]:
    """Every handler of the page and of its API."""
    folder = tmp_path_factory.mktemp("events")
    make_people(folder / "assets")
    studio = open_studio(folder / "home", tiny_folder, folder / "assets")
    yield [found for found in build_demo(studio).fns.values() if found.fn]
    studio.close()


def test_what_can_refuse_goes_through_the_queue(bound: list[BlockFunction]) -> None:
    """Gradio shows the error of a handler with ``queue=False`` to nobody."""
    silent = [f.name for f in bound if not f.queue and not getattr(f.fn, "never_refuses", False)]
    assert silent == [], "bind these with QUEUED, or mark them never_refuses where that is true"


def test_what_can_refuse_says_it_in_a_notice(bound: list[BlockFunction]) -> None:
    """Queued handlers are wrapped by ``told``."""
    assert [f.name for f in bound if f.queue and not hasattr(f.fn, "__wrapped__")] == []


def test_nothing_but_uploads_waits_for_its_turn(bound: list[BlockFunction]) -> None:
    assert {f.name for f in bound if f.queue and f.concurrency_limit is not None} == {"_dropped", "_collect"}


def test_no_event_is_played_again_for_two_handlers(bound: list[BlockFunction]) -> None:
    """Gradio plays the whole event again for an ``always_last`` handler: two of them would call each other for good."""
    again: dict[object, set[str]] = {}
    for handler in bound:
        if handler.trigger_mode == "always_last":
            for target in handler.targets:
                if target[0] is not None:
                    again.setdefault(target, set()).add(str(handler.name))
    assert [names for names in again.values() if len(names) > 1] == [], "bind these with whenever"
