"""Pictures as people have them: in a folder, in folders inside it, in a zip of either.

What systems put beside pictures (``__MACOSX``, dot files, Thumbs.db) is left out, and so is what is no picture. A zip
is written out here, and nothing of it is decoded before its own sizes were found to be within the limits.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from clora_core.answers import count
from clora_core.data.beside import CAPTION_SUFFIXES, is_mask
from clora_core.data.pictures import HEIC_SUFFIXES, MAX_FILE_BYTES, SUFFIXES
from clora_core.errors import PictureError

ZIP_SUFFIX = ".zip"
REFUSED_SUFFIXES = (".bmp", ".gif", ".tif", ".tiff")  # pictures, to be refused by name
PICTURE_SUFFIXES = (*SUFFIXES, *HEIC_SUFFIXES, *REFUSED_SUFFIXES)
OTHER_KINDS = (*CAPTION_SUFFIXES, ".png", ".json", ".md", ".csv", ".npz")  # masks, and what data sets have beside them
MAX_ZIP_FILES = 2000
MAX_ZIP_BYTES = 1_000_000_000  # of what is taken out of it
MAX_RATIO = 200  # times as large as it is in the zip; a blank PNG has 100
SYSTEM_FOLDERS = ("__MACOSX", "@eaDir", "$RECYCLE.BIN")
KOHYA = re.compile(r"(\d+)_(\S+)(?: (.+))?")  # "10_rex dog": repeats, name, class
KOHYA_REST = ("reg", "log", "logs", "model")  # its other folders: pictures of the class, what was learned
UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f]')


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
    """Write the pictures and captions of a zip below ``into``, in its own folders.

    Raises PictureError: it is no sound zip, needs a password, or holds more or larger files than the limits; OSError.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            wanted = [entry for entry in archive.infolist() if _wanted(entry)]
            _check_sizes(file.name, wanted)
            for entry in wanted:
                target = place_below(into, entry.filename)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, target.open("wb") as copy:
                    left = entry.file_size  # what the zip says, and no more
                    while left > 0 and (data := source.read(min(left, 1 << 20))):
                        copy.write(data)
                        left -= len(data)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError) as error:
        raise PictureError(f"{file.name} is damaged or no zip. Make it again, or drop the pictures.") from error
    except RuntimeError as error:  # zipfile's for a password
        raise PictureError(f"{file.name} has a password. Unpack it, and drop the folder.") from error


def _wanted(entry: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(entry.filename)
    sound = bool(path.parts) and not path.is_absolute() and ".." not in path.parts
    kinds = (*PICTURE_SUFFIXES, *CAPTION_SUFFIXES, "")
    return not entry.is_dir() and sound and _counts(path.parts) and path.suffix.lower() in kinds


def _check_sizes(name: str, entries: Sequence[zipfile.ZipInfo]) -> None:
    limit = f"Take out what is not needed: up to {MAX_ZIP_FILES} files and {MAX_ZIP_BYTES // 10**9} GB can be read."
    if len(entries) > MAX_ZIP_FILES:
        raise PictureError(f"{name} holds {len(entries)} pictures and captions. {limit}")
    if sum(entry.file_size for entry in entries) > MAX_ZIP_BYTES:
        raise PictureError(f"{name} holds {sum(entry.file_size for entry in entries) / 1e9:.1f} GB. {limit}")
    for entry in entries:
        if entry.file_size > MAX_FILE_BYTES or entry.file_size > MAX_RATIO * entry.compress_size + (1 << 20):
            inside = PurePosixPath(entry.filename).name
            raise PictureError(f"{inside} in {name} unpacks to {entry.file_size / 1e6:.0f} MB. Take it out.")


def place_below(folder: Path, place: str) -> Path:
    """Where a file from elsewhere goes below ``folder``: "rex/01.jpg" keeps its folders, whatever they are called."""
    return folder.joinpath(*map(_safe, PurePosixPath(place).parts))


def _safe(part: str) -> str:
    """A name from elsewhere as a name of a file here; one of dots alone as "_"."""
    return UNSAFE.sub("_", part)[-150:].strip(" .") or "_"
