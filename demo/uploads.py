"""Files that visitors drop on the page: which kinds are offered, and which paths may be believed."""

from __future__ import annotations

import getpass
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from clora_core.data.pictures import HEIC_SUFFIXES, SUFFIXES

PICTURE_TYPES = [*SUFFIXES, *HEIC_SUFFIXES, ".bmp", ".gif", ".tif", ".tiff"]  # the last to be refused by name


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
