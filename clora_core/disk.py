"""Writing so that a crash at any moment leaves either the old file or the new one."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from clora_core.errors import DiskError, StoreError

LOCK_SECONDS = 60
MAX_TEXT_BYTES = 64_000_000  # of a file of ours; the curve of 100,000 steps has 15
FULL = (errno.ENOSPC, errno.EDQUOT)
REFUSED = (*FULL, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM)
SAFE_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")


class HomeLock(FileLock):
    """The one lock of a home folder, among threads and programmes, also of other machines that share the folder.

    Entering it raises StoreError when another programme holds it for LOCK_SECONDS, or the folder cannot be written to.
    """

    def __init__(self, home: Path) -> None:
        super().__init__(home / "lock", timeout=LOCK_SECONDS)

    def __enter__(self) -> Self:
        try:
            return super().__enter__()
        except Timeout:
            raise StoreError(
                f"Another programme has been writing to {Path(self.lock_file).parent} for {LOCK_SECONDS} seconds. Wait "
                "until it is done, or end it."
            ) from None
        except OSError as error:
            raise refused(f"The folder {Path(self.lock_file).parent} cannot be written to", error) from error

    @contextmanager
    def if_free(self) -> Iterator[bool]:
        """Holds it while open where nobody else does and it can be taken; says whether it does."""
        try:
            self.acquire(timeout=0)
        except (Timeout, OSError):
            yield False
            return
        try:
            yield True
        finally:
            self.release()


def refused(what: str, error: OSError) -> DiskError:
    """The error to say when ``what`` ("Rex could not be stored") failed because of the disk."""
    if error.errno in FULL:
        return DiskError(f"{what}: the disk is full. Free some space.")
    return DiskError(f"{what}: {error.strerror or error}. Free some space, or make the home folder writable.")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside ``path`` to be written: it takes the place of ``path`` at the end, and is deleted on an error."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str, durable: bool = True) -> None:
    """Replace ``path`` by a file holding ``text``; ``durable`` also survives a power cut (fsync)."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    if durable:
        sync_folder(path.parent)


def write_json(path: Path, data: dict[str, Any], durable: bool = True) -> None:
    """``write_text`` of readable JSON. Numbers that are not finite are refused (ValueError)."""
    write_text(path, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n", durable)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read piece by piece. Raises OSError, also for what is no file."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is no file", str(path))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_plain(path: Path) -> str:
    """The text of a file. Raises OSError; ValueError for what is no UTF-8, no file (a pipe or a device would never
    end) or larger than any of ours is."""
    size = path.stat().st_size
    if not path.is_file():
        raise ValueError("it is no file")
    if size > MAX_TEXT_BYTES:
        raise ValueError(f"it has {size / 1e6:.0f} MB")
    return path.read_text(encoding="utf-8")


def parsed(text: str) -> Any:
    """What JSON says, which may be somebody else's. Raises ValueError, also for what is nested without end."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(path: Path, *needed: str) -> dict[str, Any]:
    """Read a JSON object. Raises StoreError that names the file when it is missing or broken, or lacks a key that is
    ``needed``."""
    try:
        data = parsed(read_plain(path))
    except FileNotFoundError:
        raise StoreError(f"{path.name} is missing in {path.parent}. Restore it from a backup.") from None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read ({error}). Restore it from a backup.") from error
    if not isinstance(data, dict):
        raise StoreError(f"{path} holds no JSON object. Restore it from a backup.")
    check_keys(path, data, *needed)
    return data


def check_keys(path: Path, data: Mapping[str, Any], *needed: str) -> None:
    """Raise StoreError when a key is missing in what was read from ``path``."""
    missing = [key for key in needed if key not in data]
    if missing:
        raise StoreError(f"{path} lacks {', '.join(missing)}. Restore it from a backup.")


def check_shape(path: Path, data: Mapping[str, Any], shape: type[BaseModel]) -> None:
    """Raise StoreError when what was read from ``path`` is not of this shape."""
    try:
        shape.model_validate(data, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise StoreError(f"{path} is damaged ({place}: {first['msg']}). Restore it from a backup.") from error


def append_line(path: Path, data: dict[str, Any]) -> None:
    """Add one JSON object as a line of its own, flushed to the disk, to a .jsonl file.

    A last line that a crash cut off is dropped first.
    """
    with path.open("ab+") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(json.dumps(data, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a .jsonl file; [] when there is none. A last line that a crash cut off is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1] if line]


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries (new names) to the disk; Windows neither can nor needs to."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Flush a file to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_tree(folder: Path) -> None:
    """Flush every file below ``folder``, and the folders, to the disk."""
    for path in [*folder.rglob("*"), folder]:
        if path.is_dir():
            sync_folder(path)
        else:
            sync_file(path)


def check_id(value: str, what: str) -> str:
    """Return ``value`` if it can be a folder name of ours, else StoreError (keeps "../" out)."""
    if not isinstance(value, str) or not SAFE_ID.fullmatch(value):
        raise StoreError(f"{value!r} is not the id of a {what}.")
    return value


def free_name(wanted: str, taken: Collection[str]) -> str:
    """``wanted``, or the first of "wanted-2", "wanted-3", ... that is not ``taken``."""
    number, found = 1, wanted
    while found in taken:
        number += 1
        found = f"{wanted}-{number}"
    return found


HOME = Path("~/.clora-studio")


def _shipped() -> Path:
    """The folder ``assets``: beside this package in a checkout, inside it where it was installed."""
    package = Path(__file__).resolve().parent
    inside = package / "assets"
    return inside if inside.is_dir() else package.parent / "assets"


ASSETS = _shipped()  # the embedded model, its sample people and the example timelines


def home_folder(asked: Path | None) -> Path:
    """Where timelines and pictures live: the folder asked for, else $CLORA_HOME, else ``HOME``."""
    return (asked or Path(os.environ.get("CLORA_HOME") or HOME)).expanduser().resolve()
