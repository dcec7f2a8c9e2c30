"""A timeline as one file, for another installation of this programme: a zip of its folder, and nothing that can run.

timeline.json
001-rex/concept.json, weights.safetensors, curve.json, drawn/001-rex.png, look.safetensors, real-*.webp
001-rex/training-*/...     the pictures it was learned from, where they were kept and are asked for
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from clora_core.concepts import check_token, checked_name
from clora_core.data.beside import CAPTION_SUFFIXES
from clora_core.data.pictures import SUFFIXES
from clora_core.data.zips import Limits, unzip
from clora_core.disk import check_id, file_sha256, replacing
from clora_core.errors import ConceptError, StoreError
from clora_core.store.files import read_card, read_facts, read_index

INDEX = "timeline.json"
PICTURES = "training-"  # of the folder with the pictures it was learned from
KINDS = (".json", ".safetensors", *SUFFIXES, *CAPTION_SUFFIXES)
LIMITS = Limits(
    files=20_000,
    total=20_000_000_000,
    each=8_000_000_000,
    error=StoreError,
    otherwise="Give a file that clora export --format timeline, or Export on the page, has written.",
)


def write_archive(folder: Path, names: Sequence[str], index: Mapping[str, Any], file: Path, pictures: bool) -> None:
    """Write the concepts ``names`` of the timeline folder ``folder`` into one ``file``, which appears when it is whole.

    index: what its timeline.json is to say.  pictures: those that were kept go with them. Raises OSError.
    """
    with replacing(file) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(INDEX, json.dumps(dict(index), indent=1))
        for name in names:
            for path in _files(folder / name, pictures):
                archive.write(path, path.relative_to(folder).as_posix())


def _files(concept: Path, pictures: bool) -> Iterator[Path]:
    for path in sorted(concept.rglob("*")):
        private = path.relative_to(concept).parts[0].startswith(PICTURES)
        if path.is_file() and (pictures or not private):
            yield path


def read_archive(file: Path, into: Path) -> None:
    """Take the timeline in ``file`` out into the folder ``into``. Raises StoreError: it holds none, is no sound zip, or
    is larger than it may be; OSError."""
    unzip(file, into, _wanted, LIMITS)
    if not (into / INDEX).is_file():
        raise StoreError(f"{file.name} holds no timeline. {LIMITS.otherwise}")


def check_timeline(folder: Path) -> dict[str, Any]:
    """What timeline.json of a timeline from elsewhere says. Raises StoreError: it, or a concept of it, is of another
    version, damaged or incomplete."""
    try:
        index = read_index(folder / INDEX)
        names = [index[key] for key in ("name", "base_id", "base_name", "method")]
        if not all(isinstance(value, str) for value in names):
            raise TypeError(f"{INDEX} is no timeline's")
        checked_name(index["name"], "timeline", "My people")
        tokens: list[str] = []
        for place, name in enumerate(index["concepts"], 1):
            facts = read_facts(folder, name)
            checked_name(facts["name"], "concept", "Rex")
            check_token(facts["token"], tokens)
            tokens.append(facts["token"])
            read_card(folder, name, place, None)
            if file_sha256(folder / name / "weights.safetensors") != facts["weights_sha256"]:
                raise ValueError(f"the weights of {name} are damaged")
    except (KeyError, TypeError, ValueError, AttributeError, OSError, ConceptError) as error:
        why = str(error).rstrip(".")
        raise StoreError(f"The timeline in {folder.name} is damaged: {why}. Have it exported again.") from error
    return index


def _wanted(path: PurePosixPath) -> bool:
    """timeline.json, and in folders of concepts what can only be looked at."""
    if len(path.parts) == 1:
        return path.name == INDEX
    try:
        check_id(path.parts[0], "concept")
    except StoreError:
        return False
    return len(path.parts) <= 3 and path.suffix.lower() in KINDS
