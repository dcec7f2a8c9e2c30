"""Two measurements, each one command and each through the same door as the page; ``clora_core.bench.sweep`` and
``clora_core.bench.forgetting.cells`` hold the others.

``speed``     seconds to learn one sample person and to draw a picture, and what the penalty costs.
``sequence``  the sample people learned in order; at the end everyone is drawn and looked for.

``sequence`` works in a folder of its own and goes on where it was interrupted: its concepts and its drawn
pictures are not made again.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from clora_core.answers import Sample
from clora_core.bench.arm import (
    OpenStudio,
    first_samples,
    learn_sample,
)
from clora_core.bench.tables import table
from clora_core.concepts import Concept
from clora_core.jobs.requests import DrawRequest
from clora_core.models.description import BaseModel
from clora_core.models.loading import load_backbone
from clora_core.studio.progress import Say, telling

PENALTY_REPEATS = 20
PENALTY_AT = (2, 20)  # concepts for whose learning the penalty is timed

# ------------------------------------------------------------------------------------------- speed


def speed(open_studio: OpenStudio, say: Say) -> dict[str, Any]:
    """Learn the first sample with the model's preset and draw three pictures, in a folder thrown away."""
    with tempfile.TemporaryDirectory(prefix="clora-speed-") as folder:
        studio = open_studio(Path(folder))
        try:
            sample, timeline_id = first_samples(studio, 1)[0], studio.new_timeline("speed")
            say("loading the model")
            began = time.monotonic()
            studio.warm_up()
            settings = replace(studio.base.sampling, pictures=1)
            studio.draw_now(DrawRequest(timeline_id, "a portrait", replace(settings, steps=1)))
            load_seconds = time.monotonic() - began
            view = learn_sample(studio, timeline_id, sample, studio.base.train, telling(say, sample.name))
            pictures = []
            for seed in range(3):
                say(f"drawing picture {seed + 1} of 3")
                began = time.monotonic()
                studio.draw_now(DrawRequest(timeline_id, f"a photo of {sample.token}", replace(settings, seed=seed)))
                pictures.append(time.monotonic() - began)
            card = studio.timeline(timeline_id).cards[0]
            base, device = studio.base, studio.device
        finally:
            studio.close()
        penalty_seconds = _penalty_seconds(base, device, Path(folder), timeline_id, sample)
    step_seconds = card.seconds / card.steps
    shares = {number: own / (step_seconds + own) for number, own in penalty_seconds.items()}
    result = {
        "model": base.name,
        "cpus": os.cpu_count(),
        "load_seconds": round(load_seconds, 2),
        "steps": card.steps,
        "learn_seconds": round(view.seconds, 2),
        "learn_without_previews_seconds": round(card.seconds, 2),
        "picture_seconds": round(statistics.median(pictures), 2),
        "penalty_share_of_a_step": {number: round(share, 4) for number, share in shares.items()},
        "train": base.train.to_json(),
        "sampling": base.sampling.to_json(),
    }
    return {
        **result,
        "text": table(
            [base.name, "measured"],
            [
                ["load the model and the libraries", f"{load_seconds:.1f} s"],
                [
                    f"learn {sample.name}, {card.steps} steps, with previews and checks",
                    f"{view.seconds:.1f} s",
                ],
                ["of that, the steps alone", f"{card.seconds:.1f} s ({step_seconds * 1000:.0f} ms a step)"],
                [f"one picture, {base.sampling.steps} steps", f"{result['picture_seconds']:.2f} s"],
                *(
                    [f"penalty, share of a step of concept {number}", f"{share:.2%}"]
                    for number, share in shares.items()
                ),
            ],
        ),
    }


def _penalty_seconds(
    base: BaseModel, device: str | None, home: Path, timeline_id: str, sample: Sample
) -> dict[int, float]:
    """Median seconds of lambda * L_forget, forward and backward, for each of ``PENALTY_AT``, by its number.

    The concepts before it are the one that was learned, again and again. The numbers take turns, so that whatever
    else the machine does slows them alike.
    """
    import torch

    from clora_core.methods import method_named
    from clora_core.store.store import ConceptStore

    backbone = load_backbone(base.path, device)
    timeline, methods = ConceptStore(home).load(timeline_id, base.id), {}
    for number in PENALTY_AT:
        while (count := len(timeline.concepts) + 1) < number:
            timeline = timeline.then(replace(timeline.concepts[0], token=f"<p{count}>", id=f"{count:03d}-p"))
        method = method_named(base.train.method)(base.train)
        concept = Concept("next", "<next>", sample.pictures)
        method.install(backbone, timeline, "", reserve=concept.token)
        method.begin_concept(backbone, concept, timeline)
        methods[number] = method
    seconds: dict[int, list[float]] = {number: [] for number in methods}
    for _ in range(PENALTY_REPEATS):
        for number, method in methods.items():
            began = time.perf_counter()
            method.penalty().backward()  # type: ignore[no-untyped-call]
            if backbone.device.type == "cuda":
                torch.cuda.synchronize()
            seconds[number].append(time.perf_counter() - began)
    return {number: statistics.median(own) for number, own in seconds.items()}


# ---------------------------------------------------------------------------------------- sequence


# -------------------------------------------------------------------------------------- wording
