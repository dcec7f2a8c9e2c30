"""The same concepts, in the same order, with the same seeds, under two methods or more.

A comparison is timelines, nothing more: *siblings* begin with the same concepts (``Comparisons.siblings``), and are
compared as they were after the last one they all share. Two things are read from the pictures that were drawn of every
concept after every learning: how much they have changed since, and how much they look like the real ones.
"""

from __future__ import annotations

import itertools
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL.PngImagePlugin import PngInfo

from clora_core.answers import Card, Sample, Side, TimelineSummary, TimelineView, fair, to_plain
from clora_core.concepts import Concept, same_base
from clora_core.data.pictures import Opening, PictureSet, accepted, minimum_side, open_pictures, usable
from clora_core.disk import replacing
from clora_core.drawing.contact_sheet import contact_sheet
from clora_core.errors import SettingsError, StoreError
from clora_core.jobs.board import JobBoard
from clora_core.jobs.folder import Job
from clora_core.jobs.queue import comparison_jobs, queue_learning, refuse_while_learning
from clora_core.jobs.requests import CompareRequest, LearnRequest
from clora_core.models.description import BaseModel
from clora_core.settings.fields import labelled
from clora_core.settings.learning import TrainConfig
from clora_core.settings.methods import MethodRow
from clora_core.store.store import ConceptStore
from clora_core.studio.estimates import Estimates
from clora_core.verdict import health

Note = tuple[int, str]
"""How many pictures, and their digest; "" where it was not noted which they were."""
EFFORT = ("steps", "batch_size", "resolution")  # alike on both sides, or the one that did more looks better for that
CHUNK = "comparison"  # the PNG text chunk that holds all timelines' settings, as JSON


