"""A disk that is full from its n-th write on, for this process and one folder."""

from __future__ import annotations

import builtins
import errno
import io
import os
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError

from clora_core.jobs import checkpoints


class FullDisk:
    """Counts what is written below ``folder``: files opened for it, writes to them, folders made. From write number
    ``at`` on, half of what is to be written arrives, and the rest is refused, until ``free``."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._folder, self._at, self.writes = str(folder), 0, 0
        opened, mkdir, save_file = io.open, os.mkdir, checkpoints.save_file

        def open_(file: Any, mode: str = "r", *args: Any, **more: Any) -> Any:
            if not self._ours(file) or not set(mode) & set("wax+"):
                return opened(file, mode, *args, **more)
            self.count()
            return _File(opened(file, mode, *args, **more), self)

        def mkdir_(path: Any, *args: Any, **more: Any) -> None:
            if self._ours(path):
                self.count()
            mkdir(path, *args, **more)

        def save_file_(tensors: Any, path: Path) -> None:
            try:
                self.count()
            except OSError as error:
                with opened(path, "wb") as file:
                    file.write(b"torn")
                raise SafetensorError(f"I/O error: {error}") from error
            save_file(tensors, path)

        patch.setattr(builtins, "open", open_)
        patch.setattr(io, "open", open_)
        patch.setattr(os, "mkdir", mkdir_)
        patch.setattr(checkpoints, "save_file", save_file_)

    def fill(self, at: int) -> None:
        """From now on, so many writes succeed."""
        self.writes, self._at = 0, at

    def free(self) -> None:
        """There is room again."""
        self._at = 0

    def count(self) -> None:
        """One write. Raises OSError when the disk is full."""
        self.writes += 1
        if self._at and self.writes >= self._at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _ours(self, file: Any) -> bool:
        return isinstance(file, str | os.PathLike) and os.fspath(file).startswith(self._folder)


class _File:
    """An open file whose writes are counted."""

    def __init__(self, file: Any, disk: FullDisk) -> None:
        self._file, self._disk = file, disk

    def write(self, data: Any) -> Any:
        try:
            self._disk.count()
        except OSError:
            self._file.write(data[: len(data) // 2])
            raise
        return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
