"""Pictures that were decoded already, kept on their way from the upload to the worker."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

from clora_core.data.pictures import MAX_KEPT_SIDE, MAX_PICTURES, CheckedPicture, open_picture, too_small

KEPT_BYTES = MAX_PICTURES * 3 * MAX_KEPT_SIDE**2  # of pixels: a concept's, however many and large; with room for one
# less, all would be decoded again at every look, each dropped just before its turn


class Decoded:
    """Opens pictures like ``open_picture``, and those it opened last without decoding them again.

    A picture is known by the SHA-256 of its file, so that a copy of an upload is the same picture. What was dropped to
    keep to ``most_bytes``, and what was copied before the programme was started again, is decoded once more.
    Safe to use from several threads.
    """

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self._most_bytes, self._lock, self._decoding = most_bytes, threading.Lock(), threading.Lock()
        self._kept: OrderedDict[str, CheckedPicture] = OrderedDict()  # used last comes last

    def open(self, path: Path, min_side: int) -> CheckedPicture:
        """See ``open_picture``. The image is shared: copy it before you draw on it."""
        try:
            with path.open("rb") as file:
                key = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return open_picture(path, min_side)  # which says what is wrong
        with self._lock:
            found = self._kept.get(key)
            if found:
                self._kept.move_to_end(key)
        if found is None:
            with self._decoding:  # one at a time: each may take hundreds of MB
                found = open_picture(path, min_side)
            self._keep(key, found)
        elif min(found.file_size) < min_side:
            return too_small(path, found.file_size, min_side, found.image)
        return replace(found, path=path)

    def _keep(self, key: str, picture: CheckedPicture) -> None:
        if picture.image is None:
            return
        with self._lock:
            self._kept[key] = picture
            while sum(map(_bytes, self._kept.values())) > self._most_bytes:
                self._kept.popitem(last=False)


def _bytes(picture: CheckedPicture) -> int:
    return 3 * picture.image.width * picture.image.height if picture.image else 0
