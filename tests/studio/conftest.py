"""Shared by the tests of the Studio."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clora_core.studio.studio import Studio


@pytest.fixture
def open_studio(open_bench: Callable[..., Studio], tmp_path: Path) -> Iterator[Callable[..., Studio]]:
    """open_studio(home) -> a Studio of its own on a home below tmp_path; all are closed after the test."""
    made = []

    def open_studio(home: str = "home") -> Studio:
        made.append(open_bench(tmp_path / home))
        return made[-1]

    yield open_studio
    for studio in made:
        studio.close()
