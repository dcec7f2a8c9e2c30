"""One arm of a benchmark: sample people learned in order in one timeline, drawn, and looked for.

An arm goes on where it was interrupted: concepts that stand in its timeline are not learned again,
pictures that lie in its folder are not drawn again.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from clora_core.answers import Card, JobView, Sample
from clora_core.concepts import Concept, LearnedConcept
from clora_core.data.picture_sets import pictures_in, read_samples
from clora_core.disk import replacing, write_json
from clora_core.errors import SettingsError, StudioError
from clora_core.jobs.requests import DrawRequest, LearnRequest
from clora_core.methods import method_named
from clora_core.settings.learning import TrainConfig, decisive
from clora_core.studio.progress import Say, minutes_left, telling
from clora_core.studio.studio import Studio

if TYPE_CHECKING:
    from clora_core.measures.features import Features

FIRST_SEED = 1000

OpenStudio = Callable[[Path], Studio]


@dataclass(frozen=True)
class Person:
    """One sample person's figures in one arm. Cosines: mean over all pairs with the real pictures."""

    name: str
    token: str
    cosine_real: float  # real to real, without each picture with itself: what cannot be beaten
    cosine_learned: float  # drawn as of the day it was learned
    cosine_end: float  # drawn at the end of the timeline
    nearest: str  # whose mean real feature is nearest to the mean of the pictures drawn at the end
    pictures_nearest: float  # share of the single pictures at the end that are nearest to the right person
    seconds: float

    @property
    def recognised(self) -> bool:
        """Drawn at the end, the person is nearest to itself."""
        return self.nearest == self.name


@dataclass(frozen=True)
class Arm:
    """What an arm has on disk: its cards in order, and pictures by (name, as of how many concepts)."""

    cards: tuple[Card, ...]
    drawn: Mapping[tuple[str, int], Sequence[Path]]


def first_and_last(number: int, count: int) -> Iterable[int]:
    """When to draw the ``number``-th of ``count`` concepts: the day it was learned, and at the end."""
    return dict.fromkeys((number, count))


def every_time(number: int, count: int) -> Iterable[int]:
    """When to draw for the full result matrix: after every concept from its own on."""
    return range(number, count + 1)


def run_arm(
    studio: Studio,
    say: Say,
    out: Path,
    arm: str,
    samples: Sequence[Sample],
    config: TrainConfig,
    draws: int,
    times: Callable[[int, int], Iterable[int]] = first_and_last,
    lent: Mapping[str, LearnedConcept] | None = None,
) -> Arm:
    """Learn and draw whatever is missing of one arm; ``draws`` pictures of each concept at each of its times.

    lent: by token, concepts that need not be learned again, because they were under the same settings.

    Raises SettingsError for a number of pictures that cannot be drawn, before anything is learned.
    """
    replace(studio.base.sampling, pictures=draws)
    timeline_id = learn_people(studio, say, out, arm, samples, config, lent)
    steady = method_named(config.method).steady
    cards = studio.timeline(timeline_id).cards[: len(samples)]
    drawn: dict[tuple[str, int], Sequence[Path]] = {}
    for number, (sample, card) in enumerate(zip(samples, cards, strict=True), 1):
        for as_of in times(number, len(samples)):
            say(f"drawing {sample.name} as of {as_of} ({number} of {len(samples)})")
            drawn[sample.name, as_of] = draw_prompt(
                studio,
                out / "drawn" / arm,
                f"{card.token[1:-1]}-as-of-{as_of:02d}",
                timeline_id,
                card.prompt,
                draws,
                as_of,
                drawn.get((sample.name, number), ()) if steady else (),
            )
    return Arm(cards, drawn)


def learn_people(
    studio: Studio,
    say: Say,
    out: Path,
    arm: str,
    samples: Sequence[Sample],
    config: TrainConfig,
    lent: Mapping[str, LearnedConcept] | None = None,
) -> str:
    """Learn whatever is missing of one arm, or take it where it is lent; returns the timeline's id.

    Raises SettingsError when the arm was begun with other people or settings.
    """
    known = {summary.name: summary.id for summary in studio.timelines()}
    timeline_id = known.get(arm) or studio.new_timeline(arm)
    _demand_the_same(studio.timeline(timeline_id).cards, out, samples, config)
    _learn_all(studio, say, timeline_id, samples, config, lent or {})
    # once more: an interrupted learning goes on with the settings that it began with
    _demand_the_same(studio.timeline(timeline_id).cards, out, samples, config)
    return timeline_id


def _demand_the_same(cards: Sequence[Card], out: Path, samples: Sequence[Sample], config: TrainConfig) -> None:
    if any(card.token != sample.token for card, sample in zip(cards, samples, strict=False)):
        raise SettingsError(f"{out} was begun with other people. Choose another --out folder.")
    wanted = {key: value for key, value in decisive(config).items() if value != "auto"}
    begun = [{**TrainConfig().to_json(), **card.settings} for card in cards]
    if any({**settings, **wanted} != settings for settings in begun):
        raise SettingsError(f"{out} was begun with other settings. Choose another --out folder, or the same settings.")


def lendable(learned: Iterable[LearnedConcept], config: TrainConfig) -> dict[str, LearnedConcept]:
    """By token, those that were learned under this very config but for the method's name and the arithmetic's
    precision."""
    return {
        concept.token: concept
        for concept in learned
        if decisive(replace(concept.config, method=config.method, precision=config.precision)) == decisive(config)
    }


