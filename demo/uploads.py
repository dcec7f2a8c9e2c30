"""Files that visitors drop on the page: which kinds are offered, and which paths may be believed."""

from __future__ import annotations

import getpass
import os
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from clora_core.answers import DiskUse
from clora_core.data.beside import copy_picture
from clora_core.data.pictures import HEIC_SUFFIXES, SUFFIXES
from clora_core.errors import StoreError

PICTURE_TYPES = [*SUFFIXES, *HEIC_SUFFIXES, ".bmp", ".gif", ".tif", ".tiff"]  # the last to be refused by name
NEEDED_SECONDS = 3600.0  # somebody may still have an upload in a form


def upload_folder() -> Path:
    """Where Gradio puts what is uploaded: $GRADIO_TEMP_DIR, which is set here where nobody has set it, to a folder of
    this user's own: Gradio's belongs to whoever of the machine's users was first.

    To be called before the page is built, so that Gradio means the same folder.
    """
    folder = os.environ.setdefault("GRADIO_TEMP_DIR", str(Path(tempfile.gettempdir()) / f"gradio-{_user()}"))
    return Path(folder).resolve()


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container may run as a number without a name
        return str(os.getuid()) if hasattr(os, "getuid") else "user"


def uploaded(files: Sequence[str]) -> list[str]:
    """Paths of files that really came through this page's upload; anything else is left out.

    A request can be written by hand and name any file of this computer, so the folder is checked here.
    """
    folder = upload_folder()
    paths = [Path(file).resolve() for file in files]
    return [str(path) for path in paths if path.is_relative_to(folder)]


def uploads_use() -> DiskUse:
    """What uploads take. Those that no open form holds any more can go: the ones that are older than an hour."""
    files = _files()
    old = sum(size for path, size, age in files if age > NEEDED_SECONDS)
    return DiskUse("uploads", "Uploads, deleted by themselves after a day", sum(size for _, size, _ in files), old)


def clear_uploads() -> int:
    """Delete uploads that are older than an hour; returns how many bytes."""
    freed = 0
    for path, size, age in _files():
        if age > NEEDED_SECONDS:
            path.unlink(missing_ok=True)
            freed += size
    return freed


def _files() -> list[tuple[Path, int, float]]:
    """Path, bytes and age in seconds of everything that was uploaded."""
    found, now = [], time.time()
    for path in upload_folder().rglob("*"):
        with suppress(OSError):  # deleted meanwhile
            if path.is_file():
                facts = path.stat()
                found.append((path, facts.st_size, now - facts.st_mtime))
    return found


def given_back(pictures: Sequence[Path]) -> list[str]:
    """Copies in the upload folder, with what lies beside each, as if uploaded again. Raises StoreError."""
    folder = upload_folder() / uuid.uuid4().hex
    try:
        folder.mkdir(parents=True)
        for path in pictures:
            copy_picture(path, folder / path.name)
    except OSError as error:
        raise StoreError(f"The pictures could not be copied back: {error}. Free some space.") from error
    return [str(folder / path.name) for path in pictures]
