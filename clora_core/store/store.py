"""Timelines on disk: the only code that writes the files the app relies on.

    timelines/<id>/timeline.json         the order: which concepts count, which are undone
    timelines/<id>/002-mug/concept.json  settings, versions, dates, checksum, verdict
                          /weights.safetensors   low-rank factors, token embedding, memory
                          /curve.json            the loss of every step
                          /drawn/001-rex.png     every concept up to here, drawn right after learning
                          /look.safetensors      what is kept of its real pictures to measure likeness by
                          /real-<random>.webp    one of them, small, unless the user asked for none
                          /training-<random>/... the uploaded pictures, only when the user asked for it

Append-only. A concept is written to ``002-mug.<pid>.partial/``, flushed, renamed to ``002-mug/``, and
counts from the moment ``timeline.json`` is replaced: that last replace is the commit, and a crash at
any other moment leaves the timeline as it was. Whoever writes holds the lock of the home folder from reading
``timeline.json`` to replacing it, so that two programmes on one home cannot lose each other's work. Of what was
committed only a name is ever rewritten, and only what was in the trash is deleted:

- ``undo`` moves the last id from "concepts" to the redo shelf "undone" (last undone, first back);
- learning on top of an undo empties the redo shelf into "set_aside": those concepts were learned on a
  past that is no longer this timeline's, so they cannot come back here, but their files stay;
- ``branch`` copies;
- ``remove`` moves an id from the middle to "removed" (``clora_core.store.removed``), ``delete`` the whole folder to the
  trash (``clora_core.store.trash_folder``).

The card pictures follow from that: a concept's "learned" picture is ``<id>/drawn/<id>.png`` and its
"now" picture is ``<last id>/drawn/<id>.png``, so that undo and branch show the right ones by themselves. Where one has
left from the middle there is none, until the next concept is learned.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clora_core.answers import OTHER_BASE, TimelineSummary, TimelineView
from clora_core.concepts import (
    MAX_NAME_LENGTH,
    LearnedConcept,
    Timeline,
    TrainStep,
    checked_name,
    concept_id,
    same_base,
    slug,
)
from clora_core.data.beside import CAPTION_SUFFIXES, is_mask
from clora_core.disk import HomeLock, check_id, free_name, read_json, refused, sync_folder, write_json
from clora_core.errors import ConceptError, MissingMethodError, StoreError
from clora_core.settings.methods import BUILT_IN, CLORA, Methods
from clora_core.store import removed
from clora_core.store.archive import check_timeline, read_archive, write_archive
from clora_core.store.files import (
    FORMAT,
    LOOK_FILE,
    draws_as_then,
    find_real,
    has_deltas,
    place_timeline,
    read_card,
    read_changes,
    read_concepts,
    read_curve,
    read_facts,
    read_index,
    write_concept,
)
from clora_core.store.trash_folder import Entry, TrashFolder, delete
from clora_core.verdict import Verdict

if TYPE_CHECKING:
    from clora_core.measures.likeness import Look

OLD_SECONDS = 3600.0


class ConceptStore:
    """All timelines below ``home/timelines``, and those that were deleted, in ``trash``.

    ``lock`` is that of the whole home folder, among threads and programmes: ``with store.lock:``. It may be taken
    again by the thread that has it.
    """

    def __init__(self, home: Path, methods: Methods = BUILT_IN) -> None:
        """Open (or make) the store and clear what a crash left half written."""
        self._folder, self._methods = home / "timelines", methods
        self._folder.mkdir(parents=True, exist_ok=True)
        self.lock = HomeLock(home)
        self.trash = TrashFolder(home, self.lock)
        with self.lock.if_free() as ours:  # whoever writes has the lock: then nobody will finish what lies half written
            for pattern in ("*.partial", "*/*.partial", "*/.*.tmp") if ours else ():
                for leftover in self._folder.glob(pattern):
                    shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
            if ours:
                self._clear_old(home)
                self.trash.expire()
                self._forget_overdue()

    def _clear_old(self, home: Path) -> None:
        """Delete what a crash left of files that are written without the lock; nobody writes one for an hour."""
        for pattern in ("jobs/*/.*.tmp", ".*.tmp", ".in-*"):
            for leftover in home.glob(pattern):
                with suppress(OSError):
                    if time.time() - leftover.stat().st_mtime > OLD_SECONDS:
                        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()

    # -- reading ---------------------------------------------------------------------------------

    def ids(self) -> list[str]:
        """Ids of all timelines."""
        return sorted(path.parent.name for path in self._folder.glob("*/timeline.json"))

    def summaries(self, base_id: str = "") -> list[TimelineSummary]:
        """All timelines, last changed first, those that cannot be read last. ``base_id`` decides which are usable; "" =
        not known yet."""
        found = []
        for timeline_id in self.ids():
            try:
                index = self._index(timeline_id)
                for concept in index["concepts"] + index["undone"]:
                    read_facts(self._folder / timeline_id, concept)
            except StoreError:
                found.append(TimelineSummary(timeline_id, timeline_id, "", 0, "", "cannot be read"))
                continue
            found.append(
                TimelineSummary(
                    timeline_id,
                    index["name"],
                    index["method"],
                    len(index["concepts"]),
                    index["updated"],
                    self._problem(index, base_id),
                    index.get("comparison", ""),
                )
            )
        return sorted(found, key=lambda summary: summary.updated, reverse=True)

    def view(self, timeline_id: str, base_id: str = "", as_of: int | None = None) -> TimelineView:
        """A timeline without its tensors. as_of: as it was after so many concepts; None = today."""
        index = self._index(timeline_id)
        folder, ids = self._folder / timeline_id, index["concepts"][:as_of]
        drawn = bool(ids) and (self._steady(index) or draws_as_then(folder, ids))
        cards = tuple(read_card(folder, name, i, ids[-1] if drawn else None) for i, name in enumerate(ids, 1))
        undone = tuple(
            read_card(folder, name, len(ids) + i, name) for i, name in enumerate(reversed(index["undone"]), 1)
        )
        return TimelineView(
            timeline_id,
            index["name"],
            index["method"],
            cards,
            undone,
            index["base_id"],
            not self._problem(index, base_id),
        )

    def changes(self, timeline_id: str, as_of: int | None = None) -> tuple[tuple[float | None, ...], ...]:
        """The forgetting map of a timeline after ``as_of`` concepts (None = all), see ``store_files.read_changes``."""
        index = self._index(timeline_id)
        return read_changes(self._folder / timeline_id, index["concepts"][:as_of], self._steady(index))

    def kept_pictures(self, timeline_id: str) -> dict[str, tuple[Path, ...]]:
        """By concept id, the training pictures that were kept with the user's consent; () where none were."""
        folder = self._folder / timeline_id
        names = self._index(timeline_id)["concepts"]
        found = {}
        for name in names:
            kept = sorted((folder / name).glob("training-*/*"))
            found[name] = tuple(path for path in kept if path.suffix not in CAPTION_SUFFIXES and not is_mask(path))
        return found

    def looks(self, timeline_id: str) -> dict[str, Look]:
        """By concept id, what is kept of the real pictures; without those of which nothing is."""
        from clora_core.measures.likeness import Look

        folder = self._folder / timeline_id
        found = {name: Look.read(folder / name / LOOK_FILE) for name in self._index(timeline_id)["concepts"]}
        return {name: look for name, look in found.items() if look}

    def real_picture(self, timeline_id: str, concept: str) -> Path | None:
        """The small real picture that is kept with a concept; None = none is."""
        return find_real(self._folder / check_id(timeline_id, "timeline") / check_id(concept, "concept"))

    def weight_bytes(self, timeline_id: str, as_of: int | None = None) -> int:
        """Bytes of all weight files that count in a timeline after ``as_of`` concepts (None = all)."""
        folder, names = self._folder / timeline_id, self._index(timeline_id)["concepts"][:as_of]
        return sum((folder / name / "weights.safetensors").stat().st_size for name in names)

    def load(self, timeline_id: str, base_id: str, as_of: int | None = None, to_draw: bool = False) -> Timeline:
        """A timeline with its tensors, for the base model with fingerprint ``base_id``.

        Args:
            as_of: its first so many concepts; None = all.
            to_draw: without the weights that drawing does not look at: those before the last, where a concept's weights
                hold all earlier ones.

        Raises:
            StoreError: no such timeline or point in it, another base model, a method that is not installed, or a
                damaged file.
        """
        index = self._index(timeline_id, base_id)
        names = index["concepts"][:as_of]
        if as_of is not None and as_of != len(names):
            raise StoreError(f"There is no point {as_of} in {index['name']!r}: it has {len(names)} concepts.")
        method = self._methods.stored(index["method"])
        concepts = read_concepts(self._folder / timeline_id, names, method, self._methods, to_draw)
        return Timeline(timeline_id, index["name"], base_id, method, concepts)

    def check(self, timeline_id: str, base_id: str) -> None:
        """Raise StoreError when there is no such timeline, or its base model or method is not the open ones'."""
        self._index(timeline_id, base_id)

    def has_whole_weights(self, timeline_id: str, as_of: int | None = None) -> bool:
        """Whether what was learned last is no low-rank pair. Raises StoreError when it cannot be read."""
        names = self._index(timeline_id)["concepts"][:as_of]
        return bool(names) and has_deltas(self._folder / timeline_id, names[-1])

    def curve(self, timeline_id: str, concept: str) -> tuple[TrainStep, ...]:
        """The loss curve a concept was learned with."""
        return read_curve(self._folder / check_id(timeline_id, "timeline"), concept)

    def stored(self, timeline_id: str, token: str, created: str) -> str:
        """Id of the concept of that token and date that a timeline holds, undone ones included; "" = none."""
        index = self._readable(timeline_id)
        for concept in [*index.get("concepts", []), *index.get("undone", [])]:
            with suppress(StoreError):
                facts = read_facts(self._folder / timeline_id, concept)
                if (facts["token"], facts["created"]) == (token, created):
                    return str(concept)
        return ""

    def next_id(self, timeline_id: str, name: str) -> str:
        """The id the next concept gets; it is unlike every folder there, set-aside ones included."""
        index = self._index(timeline_id)
        wanted = concept_id(len(index["concepts"]) + 1, name)
        taken = {path.name.split(".")[0] for path in (self._folder / timeline_id).iterdir()}
        return free_name(wanted, taken)

    def drawn(self, timeline_id: str, concept: str) -> dict[str, Path]:
        """The card pictures drawn right after a concept was learned, by concept id."""
        folder = self._folder / check_id(timeline_id, "timeline") / check_id(concept, "concept") / "drawn"
        return {path.stem: path for path in sorted(folder.glob("*.png"))}

    # -- writing ---------------------------------------------------------------------------------

    def create(self, name: str, base_id: str, base_name: str, method: str = CLORA.name, comparison: str = "") -> str:
        """An empty timeline; returns its id, made from the name. comparison: the one it is learned for.

        Raises ConceptError when the name is taken or cannot be one, StoreError when the disk refuses.
        """
        with self.lock:
            name = self._free(name)
            timeline_id = self._new_id(name)
            now = _now()
            place_timeline(
                self._folder / timeline_id,
                {
                    "format": FORMAT,
                    "id": timeline_id,
                    "name": name,
                    "base_id": base_id,
                    "base_name": base_name,
                    "method": method,
                    "comparison": comparison,
                    "created": now,
                    "updated": now,
                    "concepts": [],
                    "undone": [],
                    "set_aside": [],
                },
                copies=(),
            )
            return timeline_id

    def append(
        self,
        before: Timeline,
        learned: LearnedConcept,
        drawn: Mapping[str, Path] | None = None,
        verdict: Verdict | None = None,
        keep: Iterable[Path] = (),
        look: Look | None = None,
        real: Path | None = None,
        base_source: str = "",
    ) -> LearnedConcept:
        """Store ``learned`` at the end of the timeline it was learned on, and commit.

        Args:
            before: the timeline it was learned on. It must still stand so on disk.
            drawn: card pictures of every concept up to the new one, by concept id.
            keep: the user's pictures, to be kept with the concept.
            look: what is kept of them to measure likeness by.  real: one of them, small, to be shown with it.
            base_source: where the base model can be had again, see `BaseModel.source`.

        Returns: the concept with the id it got (``next_id``).

        Raises:
            StoreError: the timeline has changed meanwhile, or the disk refuses. Nothing changes then.
        """
        with self.lock:
            index = self._index(before.id)
            if index["concepts"] != [concept.id for concept in before.concepts]:
                raise StoreError(
                    f"The timeline {before.name!r} was changed while {learned.name} was being learned, so it "
                    "cannot be added at its end. Learn it again."
                )
            stored = replace(learned, id=self.next_id(before.id, learned.name))
            folder = self._folder / before.id
            partial, placed = folder / f"{stored.id}.{os.getpid()}.partial", False
            try:
                pictures = {stored.id if name == learned.id else name: at for name, at in (drawn or {}).items()}
                write_concept(partial, stored, before, pictures, verdict, keep, look, real)
                partial.rename(folder / stored.id)
                placed = True
                sync_folder(folder)
                self._commit(
                    before.id,
                    index,
                    concepts=[*index["concepts"], stored.id],
                    undone=[],
                    set_aside=index["set_aside"] + index["undone"],
                    method=before.method.name,
                    base_id=before.base_id,
                    base_source=base_source or index.get("base_source", ""),
                )
            except OSError as error:
                raise refused(f"{learned.name} could not be stored", error) from error
            finally:  # a disk may refuse to flush what was committed: the timeline says what stays
                shutil.rmtree(partial, ignore_errors=True)
                if placed and stored.id not in self._index(before.id)["concepts"]:
                    shutil.rmtree(folder / stored.id, ignore_errors=True)
            return stored

    def undo(self, timeline_id: str) -> None:
        """Move the last concept to the redo shelf. Raises StoreError when there is none, or the disk refuses."""
        with self.lock:
            index = self._index(timeline_id)
            if not index["concepts"]:
                raise StoreError(f"The timeline {index['name']!r} has no concept to undo.")
            *rest, last = index["concepts"]
            self._commit(timeline_id, index, concepts=rest, undone=[*index["undone"], last])

    def redo(self, timeline_id: str) -> None:
        """Take the concept that was undone last back. Raises StoreError when there is none, or the disk refuses."""
        with self.lock:
            index = self._index(timeline_id)
            if not index["undone"]:
                raise StoreError(f"The timeline {index['name']!r} has nothing to redo.")
            *rest, last = index["undone"]
            self._commit(timeline_id, index, concepts=[*index["concepts"], last], undone=rest)

    def branch(self, timeline_id: str, k: int, name: str) -> str:
        """Copy the first ``k`` concepts into a new timeline; returns its id. Raises as ``create`` does."""
        with self.lock:
            index = self._index(timeline_id)
            if not 0 <= k <= len(index["concepts"]):
                raise StoreError(
                    f"The timeline {index['name']!r} has {len(index['concepts'])} concepts; a branch "
                    f"can start after 0 to {len(index['concepts'])} of them, not after {k}."
                )
            return self._copy(index, self._folder / timeline_id, k, self._free(name))

    def archive(self, timeline_id: str, file: Path, k: int | None = None, pictures: bool = False) -> None:
        """Write the first ``k`` concepts (None = all) into one file, for another installation's ``take_in``.

        pictures: those that were kept to learn from go with them. Raises StoreError.
        """
        index = self._index(timeline_id)
        start = _start_of(index, len(index["concepts"]) if k is None else k)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_archive(self._folder / timeline_id, start["concepts"], start, file, pictures)
        except OSError as error:
            raise refused(f"The timeline {index['name']!r} could not be written to {file}", error) from error

    def take_in(self, file: Path) -> str:
        """The timeline in ``file`` as a new one, under its own name or that with a number; returns its id.

        Raises StoreError: it holds no timeline, or one that is damaged or of another version, or the disk refuses.
        """
        with tempfile.TemporaryDirectory(prefix=".in-", dir=self._folder.parent) as place:
            folder = Path(place) / file.name
            try:
                read_archive(file, folder)
            except OSError as error:
                raise refused(f"{file.name} could not be read", error) from error
            index = check_timeline(folder)
            with self.lock:
                return self._copy(index, folder, len(index["concepts"]), self.free_title(index["name"]))

    def _copy(self, index: Mapping[str, Any], folder: Path, k: int, name: str) -> str:
        """The first ``k`` concepts of the timeline in ``folder`` as a new one of this name; returns its id."""
        new_id, now, start = self._new_id(name), _now(), _start_of(index, k)
        copied = {**start, "id": new_id, "name": name, "created": now, "updated": now}
        place_timeline(self._folder / new_id, copied, [folder / concept for concept in start["concepts"]])
        return new_id

    def adopt(self, shipped: Path) -> None:
        """Copy a timeline folder that ships with the app, unless its id is taken."""
        with self.lock:
            deleted = [entry.name for entry in self.trash.entries()]
            if not (self._folder / shipped.name).exists() and shipped.name not in deleted:
                index = read_json(shipped / "timeline.json")
                sources = [path for path in shipped.iterdir() if path.is_dir()]
                place_timeline(self._folder / shipped.name, index, sources)

    # -- names and trash -------------------------------------------------------------------------

    def rename(self, timeline_id: str, name: str) -> None:
        """Give a timeline another name; its id stays. Raises as ``create`` does."""
        with self.lock:
            index = self._index(timeline_id)
            self._commit(timeline_id, index, name=self._free(name, timeline_id))

    def rename_concept(self, timeline_id: str, concept: str, name: str) -> None:
        """Give a concept another name; its id stays, and its token, which stands in prompts and files.

        Raises ConceptError when it cannot be a name, StoreError when there is no such concept or the disk refuses.
        """
        name = checked_name(name, "concept", "Rex")
        with self.lock:
            self._index(timeline_id)
            folder = self._folder / timeline_id
            facts = read_facts(folder, concept)
            try:
                write_json(folder / concept / "concept.json", {**facts, "name": name})
            except OSError as error:
                raise refused(f"{facts['name']} could not be renamed", error) from error

    def free_title(self, wanted: str) -> str:
        """``wanted``, shortened to what a name may be, or the first of "wanted (2)", ... that no timeline has."""
        taken, number, found = self._titles(), 1, wanted[:MAX_NAME_LENGTH].rstrip()
        while found.casefold() in taken:
            number += 1
            ending = f" ({number})"
            found = wanted[: MAX_NAME_LENGTH - len(ending)].rstrip() + ending
        return found

    def delete(self, timeline_id: str) -> str:
        """Move a whole timeline to the trash; returns the entry's id. Raises StoreError."""
        with self.lock:
            self._path(timeline_id)
            return self.trash.put(self._folder / timeline_id, "timeline")

    def bring_back(self, entry_id: str) -> str:
        """Take a whole timeline out of the trash; returns its id. Raises StoreError."""
        with self.lock:
            entry = self.trash.find(entry_id)
            self.trash.put_back(entry, self._folder / check_id(entry.name, "timeline"))
            return entry.name

    def remove(self, timeline_id: str, concept: str) -> None:
        """Take one concept out, wherever it stands, where no other was learned on top of it.

        Raises StoreError: there is no such concept, or later ones stand on it.
        """
        with self.lock:
            index = self._index(timeline_id)
            changes = removed.taken_out(index, concept)
            later = index["concepts"][index["concepts"].index(concept) + 1 :]
            row = self._methods.stored(index["method"])
            if later and not row.alone:
                names = [str(read_facts(self._folder / timeline_id, each)["name"]) for each in (concept, *later)]
                raise StoreError(
                    f"{', '.join(names[1:])} cannot do without {names[0]}: under {row.title} every concept is learned "
                    f"on top of those before it. Undo back to {names[0]}, or branch before it, and teach the later "
                    "ones again."
                )
            self._commit(timeline_id, index, **changes)

    def put_back(self, timeline_id: str, concept: str) -> None:
        """Put a concept that was taken out back in its place.

        Raises ConceptError when its token is taken by now, StoreError when it is no longer in the trash.
        """
        with self.lock:
            index, folder = self._index(timeline_id), self._folder / timeline_id
            changes = removed.put_back(index, concept, lambda each: str(read_facts(folder, each)["token"]))
            self._commit(timeline_id, index, **changes)

    def taken_out(self) -> list[tuple[str, str, str]]:
        """(timeline's id, concept's id, when) of every concept in the trash."""
        return [
            (timeline_id, entry["id"], entry["deleted"])
            for timeline_id in self.ids()
            for entry in self._readable(timeline_id).get("removed", [])
        ]

    def removed_title(self, timeline_id: str, concept: str) -> tuple[str, str, Path | None]:
        """Name, timeline's name and picture of a concept in the trash. Raises StoreError when it cannot be read."""
        facts = read_facts(self._folder / timeline_id, concept)
        return facts["name"], self._index(timeline_id)["name"], self.drawn(timeline_id, concept).get(concept)

    def deleted_title(self, entry: Entry) -> tuple[str, Path | None]:
        """Name, and a picture if there is one, of a whole timeline in the trash."""
        with suppress(StoreError):
            return str(read_index(entry.path / "timeline.json")["name"]), next(entry.path.glob("*/drawn/*.png"), None)
        return entry.name, None

    def forget(self, timeline_id: str, concepts: list[str]) -> None:
        """Delete these concepts, which are in the trash, for good."""
        with self.lock:
            index = self._index(timeline_id)
            known = [entry["id"] for entry in index.get("removed", []) if entry["id"] in concepts]
            self._commit(timeline_id, index, **removed.forgotten(index, known))
            for concept in known:
                delete(self._folder / timeline_id / check_id(concept, "concept"))

    def _forget_overdue(self) -> None:
        for timeline_id in self.ids():
            if overdue := removed.overdue(self._readable(timeline_id)):
                with suppress(StoreError):  # a full disk, or one that may not be written to
                    self.forget(timeline_id, overdue)

    # -- inside ----------------------------------------------------------------------------------

    def _free(self, name: str, own: str = "") -> str:
        """The name, tidied. own: the timeline that may have it. Raises ConceptError when it is taken or cannot be
        one."""
        name = checked_name(name, "timeline", "My people")
        if name.casefold() in self._titles(but=own):
            raise ConceptError(f"There is a timeline {name!r} already. Choose another name.")
        return name

    def _titles(self, but: str = "") -> set[str]:
        """The names of all timelines, as they are compared."""
        indexes = [self._readable(timeline_id) for timeline_id in self.ids() if timeline_id != but]
        return {str(index["name"]).casefold() for index in indexes if index}

    def _readable(self, timeline_id: str) -> dict[str, Any]:
        """What timeline.json says; {} for one that cannot be read."""
        with suppress(StoreError):
            return self._index(timeline_id)
        return {}

    def _steady(self, index: Mapping[str, Any]) -> bool:
        row = self._methods.find(index["method"])
        return row is not None and row.steady

    def _problem(self, index: dict[str, Any], base_id: str) -> str:
        """Why a timeline cannot be used, in a few words; "" = it can."""
        if not _fits(index, base_id):
            return OTHER_BASE
        known = self._methods.find(index["method"])
        return "" if known else f"the method {index['method']} is not installed"

    def _index(self, timeline_id: str, base_id: str = "") -> dict[str, Any]:
        """What timeline.json says; a timeline that does not fit the base model is refused, and with ``base_id`` one
        whose method is not installed."""
        index = read_index(self._path(timeline_id))
        if not _fits(index, base_id):
            raise StoreError(_elsewhere(index, base_id))
        if base_id:
            try:
                self._methods.stored(index["method"])
            except MissingMethodError as error:
                raise MissingMethodError(f"The timeline {index['name']!r} cannot be used. {error}") from error
        return index

    def _path(self, timeline_id: str) -> Path:
        """Its timeline.json. Raises StoreError when there is no such timeline."""
        path = self._folder / check_id(timeline_id, "timeline") / "timeline.json"
        if path.exists():
            return path
        if timeline_id in [entry.name for entry in self.trash.entries()]:
            raise StoreError(f"The timeline {timeline_id!r} was deleted. Restore it from the trash, or choose another.")
        raise StoreError(f"There is no timeline {timeline_id!r}. There are: {', '.join(self.ids()) or 'none'}.")

    def _commit(self, timeline_id: str, index: dict[str, Any], **changes: Any) -> None:
        try:
            write_json(self._folder / timeline_id / "timeline.json", {**index, **changes, "updated": _now()})
        except OSError as error:
            raise refused(f"{index['name']!r} could not be changed", error) from error

    def _new_id(self, name: str) -> str:
        return free_name(
            slug(name)[:40].strip("-") or "timeline",
            {path.name.split(".")[0] for path in self._folder.iterdir()}
            | {entry.name for entry in self.trash.entries()},
        )


def _start_of(index: Mapping[str, Any], k: int) -> dict[str, Any]:
    """What timeline.json says of the first ``k`` concepts alone."""
    return {**index, "concepts": index["concepts"][:k], "undone": [], "set_aside": [], "removed": []}


def _fits(index: dict[str, Any], base_id: str) -> bool:
    return not base_id or not index["base_id"] or same_base(index["base_id"], base_id)


def _elsewhere(index: dict[str, Any], base_id: str) -> str:
    """Why a timeline does not fit the open base model, as a sentence."""
    known, name, source = index["base_id"], index["name"], index.get("base_source", "")
    if known.split(".")[0] == base_id.split(".")[0]:
        return (
            f"The timeline {name!r} was learned on this model with another VAE, scheduler or tokenizer, so it would "
            "draw other pictures now. Put that one back, or start a new timeline."
        )
    return (
        f"The timeline {name!r} belongs to the base model {index['base_name']!r} ({known[:12]}), not to the open one "
        f"({base_id[:12]}). Open {source or 'that model'}, or start a new timeline."
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
