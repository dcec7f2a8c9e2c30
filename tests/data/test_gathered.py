"""Folders and zips as people have them: what is found, what is left out, what is refused before it is unpacked."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clora_core.data import gathered
from clora_core.data.gathered import gather, unpack
from clora_core.errors import PictureError


def png(seed: int = 0) -> bytes:
    data = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(data, "PNG")
    return data.getvalue()


def fill(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(number))


def zipped(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in gather(folder).pictures]


def test_nested_folders_are_read_and_what_systems_put_there_is_not(tmp_path: Path) -> None:
    fill(
        tmp_path,
        "b.PNG",
        "a/1.jfif",
        "a/deep/2.webp",
        ".hidden.png",
        "a/.thumbs/1.png",
        "__MACOSX/a/._1.jpg",
        "film.mp4",
    )
    (tmp_path / "a/1-masklabel.png").write_bytes(png())
    assert names(tmp_path) == ["a/1.jfif", "a/deep/2.webp", "b.PNG"]
    assert "film.mp4" in " ".join(gather(tmp_path).notes)


def test_a_zip_gives_what_its_folder_gives(tmp_path: Path) -> None:
    inside = {"set/1.png": png(), "set/1.txt": b"in the snow", "__MACOSX/set/._1.png": b"x", "set/.DS_Store": b"x"}
    odd = {"../out.png": png(), "/etc/abs.png": png(), "set/a:b.png": png(1), "set/run.exe": b"MZ"}
    unpack(zipped(tmp_path / "set.zip", **inside, **odd), tmp_path / "here")
    assert names(tmp_path / "here") == ["set/1.png", "set/a_b.png"]
    assert (tmp_path / "here/set/1.txt").read_bytes() == b"in the snow"
    assert not list(tmp_path.glob("*.png")) and not list(tmp_path.rglob("*.exe"))


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zipped(tmp_path / "bomb.zip", **{"1.png": b"\0" * 30_000_000})
    assert bomb.stat().st_size < 100_000
    with pytest.raises(PictureError, match="1.png in bomb.zip unpacks to 30 MB"):
        unpack(bomb, tmp_path / "here")
    monkeypatch.setattr(gathered, "MAX_ZIP_FILES", 2)
    with pytest.raises(PictureError, match="holds 3 files.*up to 2 files"):
        unpack(zipped(tmp_path / "many.zip", **{f"{i}.png": png() for i in range(3)}), tmp_path / "here")
    monkeypatch.setattr(gathered, "MAX_ZIP_BYTES", 5000)
    with pytest.raises(PictureError, match="large.zip holds"):
        unpack(zipped(tmp_path / "large.zip", **{"1.png": png(), "2.png": png(1)}), tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_a_zip_that_lies_about_its_sizes_gives_no_more_than_it_said(tmp_path: Path) -> None:
    path = zipped(tmp_path / "lie.zip", **{"1.png": png() * 20})
    real, said = (20 * len(png())).to_bytes(4, "little"), (100).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(real, said))
    with pytest.raises(PictureError, match="damaged"):
        unpack(path, tmp_path / "here")
    assert sum(file.stat().st_size for file in (tmp_path / "here").rglob("*.png")) <= 100


def test_what_is_no_sound_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.zip").write_bytes(b"no zip at all")
    with pytest.raises(PictureError, match="no.zip is damaged"):
        unpack(tmp_path / "no.zip", tmp_path / "here")
    locked = zipped(tmp_path / "locked.zip", **{"1.png": png()})
    data = bytearray(locked.read_bytes())
    data[6] |= 1  # the flag of a password, in the file's own head and in the zip's list
    data[data.index(b"PK\1\2") + 8] |= 1
    locked.write_bytes(data)
    with pytest.raises(PictureError, match="password"):
        unpack(locked, tmp_path / "here")


def test_kohyas_folders_say_name_and_repeats(tmp_path: Path) -> None:
    fill(tmp_path, "img/10_rex dog/1.png", "img/10_rex dog/2.png", "reg/1_dog/9.png", "log/3_x/8.png")
    found = gather(tmp_path)
    assert found.name == "rex" and [path.name for path in found.pictures] == ["1.png", "2.png"]
    said = " ".join(found.notes)
    assert "'dog'" in said and "10 repeats" in said and "2 pictures in other folders" in said
    assert gather(tmp_path / "img/10_rex dog").name == "rex"
    fill(tmp_path, "img/5_mug/1.png")
    with pytest.raises(PictureError, match="'10_rex dog' and '5_mug' are two concepts"):
        gather(tmp_path)


def test_captions_that_belong_to_no_picture_are_said(tmp_path: Path) -> None:
    fill(tmp_path, "1.png", "2.png")
    (tmp_path / "1.txt").write_text("a hat")
    (tmp_path / "two.txt").write_text("a hat")
    assert gather(tmp_path).notes == ("two.txt lies beside no picture of its name.",)
