"""What is dropped on the form: put together, unpacked, and believed only where it came through the upload."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from PIL import Image

from clora_core.data.pictures import open_pictures
from clora_core.errors import PictureError
from demo.uploads import DAY_SECONDS, forget_old_drops, taken_in


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Gradio puts uploads."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "up"))
    return (tmp_path / "up").resolve()


def upload(folder: Path, name: str, data: bytes | None = None) -> tuple[str, str]:
    """A file as Gradio keeps it, in a folder of its own, and its name where it came from."""
    place = folder / f"hash-{len(list(folder.glob('*')))}" / name
    place.parent.mkdir(parents=True)
    if data is None:
        Image.effect_noise((64, 64), 90).convert("RGB").save(place)
    else:
        place.write_bytes(data)
    return str(place), name


def test_pictures_and_captions_of_one_drop_lie_side_by_side(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"x")
    names = ("1.png", "2.png", "2.png")
    files = [*(upload(folder, name) for name in names), upload(folder, "1.txt", b"a hat")]
    files.append((str(tmp_path / "secret.png"), "secret.png"))
    found = taken_in(files)
    assert sorted(path.name for path in found.pictures) == ["1.png", "2.png", "2.png"]
    captions = {picture.path.name: picture.caption for picture in open_pictures(found.pictures, 32)}
    assert captions == {"1.png": "a hat", "2.png": ""} and (tmp_path / "secret.png").exists()
    later = taken_in([upload(folder, "2.txt", b"a dog")], map(str, found.pictures))
    assert later.pictures == () and "1 caption put beside" in later.notes[-1]
    assert [picture.caption for picture in open_pictures(found.pictures, 32)].count("a dog") == 1


def test_a_zip_is_unpacked_and_a_bad_one_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    kohya = tmp_path / "set/10_zoe person"
    kohya.mkdir(parents=True)
    for number in range(3):
        Image.effect_noise((64, 64), 90).save(kohya / f"{number}.png")
    packed = Path(shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path / "set")).read_bytes()
    found = taken_in([upload(folder, "set.zip", packed)])
    assert found.name == "zoe" and len(found.pictures) == 3 and "10 repeats" in " ".join(found.notes)
    with pytest.raises(PictureError, match="bad.zip"):
        taken_in([upload(folder, "1.png"), upload(folder, "bad.zip", b"no zip")])
    assert len(list((folder / "drops").iterdir())) == 1
    old = time.time() - 2 * DAY_SECONDS
    os.utime(next((folder / "drops").iterdir()), (old, old))
    young = taken_in([upload(folder, "1.png")]).pictures[0]
    forget_old_drops()
    assert young.exists() and not found.pictures[0].exists()
