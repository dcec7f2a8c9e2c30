"""The pictures of several concepts in one place: a folder each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from clora_core.data.gathered import KOHYA, gather


def pictures_by_concept(folder: Path, names: Mapping[str, str]) -> dict[str, tuple[Path, ...]]:
    """By token, the pictures in the folder below ``folder`` that is called like the concept: by its name or its token,
    in large or small letters, also as kohya_ss has it ("10_rex"). Without those for which there is none.

    names: by token.
    """
    called: dict[str, Path] = {}
    for place in sorted(path for path in folder.rglob("*") if path.is_dir()):
        kohya = KOHYA.fullmatch(place.name)
        called.setdefault(_plain(kohya[2] if kohya else place.name), place)
    places = {token: called.get(_plain(name)) or called.get(_plain(token)) for token, name in names.items()}
    found = {token: gather(place).pictures for token, place in places.items() if place}
    return {token: pictures for token, pictures in found.items() if pictures}


def _plain(name: str) -> str:
    return name.strip("<>_ ").casefold()
