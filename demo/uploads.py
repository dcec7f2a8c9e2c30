"""Files that visitors drop on the page: which kinds are offered, and which paths may be believed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

PICTURE_TYPES = [".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".heif", ".bmp", ".gif", ".tif", ".tiff"]


def upload_folder() -> Path:
    """Where Gradio puts what is uploaded: $GRADIO_TEMP_DIR, which is set here where nobody has set it.

    To be called before the page is built, so that Gradio means the same folder.
    """
    folder = os.environ.setdefault("GRADIO_TEMP_DIR", str(Path(tempfile.gettempdir()) / "gradio"))
    return Path(folder).resolve()


def uploaded(files: Sequence[str]) -> list[str]:
    """Paths of files that really came through this page's upload; anything else is left out.

    A request can be written by hand and name any file of this computer, so the folder is checked here.
    """
    folder = upload_folder()
    paths = [Path(file).resolve() for file in files]
    return [str(path) for path in paths if path.is_relative_to(folder)]
