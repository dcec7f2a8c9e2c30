"""Favourites: a set of names in one file."""

from __future__ import annotations

from pathlib import Path

import pytest

from clora_core.disk import HomeLock
from clora_core.errors import StoreError
from clora_core.store.favourites import Favourites


def test_favourites_are_kept_in_the_home_and_seen_by_others(tmp_path: Path) -> None:
    mine, yours = (Favourites(tmp_path, HomeLock(tmp_path)) for _ in range(2))
    assert mine.names() == frozenset()
    mine.mark("b.png", True)
    yours.mark("a.png", True)
    mine.mark("b.png", True)
    assert mine.names() == yours.names() == {"a.png", "b.png"}
    yours.mark("b.png", False)
    yours.mark("never.png", False)
    assert mine.names() == {"a.png"}


def test_a_damaged_list_is_said(tmp_path: Path) -> None:
    (tmp_path / "favourites.json").write_text("{}")
    with pytest.raises(StoreError, match="favourites.json lacks"):
        Favourites(tmp_path, HomeLock(tmp_path)).names()
