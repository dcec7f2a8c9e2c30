"""Taking files out of a zip from elsewhere: nothing lands outside the folder, and nothing is larger than it may be."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from clora_core.answers import count
from clora_core.errors import StudioError

MAX_RATIO = 200  # times as large as it is in the zip; a blank PNG has 100
UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f]')


@dataclass(frozen=True)
class Limits:
    """What may be taken out of one zip. files: how many.  total, each: bytes of all, of one.  error: what is raised.
    otherwise: what to do where the zip cannot be read."""

    files: int
    total: int
    each: int
    error: type[StudioError]
    otherwise: str


def unzip(file: Path, into: Path, wanted: Callable[[PurePosixPath], bool], limits: Limits) -> None:
    """Write the ``wanted`` files of a zip below ``into``, in its own folders.

    Raises ``limits.error``: it is no sound zip, needs a password, or holds more or larger files than it may; OSError.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            entries = [entry for entry in archive.infolist() if _sound(entry) and wanted(PurePosixPath(entry.filename))]
            _check_sizes(file.name, entries, limits)
            for entry in entries:
                target = place_below(into, entry.filename)
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, target.open("wb") as copy:
                    left = entry.file_size  # what the zip says, and no more
                    while left > 0 and (data := source.read(min(left, 1 << 20))):
                        copy.write(data)
                        left -= len(data)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError) as error:
        raise limits.error(f"{file.name} is damaged or no zip. {limits.otherwise}") from error
    except RuntimeError as error:  # zipfile's for a password
        raise limits.error(f"{file.name} has a password. Unpack it, and make it again without.") from error


def _sound(entry: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(entry.filename)
    return not entry.is_dir() and bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def _check_sizes(name: str, entries: Sequence[zipfile.ZipInfo], limits: Limits) -> None:
    most = f"Take out what is not needed: up to {limits.files} files and {limits.total // 10**9} GB can be read."
    if len(entries) > limits.files:
        raise limits.error(f"{name} holds {count(len(entries), 'file')}. {most}")
    total = sum(entry.file_size for entry in entries)
    if total > limits.total:
        raise limits.error(f"{name} holds {total / 1e9:.1f} GB. {most}")
    for entry in entries:
        if entry.file_size > limits.each or entry.file_size > MAX_RATIO * entry.compress_size + (1 << 20):
            inside = PurePosixPath(entry.filename).name
            raise limits.error(f"{inside} in {name} unpacks to {entry.file_size / 1e6:.0f} MB. Take it out.")


def place_below(folder: Path, place: str) -> Path:
    """Where a file from elsewhere goes below ``folder``: "rex/01.jpg" keeps its folders, whatever they are called."""
    return folder.joinpath(*map(_safe, PurePosixPath(place).parts))


def _safe(part: str) -> str:
    """A name from elsewhere as a name of a file here; one of dots alone as "_"."""
    return UNSAFE.sub("_", part)[-150:].strip(" .") or "_"
