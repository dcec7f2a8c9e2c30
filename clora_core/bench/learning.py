"""The concepts of one cell: learned in order in one timeline, or taken from where they were learned, and drawn.

A cell goes on where it was interrupted: concepts that stand in its timeline are not learned again, pictures that lie in
its folder are not drawn again.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from clora_core.answers import Card, JobView, Sample
from clora_core.bench.cells import Cell, Plan
from clora_core.bench.run import Result
from clora_core.concepts import Concept, LearnedConcept, slug
from clora_core.disk import read_json, replacing, write_json
from clora_core.errors import SettingsError, StudioError
from clora_core.jobs.requests import DrawRequest, LearnRequest
from clora_core.models.peak_memory import peak_memory_mb, reset_peak_memory
from clora_core.settings.learning import TrainConfig, decisive
from clora_core.studio.progress import Say, minutes_left, telling
from clora_core.studio.studio import Studio

FIRST_SEED = 1000
TIMELINE = "arm"  # its id in a cell's home, and the folder of its pictures
PEAK_FILE = "peak-memory.json"

OpenStudio = Callable[[Path], Studio]


# ---------------------------------------------------------------------------------------- learning


def learn_concepts(
    studio: Studio,
    say: Say,
    home: Path,
    samples: Sequence[Sample],
    config: TrainConfig,
    lent: Mapping[str, LearnedConcept] = MappingProxyType({}),
) -> None:
    """Learn what is missing, or take it where it is ``lent``, by token. The peak memory of learning is noted: a cell
    that goes on later would measure less.

    Raises SettingsError when ``home`` was begun with other concepts or settings, StudioError when one is not learned.
    """
    reset_peak_memory(studio.device)
    cards = _begun(studio)
    _demand_the_same(cards, home, samples, config)
    missing = samples[len(cards) :]
    began = time.monotonic()
    for number, sample in enumerate(missing):
        if sample.token in lent:
            studio.take(TIMELINE, lent[sample.token])
            continue
        far = f"{sample.name} ({number + 1} of {len(missing)}{minutes_left(began, number, len(missing))})"
        learn_sample(studio, TIMELINE, sample, config, telling(say, far))
    # once more: an interrupted learning goes on with the settings that it began with
    _demand_the_same(studio.timeline(TIMELINE).cards, home, samples, config)
    peaks = [peak_memory_mb(studio.device), noted_peak(home)]
    write_json(home / PEAK_FILE, {"mb": max((peak for peak in peaks if peak), default=None)})


def _begun(studio: Studio) -> Sequence[Card]:
    if TIMELINE not in [summary.id for summary in studio.timelines()]:
        studio.new_timeline(TIMELINE)
    return studio.timeline(TIMELINE).cards


def _demand_the_same(cards: Sequence[Card], home: Path, samples: Sequence[Sample], config: TrainConfig) -> None:
    if [card.token for card in cards] != [sample.token for sample in samples][: len(cards)]:
        raise SettingsError(f"{home} was begun with other concepts. Choose another --out folder.")
    wanted = {key: value for key, value in decisive(config).items() if value != "auto"}
    begun = [{**TrainConfig(config.method).to_json(), **card.settings} for card in cards]
    if any({**settings, **wanted} != settings for settings in begun):
        raise SettingsError(f"{home} was begun with other settings. Choose another --out folder, or the same settings.")


def noted_peak(home: Path) -> int | None:
    """MB that learning took there at most; None = not known."""
    note = home / PEAK_FILE
    return read_json(note)["mb"] if note.exists() else None


def learn_sample(
    studio: Studio,
    timeline_id: str,
    sample: Sample,
    config: TrainConfig,
    on_progress: Callable[[JobView], None],
) -> JobView:
    """Learn one sample concept through the job thread, or go on where that was interrupted; returns the ended job.

    Raises StudioError when it was not learned.
    """
    last = studio.job()
    if last and last.resumable and (last.timeline_id, last.token) == (timeline_id, sample.token):
        job_id = studio.resume(last.id)
    else:
        concept = Concept(sample.name, sample.token, sample.pictures)
        job_id = studio.learn(LearnRequest(timeline_id, concept, config, even_diverged=True))
    view = studio.follow(job_id, on_progress)
    if view.state != "done":
        raise StudioError(f"{sample.name} was not learned: {view.message}")
    return view


# ------------------------------------------------------------------- what is learned on the base model alone


def alone_home(out: Path, config: TrainConfig) -> Path:
    """The folder of what is learned in this way and under these settings, of whichever method."""
    settings = sorted((name, value) for name, value in decisive(config).items() if name != "method")
    digest = hashlib.sha256(repr(settings).encode()).hexdigest()[:8]
    return out / "alone" / f"{slug(config.method.alone)}-seed{config.seed}-{digest}"


def alone_cells(cells: Sequence[Cell], plan: Plan) -> list[Cell]:
    """One cell for each folder in which concepts are learned on the base model alone."""
    configs = [(cell, plan.config(cell)) for cell in cells]
    return list({alone_home(Path(), config): cell for cell, config in configs if config.method.alone}.values())


def learn_alone(open_studio: OpenStudio, out: Path, plan: Plan, cell: Cell, say: Say) -> Result:
    """Learn every concept of the plan once, on the base model alone, for all orders and all methods that do so."""
    config = plan.config(cell)
    home = alone_home(out, config)
    studio = open_studio(home)
    try:
        learn_concepts(studio, say, home, plan.samples(), config)
    finally:
        studio.close()
    return {}, {}


def learned_alone(open_studio: OpenStudio, out: Path, config: TrainConfig) -> dict[str, LearnedConcept]:
    """By token, what ``learn_alone`` learned under this very config; {} for methods that build on the past."""
    home = alone_home(out, config)
    if not config.method.alone or not home.is_dir():
        return {}
    studio = open_studio(home)
    try:
        learned = studio.learned(TIMELINE)
    finally:
        studio.close()
    return {found.token: replace(found, config=found.config.under(config.method)) for found in learned}


# ----------------------------------------------------------------------------------------- drawing


def draw_concepts(
    studio: Studio, say: Say, home: Path, draws: int, steady: bool, whole: bool
) -> dict[tuple[str, int], list[Path]]:
    """``draws`` pictures of every concept of the timeline by (token, as of how many concepts).

    whole: after every later concept; otherwise only when it was learned and at the end.  steady: later pictures are the
    first ones again, and are copied.
    """
    cards = studio.timeline(TIMELINE).cards
    drawn: dict[tuple[str, int], list[Path]] = {}
    for number, card in enumerate(cards, 1):
        times: Iterable[int] = range(number, len(cards) + 1) if whole else dict.fromkeys((number, len(cards)))
        for as_of in times:
            say(f"drawing {card.name} as of {as_of} ({number} of {len(cards)})")
            name, same = f"{card.token[1:-1]}-as-of-{as_of:02d}", drawn.get((card.token, number), []) if steady else []
            drawn[card.token, as_of] = _draw(studio, home / "drawn" / TIMELINE, name, card.prompt, draws, as_of, same)
    return drawn


def draw_as_asked(studio: Studio, say: Say, home: Path, endings: Sequence[str]) -> dict[str, list[Path]]:
    """By token, one picture of every concept at the end with each ending of its prompt."""
    cards = studio.timeline(TIMELINE).cards
    drawn: dict[str, list[Path]] = {}
    for card in cards:
        drawn[card.token] = []
        for number, ending in enumerate(endings):
            say(f"drawing {card.name} as asked ({number + 1} of {len(endings)})")
            name, prompt = f"{card.token[1:-1]}-asked-{number}", f"{card.prompt} {ending}"
            drawn[card.token] += _draw(studio, home / "drawn" / "asked", name, prompt, 1, len(cards))
    return drawn


def _draw(
    studio: Studio, folder: Path, name: str, prompt: str, draws: int, as_of: int, same: Sequence[Path] = ()
) -> list[Path]:
    """``folder``/<name>-1.png and so on, drawn where they are missing. same: pictures that would come out again."""
    wanted = [folder / f"{name}-{number}.png" for number in range(1, draws + 1)]
    if not all(path.exists() for path in wanted):
        folder.mkdir(parents=True, exist_ok=True)
        settings = replace(studio.base.sampling, pictures=draws, seed=FIRST_SEED)
        found = same or studio.draw_now(DrawRequest(TIMELINE, prompt, settings, as_of))
        for source, target in zip(found, wanted, strict=True):
            if same:
                with replacing(target) as partial:
                    shutil.copyfile(source, partial)
            else:
                source.replace(target)
    return wanted