class Comparisons:
    """Finds, measures, starts and stops comparisons; ``Studio.comparisons`` is one."""

    def __init__(
        self,
        store: ConceptStore,
        board: JobBoard,
        base: Callable[[], BaseModel],
        samples: Callable[[], list[Sample]],
        home: Path,
        opening: Opening,
        estimates: Estimates,
        likeness: Callable[[str, int | None], tuple[Mapping[str, float], Mapping[str, float]]],
    ) -> None:
        """likeness: timeline id, after how many concepts -> by token, as learned and then (``Likenesses``)."""
        self._store, self._board, self._base, self._samples = store, board, base, samples
        self._likeness, self._estimates = likeness, estimates
        self._folder, self._opening = home / "comparisons", opening
        self._note_of_files = lru_cache(64)(lambda paths: _note(usable(open_pictures(paths, 1, opening))))

    def siblings(self, timeline_id: str) -> list[TimelineSummary]:
        """Other timelines that ``shared`` something with this one; those that share most come first, then those changed
        last."""
        own = self._store.view(timeline_id, self._base().id)
        if not own.usable or len(own.cards) < 2:
            return []
        found = []
        for summary in self._store.summaries(self._base().id):
            if summary.usable and summary.id != timeline_id and summary.concepts > 1:
                with suppress(StoreError):  # one that cannot be read is nobody's sibling
                    if count := _shared(own, self._store.view(summary.id)):
                        found.append((count, summary))
        return [summary for _, summary in sorted(found, key=lambda pair: -pair[0])]

    def shared(self, left: str, right: str) -> int:
        """With how many of the same concepts two timelines begin: same tokens, prompts, seeds and pictures (as many,
        where they were not noted), in the same order; 0 below two, and for a branch, whose concepts are the other
        one's."""
        return _shared(self._store.view(left), self._store.view(right))

    def sides(self, timelines: Sequence[str]) -> list[Side]:
        """Each timeline as it was after the last concept that all share with the first.

        Raises SettingsError when one does not begin with the same concepts.
        """
        first, *others = timelines
        shared = min(self.shared(first, other) for other in others)
        if not shared:
            raise SettingsError(
                "These timelines do not begin with the same concepts any more, so there is nothing to compare. "
                "Reload the page."
            )
        return [self.side(timeline_id, shared) for timeline_id in timelines]

    def side(self, timeline_id: str, as_of: int | None = None) -> Side:
        """One side, measured after its first ``as_of`` concepts (None = all). Raises StoreError when there is no such
        timeline."""
        view = self._store.view(timeline_id, self._base().id, as_of)
        older = [card.changed for card in view.cards[:-1] if card.changed is not None]
        states = [health(changed) for changed in older]
        then, now = self._likeness(timeline_id, as_of)
        return Side(
            view,
            self._base().methods.title(view.method),
            self._store.changes(timeline_id, as_of),
            statistics.fmean(older) if older else math.nan,
            states.count("as good as new"),
            states.count("fading"),
            states.count("lost"),
            sum(card.seconds for card in view.cards),
            self._store.weight_bytes(timeline_id, as_of) / 1e6,
            then,
            now,
        )

    def pictures(self, timeline_id: str) -> dict[str, tuple[Path, ...]]:
        """By token, the pictures each concept can be learned from again: those kept by consent, or those of the
        sample it was learned from; () for a concept that has neither."""
        samples = {(s.name, s.token): s.pictures for s in self._samples()}
        kept, found = self._store.kept_pictures(timeline_id), {}
        for card in self._store.view(timeline_id).cards:
            sample = samples.get((card.name, card.token), ())
            if not _same_pictures(_noted(card), self._note_of_files(sample)):
                sample = ()  # somebody else of that name
            found[card.token] = kept[card.id] or sample
        return found

    def one_of_each(self, pictures: Mapping[str, Sequence[Path]], kept: bool) -> dict[str, Path]:
        """By token, one of the ``pictures`` of each concept to be shown, where there are any.

        kept: those kept by consent, too, and not only those of samples.
        """
        public = {picture for sample in self._samples() for picture in sample.pictures}
        firsts = {token: found[0] for token, found in pictures.items() if found}
        return {token: path for token, path in firsts.items() if kept or path in public}

    def seconds(self, timeline_id: str, methods: Sequence[str]) -> float:
        """About how long ``start`` would learn. Raises StoreError when there is no such timeline."""
        cards = self._store.view(timeline_id, self._base().id).cards
        return sum(
            self._estimates.again(timeline_id, card, self._config(card, method)).seconds
            for method in methods
            for card in cards
        )

    def _config(self, card: Card, method: str) -> TrainConfig:
        """What a concept is learned with again: its seed and effort, and the other settings as the method's preset."""
        alike = {name: card.settings[name] for name in ("seed", *EFFORT)}
        return self._base().train_with({"method": method, **alike})

    def start(self, request: CompareRequest) -> list[str]:
        """Queue the learning of the timeline's concepts under each method, in new timelines; returns their ids.

        Every concept keeps its seed and the effort it was learned with (``EFFORT``); the other settings are the preset
        of its method.

        Raises SettingsError: no method, fewer than two concepts, or a concept was brought in, or has no pictures or
        others than it was learned from.  PictureError: too few of them can be used.  BusyError: a concept is being
        learned.  Nothing is begun then.
        """
        timeline_id, methods = request.timeline_id, request.methods
        refuse_while_learning(self._board)
        view = self._store.view(timeline_id, self._base().id)
        if not methods or len(view.cards) < 2:
            raise SettingsError("A comparison needs at least one method and a timeline of two concepts or more.")
        if brought := [card.name for card in view.cards if card.brought]:
            raise SettingsError(
                f"{', '.join(brought)} came from another programme, without pictures, so nobody can learn it again "
                "under another method. Compare a timeline that was taught here."
            )
        pictures = {token: request.pictures.get(token) or found for token, found in self.pictures(timeline_id).items()}
        missing = [token for token, found in pictures.items() if not found]
        if missing:
            raise SettingsError(
                f"There are no pictures of {', '.join(missing)} to learn from. Add them, or keep pictures when you "
                f"teach."
            )
        made, base, comparison = [], self._base(), f"{timeline_id}-{time.time_ns()}"
        self._store.check(timeline_id, base.id)
        smallest = minimum_side(max(card.settings["resolution"] for card in view.cards))
        # all or nothing: before anything is made
        others, digests = [], dict[str, str]()
        for card in view.cards:
            found = accepted(open_pictures(pictures[card.token], smallest, self._opening))
            pictures[card.token], digests[card.token] = found.paths, found.sha256
            if not _same_pictures(_noted(card), _note(found)):
                others.append(card.name)
        if others:
            raise SettingsError(
                f"{', '.join(others)} {'was' if len(others) == 1 else 'were'} learned from other pictures than "
                f"these. Give the "
                "same ones, or there would be nothing to compare."
            )
        for method in methods:
            name = self._store.free_title(f"{view.name} · {base.methods.title(method)}")
            new_id = self._store.create(name, base.id, base.name, method, comparison=comparison)
            for place, card in enumerate(view.cards):
                concept = Concept(card.name, card.token, pictures[card.token], card.prompt.replace(card.token, "{}"))
                settings = self._config(card, method)
                asked = LearnRequest(new_id, concept, settings, False, comparison, place, even_diverged=True)
                queue_learning(self._board, asked, digests[card.token])
            made.append(new_id)
        return made

    def stop(self) -> None:
        """Stop the learning that runs for a comparison and drop what waits; what is learned stays."""
        for job in self._asked():
            if not job.finished:
                self._board.stop(job.id, keep=False)

    def progress(self) -> tuple[int, int]:
        """(learned, all) of the concepts of the comparison that is running; (0, 0) when none is."""
        asked = self._asked()
        running = {job.comparison for job in asked if not job.finished}  # one at most
        finished = [job.finished for job in asked if job.comparison in running]
        return sum(finished), len(finished)

    def _asked(self) -> list[Job]:
        """Learn jobs of the comparison that is running; [] when none is."""
        running = next((job for job in self._board.line() if job.comparison), None)
        return comparison_jobs(self._board, running.comparison) if running else []

    def picture(self, timelines: Sequence[str], kept: bool = False) -> Path:
        """The whole comparison as one PNG: a real picture of each concept, where one is at hand, what was drawn, how
        much each looks like the real ones and has changed, and every side's figures and settings; all settings are
        inside (text chunk "comparison", JSON).

        kept: see ``one_of_each``.

        Raises SettingsError when the timelines do not begin with the same concepts.
        """
        sides = self.sides(timelines)
        cards, real = sides[0].timeline.cards, self.one_of_each(self.pictures(timelines[0]), kept)
        shown = [("real", [("one of them", [real.get(card.token) for card in cards])])] if real else []
        sheet = contact_sheet(
            [card.name for card in cards],
            [*shown, *((side.title, _columns(side.timeline.cards)) for side in sides)],
            captions=dict(itertools.chain.from_iterable(map(_captions, sides))),
            notes=[*([] for _ in shown), *(self._notes(side, fair(sides)) for side in sides)],
        )
        chunk = PngInfo()
        chunk.add_text(CHUNK, json.dumps({"model": self._base().name, "sides": [_facts(side) for side in sides]}))
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"comparison-{timelines[0]}-{time.strftime('%Y%m%d-%H%M%S')}.png"
        with replacing(path) as partial:
            sheet.save(partial, "PNG", pnginfo=chunk)
        return path

    def _notes(self, side: Side, fair: bool) -> list[str]:
        """Below a side's columns: its figures, then what it was taught with."""
        lines = [f"Older pictures changed by {_figure(side.mean_change, '.0%')} on average."]
        if side.likeness_now:
            then, now = (_figure(value, ".2f") for value in (side.mean_likeness_then, side.mean_likeness_now))
            lines.append(f"Likeness to the real ones: {then} as learned, {now} now (1 = the same).")
        if not fair:
            lines.append("The sides learned with unequal effort: neither is better for it.")
        cards = side.timeline.cards
        efforts = dict.fromkeys(f"{s} steps of {b} at {r} px" for s, b, r in side.effort)
        row = self._base().methods.find(side.timeline.method)
        specs = TrainConfig(row).specs() if row else {}
        told = [
            f"{specs[name].metadata['label']} {_told(cards[0].settings[name])}"
            for name in _told_settings(row, cards[0])
        ]
        return [*lines, f"{'; '.join(efforts)}. {', '.join(told)}."]


