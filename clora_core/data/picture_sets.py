"""Picture sets in folders, as they ship with the app: ``<folder>/ada/concept.json`` and pictures beside it."""

from __future__ import annotations

from pathlib import Path

from clora_core.answers import Sample
from clora_core.data.beside import is_mask
from clora_core.disk import read_json

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif")


def read_samples(folder: Path) -> list[Sample]:
    """The samples below ``folder`` by folder name; [] when there are none. Raises StoreError on a broken
    concept.json."""
    found = []
    for path in sorted(folder.glob("*/concept.json")):
        values = read_json(path, "name", "token")
        found.append(Sample(values["name"], values["token"], pictures_in(path.parent)))
    return found


def pictures_in(folder: Path) -> tuple[Path, ...]:
    """The picture files of a folder, by name; () when there is no such folder."""
    found = (path for path in sorted(folder.glob("*")) if path.suffix.lower() in PICTURE_SUFFIXES)
    return tuple(path for path in found if not is_mask(path))
