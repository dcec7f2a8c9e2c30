"""Requests as values: JSON and back, the job files of earlier versions, and damage."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clora_core.concepts import Concept
from clora_core.errors import StoreError
from clora_core.jobs.board import JobBoard
from clora_core.jobs.folder import Job
from clora_core.jobs.requests import CompareRequest, DrawRequest, LearnRequest, Request
from clora_core.settings.drawing import SamplingConfig
from clora_core.settings.learning import TrainConfig

REX = Concept("Rex", "<rex>", (Path("01.png"), Path("02.jpg")), "a drawing of {}")
LEARN = LearnRequest("my-concepts", REX, TrainConfig(steps=7, seed=3))
DRAW = DrawRequest("my-concepts", "a photo of <rex>", SamplingConfig(steps=2), as_of=1)
EARLIER = {  # job.json as it was written before requests were values
    "learn": {
        "timeline_id": "my-concepts",
        "config": {"method": "clora", "rank": 2, "steps": 40, "preview_every_seconds": 0.0},
        "keep_pictures": False,
        "comparison": "",
        "place": None,
        "concept": {"name": "Rex", "token": "<rex>", "template": "a photo of {}", "pictures": ["01.png", "02.png"]},
    },
    "draw": {"timeline_id": "my-concepts", "prompt": "a photo", "settings": {"steps": 2, "seed": 5}, "as_of": None},
}


@pytest.mark.parametrize(
    "request_",
    [
        LEARN,
        replace(LEARN, keep_pictures=True, comparison="my-concepts-1", place=2),
        DRAW,
        replace(DRAW, as_of=None),
        CompareRequest("my-concepts", ("sequential", "routed"), {"<rex>": (Path("/tmp/a.png"),)}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_request_comes_back_from_json_as_it_was(request_: Request) -> None:
    assert type(request_).from_json(json.loads(json.dumps(request_.to_json()))) == request_


def test_the_job_files_of_earlier_versions_are_read() -> None:
    learn, draw = LearnRequest.from_json(EARLIER["learn"]), DrawRequest.from_json(EARLIER["draw"])
    assert learn.concept == Concept("Rex", "<rex>", (Path("01.png"), Path("02.png")))
    assert (learn.timeline_id, learn.config.steps, learn.comparison, learn.place) == ("my-concepts", 40, "", None)
    assert (draw.prompt, draw.settings.seed, draw.as_of) == ("a photo", 5, None)
    without = {key: value for key, value in EARLIER["learn"].items() if key not in ("comparison", "place")}
    assert LearnRequest.from_json(without) == learn


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ({"concept": None}, "concept: "),
        ({"timeline_id": 3}, "timeline_id: "),
        ({"place": "first"}, "place: "),
        ({"config": None}, "NoneType"),
        ({"config": {"rank": 0}}, "rank must be between 1"),
        ({"concept": {"name": "Rex", "token": "rex", "pictures": []}}, "cannot be a token"),
    ],
    ids=lambda value: str(value),
)
def test_a_damaged_request_disables_its_job_only(tmp_path: Path, damage: dict[str, Any], words: str) -> None:
    board = JobBoard(tmp_path / "jobs", lambda: None, {})
    whole, hurt = (Job.create(tmp_path / "jobs", "nobody", LEARN, threading.Condition()) for _ in range(2))
    record = {**hurt.record, "request": {**hurt.record["request"], **damage}}
    (hurt.folder / "job.json").write_text(json.dumps(record))
    assert [job.id for job in board.jobs("learn")] == [whole.id]
    with pytest.raises(StoreError, match=f"The job {hurt.id} is damaged. .*{words}.* Delete the folders") as error:
        board.find(hurt.id)
    assert "\n" not in str(error.value)
