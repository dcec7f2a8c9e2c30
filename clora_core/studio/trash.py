"""Deleting, and taking it back: timelines, concepts and drawn pictures."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from clora_core.answers import Trashed
from clora_core.errors import BusyError, PictureError, StoreError
from clora_core.jobs.board import JobBoard
from clora_core.jobs.queue import refuse_while_learning, waiting_requests
from clora_core.store.store import ConceptStore
from clora_core.store.trash_folder import DAYS, Entry


class Trash:
    """What was deleted in a home; ``Studio.trash`` is one.

    Everything comes back as it was until DAYS days have passed.
    """

    def __init__(self, store: ConceptStore, board: JobBoard, pictures: Path) -> None:
        """pictures: the folder of the drawn ones."""
        self._store, self._board, self._pictures = store, board, pictures

    # -- deleting --------------------------------------------------------------------------------

    def delete_timeline(self, timeline_id: str) -> str:
        """Move a timeline to the trash; returns the id to ``restore`` it by. Raises StoreError, BusyError."""
        with self._store.lock:
            self._refuse_while_asked(timeline_id)
            return self._store.delete(timeline_id)

    def delete_concept(self, timeline_id: str, concept_id: str) -> str:
        """Take a concept out of a timeline; returns the id to ``restore`` it by. The last one is undone instead, which
        returns "": redo brings it back.

        Raises StoreError (no such concept, or later ones stand on it), BusyError (learning).
        """
        with self._store.lock:
            self._refuse_while_asked(timeline_id)
            cards = self._store.view(timeline_id).cards
            if cards and cards[-1].id == concept_id:
                self._store.undo(timeline_id)
                return ""
            self._store.remove(timeline_id, concept_id)
            return f"{timeline_id}/{concept_id}"

    def delete_picture(self, picture: Path) -> str:
        """Move a drawn picture to the trash; returns the id to ``restore`` it by. Raises PictureError when it is not
        there, StoreError when the disk refuses."""
        path = self._pictures / picture.name
        if not path.is_file():
            raise PictureError(f"The picture {picture.name} is no longer there. Reload the page.")
        return self._store.trash.put(path, "picture")

    # -- taking it back --------------------------------------------------------------------------

    def items(self) -> list[Trashed]:
        """All that is in the trash, deleted last first."""
        whole = [self._described(entry) for entry in self._store.trash.entries()]
        concepts = [self._concept(*found) for found in self._store.taken_out()]
        return sorted([*whole, *concepts], key=lambda item: item.deleted, reverse=True)

    def restore(self, item_id: str) -> Trashed:
        """Put one thing back in its place and say what it is; a picture is that in its place.

        Raises StoreError: it is no longer in the trash, or something else is in its place.  ConceptError: a concept's
        token is taken by now.  BusyError: learning.
        """
        with self._store.lock:
            item = next((item for item in self.items() if item.id == item_id), None)
            if item is None:
                raise StoreError("That is no longer in the trash. Reload the page.")
            if item.kind == "concept":
                timeline_id, concept_id = item_id.split("/")
                self._refuse_while_asked(timeline_id)
                self._store.put_back(timeline_id, concept_id)
            elif item.kind == "timeline":
                self._store.bring_back(item_id)
            else:
                entry = self._store.trash.find(item_id)
                self._store.trash.put_back(entry, self._pictures / entry.name)
                return replace(item, picture=self._pictures / entry.name)
            return item

    def empty(self) -> None:
        """Delete for good all that is in the trash."""
        with self._store.lock:
            self._store.trash.empty()
            for timeline_id, concept_id, _ in self._store.taken_out():
                self._store.forget(timeline_id, [concept_id])

    # -- inside ----------------------------------------------------------------------------------

    def _refuse_while_asked(self, timeline_id: str) -> None:
        """Raise BusyError while something is learned in a timeline, or waits for it, or is paused."""
        refuse_while_learning(self._board, timeline_id)
        for request in waiting_requests(self._board, timeline_id):
            raise BusyError(f"{request.concept.name} stands in the line for this timeline. Take it out there first.")

    def _described(self, entry: Entry) -> Trashed:
        deleted, left = entry.deleted.isoformat(), _days_left(entry.deleted)
        if entry.kind == "picture":
            return Trashed(entry.id, "picture", entry.name, deleted, left, picture=entry.path)
        name, picture = self._store.deleted_title(entry)
        return Trashed(entry.id, "timeline", name, deleted, left, picture=picture)

    def _concept(self, timeline_id: str, concept_id: str, deleted: str) -> Trashed:
        name, place, picture = concept_id, timeline_id, None
        with suppress(StoreError):  # one that cannot be read is listed all the same
            name, place, picture = self._store.removed_title(timeline_id, concept_id)
        left = _days_left(datetime.fromisoformat(deleted))
        return Trashed(f"{timeline_id}/{concept_id}", "concept", name, deleted, left, place, picture)


def _days_left(deleted: datetime) -> int:
    return max(0, DAYS - (datetime.now(UTC) - deleted).days)
