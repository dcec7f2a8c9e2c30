"""Concepts that were taken out of the middle of a timeline, as its timeline.json keeps them under "removed".

    {"id": "002-bob", "deleted": "2026-11-30T15:41:05+00:00", "after": ["001-ann"]}

Their files stay where they are, so taking out and putting back are each one replace of timeline.json. Pure functions
from one index to the changes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from clora_core.concepts import check_token
from clora_core.errors import StoreError
from clora_core.store.trash_folder import expired

Index = Mapping[str, Any]


def taken_out(index: Index, concept: str) -> dict[str, Any]:
    """Without that concept. Raises StoreError when it is not in the timeline."""
    ids = index["concepts"]
    if concept not in ids:
        raise StoreError(f"The concept is not in {index['name']!r} any more. Reload the page.")
    entry = {"id": concept, "deleted": datetime.now(UTC).isoformat(), "after": ids[: ids.index(concept)]}
    return {
        "concepts": [each for each in ids if each != concept],
        "removed": [*index.get("removed", []), entry],
    }


def put_back(index: Index, concept: str, token_of: Callable[[str], str]) -> dict[str, Any]:
    """With that concept in its old place: after those that were before it. token_of: the token of a concept's id.

    Raises StoreError: it is not in the trash.  ConceptError: its token is taken by now.
    """
    removed, ids = index.get("removed", []), index["concepts"]
    entry = next((each for each in removed if each["id"] == concept), None)
    if entry is None:
        raise StoreError("That is no longer in the trash. Reload the page.")
    check_token(token_of(concept), map(token_of, [*ids, *index["undone"]]))
    place = max((ids.index(before) + 1 for before in entry["after"] if before in ids), default=0)
    return {
        "concepts": [*ids[:place], concept, *ids[place:]],
        "removed": [each for each in removed if each["id"] != concept],
    }


def overdue(index: Index) -> list[str]:
    """Ids of the concepts that have been in the trash for long enough."""
    return [each["id"] for each in index.get("removed", []) if expired(datetime.fromisoformat(each["deleted"]))]


def forgotten(index: Index, concepts: list[str]) -> dict[str, Any]:
    """Without these in the trash."""
    return {"removed": [each for each in index.get("removed", []) if each["id"] not in concepts]}
