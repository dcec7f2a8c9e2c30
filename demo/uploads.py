"""Files that visitors drop on the page: which kinds are offered, and which paths may be believed."""

from __future__ import annotations

import getpass
import os
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from clora_core.answers import DiskUse, count
from clora_core.data.beside import CAPTION_SUFFIXES, copy_picture
from clora_core.data.gathered import PICTURE_SUFFIXES, ZIP_SUFFIX, Gathered, gather, unpack
from clora_core.data.pictures import MAX_FILE_BYTES, given_name
from clora_core.data.zips import place_below
from clora_core.errors import PictureError, StoreError

PICTURE_TYPES = list(PICTURE_SUFFIXES)  # some of them to be refused by name
FORM_TYPES = (*PICTURE_SUFFIXES, *CAPTION_SUFFIXES, ZIP_SUFFIX)
LARGEST_UPLOAD = 2 * MAX_FILE_BYTES  # Gradio refuses what is larger, and with it all of a drop; we refuse by name
DAY_SECONDS, HOUR_SECONDS = 86_400, 3600
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


def _drops() -> Path:
    return upload_folder() / "drops"


def in_form(picture: Path) -> bool:
    """Whether a picture lies where the form may write beside it."""
    return picture.resolve().is_relative_to(_drops())


def taken_in(files: Iterable[tuple[str, str]], earlier: Iterable[str] = ()) -> Gathered:
    """What was dropped on the form, zips unpacked, in one folder, so that captions and masks are beside their pictures.

    files: (path of the upload, its place in the folder that was dropped).  earlier: pictures of the form that captions
    among ``files`` may belong to.

    Raises PictureError for a zip that is refused; nothing of the drop is kept then. StoreError: the disk refuses.
    """
    folder = _drops() / uuid.uuid4().hex
    try:
        folder.mkdir(parents=True)
        for source, place in ((Path(path), place) for file, place in files for path in uploaded([file])):
            target = place_below(folder, place)
            if target.exists():  # of the same name, from another folder
                target = place_below(folder, f"{uuid.uuid4().hex[:6]}/{place}")
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.suffix.lower() == ZIP_SUFFIX:
                unpack(source, target.with_suffix(""))
            else:
                shutil.move(source, target)
        found = gather(folder)
        later = _captions_later(folder, [Path(path) for path in earlier])
    except PictureError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    except OSError as error:
        raise StoreError(f"What was dropped could not be kept: {error}. Free some space.") from error
    return Gathered(found.pictures, found.name, (*found.notes, *later))


def forget_old_drops() -> None:
    """Delete what was dropped on the form more than a day ago; Gradio deletes the other uploads."""
    for folder in _drops().glob("*"):
        with suppress(OSError):  # deleted meanwhile
            if time.time() - folder.stat().st_mtime > DAY_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def keep_forgetting() -> None:
    """The same now, and every hour while the programme runs."""

    def forget() -> None:
        while True:
            forget_old_drops()
            time.sleep(HOUR_SECONDS)

    threading.Thread(target=forget, name="old-drops", daemon=True).start()


def _captions_later(folder: Path, earlier: Sequence[Path]) -> list[str]:
    """Captions that were dropped after their pictures are put beside them; what was done, in words."""
    stems = {Path(given_name(path)).stem: path for path in earlier if in_form(path)}
    texts = [text for text in folder.rglob("*") if text.suffix.lower() in CAPTION_SUFFIXES and text.stem in stems]
    for text in texts:
        shutil.copyfile(text, stems[text.stem].with_suffix(".txt"))
    return [f"{count(len(texts), 'caption')} put beside what was here before."] if texts else []


def given_back(pictures: Sequence[Path]) -> list[str]:
    """Copies, with what lies beside each, as if dropped on the form again. Raises StoreError."""
    folder = _drops() / uuid.uuid4().hex
    try:
        folder.mkdir(parents=True)
        for path in pictures:
            copy_picture(path, folder / path.name)
    except OSError as error:
        raise StoreError(f"The pictures could not be copied back: {error}. Free some space.") from error
    return [str(folder / path.name) for path in pictures]
