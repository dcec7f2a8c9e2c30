"""Which older concepts are drawn while one is learned."""

from __future__ import annotations

from typing import Any

import pytest

from clora_core.jobs.learn import watched


@pytest.mark.parametrize(
    ("concepts", "seen"), [("", ""), ("a", "a"), ("ab", "ab"), ("abc", "abc"), ("abcdefg", "adg")], ids=str
)
def test_previews_watch_the_oldest_the_newest_and_one_between(concepts: Any, seen: str) -> None:
    assert "".join(map(str, watched(concepts))) == seen
