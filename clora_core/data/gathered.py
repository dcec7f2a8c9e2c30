"""Pictures as people have them: in a folder, in folders inside it, in a zip of either.

What systems put beside pictures (``__MACOSX``, dot files, Thumbs.db) is left out, and so is what is no picture. A zip
is written out here, and nothing of it is decoded before its own sizes were found to be within the limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from clora_core.answers import count
from clora_core.data.beside import CAPTION_SUFFIXES, is_mask
from clora_core.data.pictures import HEIC_SUFFIXES, MAX_FILE_BYTES, SUFFIXES
from clora_core.data.zips import Limits, unzip
from clora_core.errors import PictureError

ZIP_SUFFIX = ".zip"
REFUSED_SUFFIXES = (".bmp", ".gif", ".tif", ".tiff")  # pictures, to be refused by name
PICTURE_SUFFIXES = (*SUFFIXES, *HEIC_SUFFIXES, *REFUSED_SUFFIXES)
OTHER_KINDS = (*CAPTION_SUFFIXES, ".png", ".json", ".md", ".csv", ".npz")  # masks, and what data sets have beside them
MAX_ZIP_FILES = 2000
MAX_ZIP_BYTES = 1_000_000_000  # of what is taken out of it
SYSTEM_FOLDERS = ("__MACOSX", "@eaDir", "$RECYCLE.BIN")
KOHYA = re.compile(r"(\d+)_(\S+)(?: (.+))?")  # "10_rex dog": repeats, name, class
KOHYA_REST = ("reg", "log", "logs", "model")  # its other folders: pictures of the class, what was learned


@dataclass(frozen=True)
class Gathered:
    """What was found in one place.

    pictures: in order of their names, folder by folder; captions and masks lie beside them.  name: the concept's, as a
    folder of kohya's says it; "" = none does.  notes: what the person should know, as sentences.
    """

    pictures: tuple[Path, ...]
    name: str = ""
    notes: tuple[str, ...] = ()


def gather(folder: Path) -> Gathered:
    """The pictures in ``folder`` and in the folders inside it.

    Raises PictureError when its folders are kohya's of several concepts: one is taught at a time.
    """
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and _counts(path.relative_to(folder).parts)]
    places = dict.fromkeys(path.parent for path in found if _is_picture(path))
    notes: list[str] = []
    kohya = {place: match for place in places if (match := KOHYA.fullmatch(place.name))}
    concepts = {p: match for p, match in kohya.items() if not set(KOHYA_REST) & set(p.relative_to(folder).parts)}
    if len(concepts) > 1:
        names = " and ".join(f"{place.name!r}" for place in concepts)
        raise PictureError(f"{names} are two concepts. One is taught at a time: give one of these folders.")
    name = ""
    for place, match in concepts.items():
        name = match[2]
        kind = f" of the class {match[3]!r}" if match[3] else ""
        notes.append(
            f"{place.name!r} is read as kohya_ss has it: the concept {name!r}{kind}, {count(int(match[1]), 'repeat')}. "
            "Repeats are not needed here: how long is learned is set by Steps."
        )
        others = sum(_is_picture(path) and not path.is_relative_to(place) for path in found)
        if others:
            notes.append(f"{count(others, 'picture')} in other folders left out.")
        found = [path for path in found if path.is_relative_to(place)]
    pictures = [path for path in found if _is_picture(path)]
    inside = {path.parent for path in pictures} - {folder}
    if len(inside) > 1:
        notes.append(
            f"The pictures come from {count(len(inside), 'folder')}: {', '.join(sorted(p.name for p in inside))}."
        )
    return Gathered(tuple(pictures), name, (*notes, *_captions(pictures, found), *_left_out(found)))


def _captions(pictures: Sequence[Path], found: Iterable[Path]) -> list[str]:
    """What is said of the texts among ``found``."""
    texts = [path for path in found if path.suffix.lower() in CAPTION_SUFFIXES]
    stems = {path.with_suffix("") for path in pictures}
    alone = [path.name for path in texts if path.with_suffix("") not in stems]
    if not alone or len(texts) == 1:  # a single one is somebody's notes
        return []
    return [
        f"{alone[0]} lies beside no picture of its name" + (f", and {len(alone) - 1} more" * (len(alone) > 1)) + "."
    ]


def _left_out(found: Iterable[Path]) -> list[str]:
    others = [path.name for path in found if not _is_picture(path) and path.suffix.lower() not in OTHER_KINDS]
    return (
        [f"Left out, for it is no picture: {', '.join(others[:3])}{' and more' * (len(others) > 3)}."] if others else []
    )


def _counts(parts: Sequence[str]) -> bool:
    """Whether a file at this place is somebody's own, and not the system's."""
    return not any(part.startswith(".") or part in SYSTEM_FOLDERS for part in parts) and parts[-1] not in (
        "Thumbs.db",
        "desktop.ini",
    )


def _is_picture(path: Path) -> bool:
    """By its name; one without an ending may be one."""
    return path.suffix.lower() in (*PICTURE_SUFFIXES, "") and not is_mask(path)


def unpack(file: Path, into: Path) -> None:
    """Write the pictures and captions of a zip below ``into``, in its own folders. Raises PictureError as ``unzip``
    does; OSError."""
    otherwise = "Make it again, or drop the pictures."
    unzip(file, into, _wanted, Limits(MAX_ZIP_FILES, MAX_ZIP_BYTES, MAX_FILE_BYTES, PictureError, otherwise))


def _wanted(path: PurePosixPath) -> bool:
    return _counts(path.parts) and path.suffix.lower() in (*PICTURE_SUFFIXES, *CAPTION_SUFFIXES, "")
