"""Files that visitors drop on the page: which kinds are offered, and which paths may be believed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder

from clora_core.data.pictures import HEIC_SUFFIXES, SUFFIXES

PICTURE_TYPES = [
    *SUFFIXES,
    *HEIC_SUFFIXES,
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
]  # the last to be refused by name


def uploaded(files: Sequence[Any]) -> list[str]:
    """Paths of files that really came through this page's upload; anything else is left out.

    A request can be written by hand and name any file of this computer, so the folder is checked here.
    """
    folder = Path(get_upload_folder()).resolve()
    paths = [Path(str(file)).resolve() for file in files]
    return [str(path) for path in paths if path.is_relative_to(folder)]
