"""How fast this machine learns, from a few steps tried while nothing else is done."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from clora_core.answers import Estimate
from clora_core.concepts import Concept, Timeline, TrainConfig, TrainStep
from clora_core.data.pictures import MIN_PICTURES, CheckedPicture
from clora_core.drawing.generate import generate
from clora_core.errors import Cancelled
from clora_core.jobs.check import CARD_STEPS, Loaded, card_settings
from clora_core.jobs.learn import PREVIEW_SHARE, PREVIEW_STEPS
from clora_core.learning.trainer import Training, train_concept
from clora_core.models.peak_memory import peak_memory_mb
from clora_core.settings.memory import Fit

TRIED_STEPS = 4


@dataclass(frozen=True)
class Pace:
    """What was measured: seconds of a step, of encoding one view, of drawing one card picture; memory in MB, None where
    the system does not tell.  fit: as estimated, with what was done in the end."""

    step: float
    view: float
    card: float
    megabytes: int | None
    fit: Fit | None = None


def estimate(pace: Pace, config: TrainConfig, pictures: int, older: int) -> Estimate:
    """How long a lesson takes at this pace, previews and checks included. older: how many concepts come before it."""
    preview = pace.card * PREVIEW_STEPS / CARD_STEPS * (2 if older else 1)
    every = max(config.preview_every_seconds, preview / PREVIEW_SHARE)
    drawn = preview / (every + preview) if config.preview_every_seconds else 0.0
    learning = config.steps * pace.step / (1 - drawn)
    seconds = pictures * config.augment_copies * pace.view + learning + (older + 2) * pace.card
    return Estimate(seconds, pace.megabytes, pace.fit)


def try_pace(model: Loaded, timeline: Timeline, config: TrainConfig, give_way: Callable[[], bool]) -> Pace:
    """Learn a few steps from noise and draw one card picture; nothing is kept. give_way: whether somebody waits.

    Raises Cancelled when somebody does.
    """

    def check(done: int = 0, total: int = 0) -> None:
        if give_way():
            raise Cancelled("Somebody waits.")

    began, steps = time.perf_counter(), list[TrainStep]()
    with _trial(model, timeline, config, check) as training:
        ready = 0.0
        for step in training:
            ready = ready or time.perf_counter() - began
            steps.append(step)
            check()
        fit = training.fit
    each = statistics.median(after.seconds - one.seconds for one, after in zip(steps, steps[1:], strict=False))
    began = time.perf_counter()
    generate(model.backbone, timeline.as_of(0), "a photo", card_settings(model.base, CARD_STEPS), check)
    card = time.perf_counter() - began
    return Pace(each, max(0.0, ready - each) / MIN_PICTURES, card, peak_memory_mb(str(model.backbone.device)), fit)


def fit_of(model: Loaded) -> Fit:
    """Whether learning a first concept with the model's preset fits; nothing is learned for it."""
    with _trial(model, Timeline("trial", "Trial", model.base.id), model.base.train, lambda done, total: None) as trial:
        return trial.fit


def _trial(model: Loaded, timeline: Timeline, config: TrainConfig, on_draw: Callable[[int, int], None]) -> Training:
    """A few steps on pictures of noise, at the end of a timeline."""
    short = {"steps": TRIED_STEPS, "augment_copies": 1, "preview_every_seconds": 0.0, "prior_pictures": 0}
    return train_concept(
        model.backbone,
        Concept("Trial", "<trial-of-pace>", tuple(Path(f"noise-{number}.png") for number in range(MIN_PICTURES))),
        replace(timeline, method=config.method),
        config.updated(short),
        sampling=model.base.sampling,
        on_draw=on_draw,
        opening=noise_picture,
    )


def noise_picture(path: Path, min_side: int) -> CheckedPicture:
    """A picture of noise in the place of a file."""
    rng = np.random.default_rng(sum(path.name.encode()))
    side = 2 * min_side
    image = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
    return CheckedPicture(path, image, sha256=path.name, file_size=image.size)