def _told(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _told_settings(row: MethodRow | None, card: Card) -> list[str]:
    """The settings that tell one method's learning from another's: its own, and the rates."""
    own = list(labelled(row.options)) if row else []
    return [name for name in (*own, "learning_rate", "token_learning_rate") if name in card.settings]


def _figure(value: float, spec: str) -> str:
    return "-" if math.isnan(value) else f"{value:{spec}}"


def _noted(card: Card) -> Note:
    return card.picture_count, card.pictures_sha256


def _note(pictures: PictureSet) -> Note:
    return len(pictures.images), pictures.sha256


def _same_pictures(one: Note, other: Note) -> bool:
    """The same ones; as many, where it was not noted which they were."""
    return one[0] == other[0] and len({one[1], other[1]} - {""}) < 2


def _shared(one: TimelineView, other: TimelineView) -> int:
    pairs = list(itertools.takewhile(_taught_alike, zip(one.cards, other.cards, strict=False)))
    copied = one.method == other.method and all(mine.created == copy.created for mine, copy in pairs)
    return 0 if len(pairs) < 2 or copied or not same_base(one.base_id, other.base_id) else len(pairs)


def _taught_alike(pair: tuple[Card, Card]) -> bool:
    one, other = ((card.token, card.prompt, card.settings["seed"], card.brought) for card in pair)
    return one == other and _same_pictures(*map(_noted, pair))


def _columns(cards: Sequence[Card]) -> list[tuple[str, list[Path | None]]]:
    return [
        ("as learned", [card.learned_picture for card in cards]),
        ("now, same seed", [card.now_picture for card in cards]),
    ]


def _captions(side: Side) -> Iterator[tuple[Path, str]]:
    """Every picture with its likeness; those of older concepts now also with how much they have changed."""
    newest = side.timeline.cards[-1]
    for card in side.timeline.cards:
        for picture, likeness in ((card.learned_picture, side.likeness_then), (card.now_picture, side.likeness_now)):
            words = [f"like {likeness[card.token]:.2f}"] if card.token in likeness else []
            if picture == card.now_picture and card is not newest and card.changed is not None:
                words.append(f"changed {card.changed:.0%}")
            if picture and words:
                yield picture, ", ".join(words)


def _facts(side: Side) -> dict[str, Any]:
    from clora_core.drawing.png_settings import read_settings

    cards = [
        {
            "token": card.token,
            "settings": card.settings,
            "changed": card.changed,
            "drawn": read_settings(card.now_picture) if card.now_picture else {},
            "likeness": {"learned": side.likeness_then.get(card.token), "now": side.likeness_now.get(card.token)},
        }
        for card in side.timeline.cards
    ]
    facts: dict[str, Any] = to_plain({"timeline": side.timeline.id, "method": side.timeline.method, "concepts": cards})
    return facts