def measured_arm(
    arm: str,
    out: Path,
    samples: Sequence[Sample],
    done: Arm,
    references: Mapping[str, Sequence[Path]],
    network: Features,
) -> list[Person]:
    """The figures of an arm drawn at ``first_and_last``, also written to ``<arm>.json``."""
    rows = _measure(samples, done, references, network)
    facts = {"arm": arm, "train": done.cards[-1].settings, "features": network.name}
    write_json(out / f"{arm}.json", {**facts, "people": [vars(row) for row in rows]})
    return rows


def _learn_all(
    studio: Studio,
    say: Say,
    timeline_id: str,
    samples: Sequence[Sample],
    config: TrainConfig,
    lent: Mapping[str, LearnedConcept],
) -> None:
    known = {card.token for card in studio.timeline(timeline_id).cards}
    missing = [sample for sample in samples if sample.token not in known]
    began = time.monotonic()
    for number, sample in enumerate(missing):
        if sample.token in lent:
            found = lent[sample.token]
            studio.take(timeline_id, replace(found, config=replace(found.config, method=config.method)))
            continue
        left = minutes_left(began, number, len(missing))
        learn_sample(
            studio,
            timeline_id,
            sample,
            config,
            telling(say, f"{sample.name} ({number + 1} of {len(missing)}{left})"),
        )


def learn_sample(
    studio: Studio,
    timeline_id: str,
    sample: Sample,
    config: TrainConfig,
    on_progress: Callable[[JobView], None],
) -> JobView:
    """Learn one sample person through the job thread, or go on where that was interrupted; returns the ended job.

    Raises StudioError when it was not learned.
    """
    last = studio.job()
    if last and last.resumable and (last.timeline_id, last.token) == (timeline_id, sample.token):
        job_id = studio.resume(last.id)
    else:
        concept = Concept(sample.name, sample.token, sample.pictures)
        job_id = studio.learn(LearnRequest(timeline_id, concept, config))
    view = studio.follow(job_id, on_progress)
    if view.state != "done":
        raise StudioError(f"{sample.name} was not learned: {view.message}")
    return view


def draw_prompt(
    studio: Studio,
    folder: Path,
    name: str,
    timeline_id: str,
    prompt: str,
    draws: int,
    as_of: int,
    same: Sequence[Path] = (),
) -> list[Path]:
    """``draws`` pictures of a prompt as ``folder``/<name>-1.png and so on; not drawn again when they are there.

    same: pictures that would come out again, to be copied instead.
    """
    wanted = [folder / f"{name}-{number}.png" for number in range(1, draws + 1)]
    if not all(path.exists() for path in wanted):
        folder.mkdir(parents=True, exist_ok=True)
        settings = replace(studio.base.sampling, pictures=draws, seed=FIRST_SEED)
        found = same or studio.draw_now(DrawRequest(timeline_id, prompt, settings, as_of))
        for source, target in zip(found, wanted, strict=True):
            if same:
                with replacing(target) as partial:
                    shutil.copyfile(source, partial)
            else:
                source.replace(target)
    return wanted


def _measure(
    samples: Sequence[Sample], arm: Arm, references: Mapping[str, Sequence[Path]], network: Features
) -> list[Person]:
    from clora_core.measures import metrics
    from clora_core.measures.features import Array, seen, unit

    def features(paths: Sequence[Path]) -> Array:
        return unit(seen(network, paths))

    real = {name: features(paths) for name, paths in references.items()}
    rows = []
    for number, (sample, card) in enumerate(zip(samples, arm.cards, strict=True), 1):
        own = real[sample.name]
        first, end = features(arm.drawn[sample.name, number]), features(arm.drawn[sample.name, len(samples)])
        rows.append(
            Person(
                name=sample.name,
                token=sample.token,
                cosine_real=metrics.cosine_within(own),
                cosine_learned=metrics.cosine(first, own),
                cosine_end=metrics.cosine(end, own),
                nearest=metrics.nearest_person(end, real),
                pictures_nearest=metrics.nearest_share(end, sample.name, real),
                seconds=card.seconds,
            )
        )
    return rows


def first_samples(studio: Studio, people: int, folder: Path | None = None) -> list[Sample]:
    """The first ``people`` of the samples in ``folder`` (None: those that ship with the app), in order.

    Raises SettingsError when there are fewer, or none is asked for.
    """
    if people < 1:
        raise SettingsError(f"{people} people cannot be compared: ask for one or more.")
    samples = (read_samples(folder) if folder else studio.samples())[:people]
    if len(samples) < people:
        raise SettingsError(f"{people} people are asked for, but {folder or 'the app'} has only {len(samples)}.")
    return samples


def reference_pictures(samples: Sequence[Sample], folder: Path | None) -> dict[str, tuple[Path, ...]]:
    """Real pictures by person: from ``folder/<sample folder>``, or the sample's own.

    Raises SettingsError when there are fewer than two of somebody.
    """
    if folder is None:
        return {sample.name: sample.pictures for sample in samples}
    found = {}
    for sample in samples:
        own = folder / sample.pictures[0].parent.name
        found[sample.name] = pictures_in(own)
        if len(found[sample.name]) < 2:
            raise SettingsError(f"There are fewer than 2 reference pictures of {sample.name} in {own}.")
    return found
