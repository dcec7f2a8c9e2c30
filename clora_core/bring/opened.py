"""Files of other programmes are opened as safetensors or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError, safe_open

from clora_core.errors import ConceptError

SUFFIX = ".safetensors"
PICKLES = (".pt", ".bin", ".ckpt", ".pth")


@contextmanager
def opened(file: Path, framework: Literal["pt", "numpy"] = "numpy") -> Iterator[Any]:
    """The file as `safe_open` gives it, which has no types, open while the block runs.

    framework: of the tensors that are read; what the header says needs no torch.

    Raises ConceptError: it is a pickle, which is not opened, or no safetensors file, or it cannot be read.
    """
    if file.suffix.lower() in PICKLES:
        raise ConceptError(
            f"{file.name} is a pickle: opening it can run whatever code is in it, so it is not opened. Get the "
            f"{SUFFIX} file from where it was published; docs/timelines.md says how one is made of it."
        )
    if file.suffix.lower() != SUFFIX:
        raise ConceptError(f"{file.name} is no {SUFFIX} file. Give a LoRA or an embedding in one.")
    if not file.is_file():
        raise ConceptError(f"There is no file {file}.")
    try:
        with safe_open(file, framework) as found:
            yield found
    except (SafetensorError, OSError) as error:
        raise ConceptError(f"{file.name} cannot be read: {error}. Download it again.") from error


def digest(file: Path) -> str:
    """sha256 of the whole file, by which it is known on the sites that share such files."""
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()
