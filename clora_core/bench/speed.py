"""``bench speed``: seconds to learn one concept and to draw a picture, and what the penalty costs. One cell."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from clora_core.answers import Sample
from clora_core.bench.cells import Cell, Plan
from clora_core.bench.learning import OpenStudio, learn_sample
from clora_core.bench.lines import Line
from clora_core.bench.measure import facts
from clora_core.bench.run import Result
from clora_core.bench.tables import table
from clora_core.concepts import Concept
from clora_core.jobs.requests import DrawRequest
from clora_core.models.description import BaseModel
from clora_core.models.loading import load_backbone
from clora_core.studio.progress import Say, telling

PENALTY_REPEATS = 20
PENALTY_AT = (2, 20)  # concepts for whose learning the penalty is timed
PICTURES = 3


def speed_cell(plan: Plan) -> Cell:
    """The preset as it is."""
    return Cell("speed", {}, seed=plan.base.train.seed)


def measure_speed(open_studio: OpenStudio, out: Path, plan: Plan, cell: Cell, say: Say) -> Result:
    """Learn the first concept with the model's preset, previews and checks as in the app, and draw three pictures."""
    home, (sample,), config = out / "cells" / cell.id, plan.samples(), plan.base.train
    shutil.rmtree(home, ignore_errors=True)  # half a measurement is none
    studio = open_studio(home)
    try:
        timeline_id = studio.new_timeline("speed")
        say("loading the model")
        began = time.monotonic()
        studio.warm_up()
        settings = replace(studio.base.sampling, pictures=1)
        studio.draw_now(DrawRequest(timeline_id, "a portrait", replace(settings, steps=1)))
        load_seconds = time.monotonic() - began
        view = learn_sample(studio, timeline_id, sample, config, telling(say, sample.name))
        pictures = []
        for seed in range(PICTURES):
            say(f"drawing picture {seed + 1} of {PICTURES}")
            began = time.monotonic()
            studio.draw_now(DrawRequest(timeline_id, f"a photo of {sample.token}", replace(settings, seed=seed)))
            pictures.append(time.monotonic() - began)
        card, base = studio.timeline(timeline_id).cards[0], studio.base
    finally:
        studio.close()
    penalty_seconds = _penalty_seconds(base, studio.device, home, timeline_id, sample)
    step_seconds = card.seconds / card.steps
    line = {
        **facts(cell, plan, base, [sample], config),
        "cpus": os.cpu_count(),
        "load_seconds": round(load_seconds, 2),
        "steps": card.steps,
        "learn_seconds": round(view.seconds, 2),
        "learn_without_previews_seconds": round(card.seconds, 2),
        "picture_seconds": round(statistics.median(pictures), 2),
        "penalty_share_of_a_step": {
            str(number): round(own / (step_seconds + own), 4) for number, own in penalty_seconds.items()
        },
        "sampling": base.sampling.to_json(),
    }
    return line, {}


def _penalty_seconds(
    base: BaseModel, device: str | None, home: Path, timeline_id: str, sample: Sample
) -> dict[int, float]:
    """Median seconds of lambda * L_forget, forward and backward, for each of ``PENALTY_AT``, by its number.

    The concepts before it are the one that was learned, again and again. The numbers take turns, so that whatever
    else the machine does slows them alike.
    """
    import torch

    from clora_core.methods import class_of
    from clora_core.store.store import ConceptStore

    backbone = load_backbone(base.path, device)
    timeline, methods = ConceptStore(home, base.methods).load(timeline_id, base.id), {}
    for number in PENALTY_AT:
        while (count := len(timeline.concepts) + 1) < number:
            timeline = timeline.then(replace(timeline.concepts[0], token=f"<p{count}>", id=f"{count:03d}-p"))
        method = class_of(base.train.method)(base.train)
        concept = Concept("next", "<next>", sample.pictures)
        method.install(backbone, timeline, "", reserve=concept.token)
        method.begin_concept(backbone, concept, timeline)
        methods[number] = method
    seconds: dict[int, list[float]] = {number: [] for number in methods}
    for _ in range(PENALTY_REPEATS):
        for number, method in methods.items():
            began = time.perf_counter()
            method.penalty().backward()
            if backbone.device.type == "cuda":
                torch.cuda.synchronize()
            seconds[number].append(time.perf_counter() - began)
    return {number: statistics.median(own) for number, own in seconds.items()}


def speed_report(line: Line) -> dict[str, Any]:
    """The line, and its figures as a table."""
    (name,), steps, seconds = line["concepts"], line["steps"], line["learn_without_previews_seconds"]
    rows = [
        ["load the model and the libraries", f"{line['load_seconds']:.1f} s"],
        [f"learn {name}, {steps} steps, with previews and checks", f"{line['learn_seconds']:.1f} s"],
        ["of that, the steps alone", f"{seconds:.1f} s ({seconds / steps * 1000:.0f} ms a step)"],
        [f"one picture, {line['sampling']['steps']} steps", f"{line['picture_seconds']:.2f} s"],
    ]
    for number, share in line["penalty_share_of_a_step"].items():
        rows.append([f"penalty, share of a step of concept {number}", f"{share:.2%}"])
    return {"text": table([line["model"], "measured"], rows), **line}
