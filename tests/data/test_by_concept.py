"""A folder each for several concepts."""

from __future__ import annotations

from pathlib import Path

from clora_core.data.by_concept import pictures_by_concept


def test_a_folder_is_found_by_name_token_or_kohyas_spelling(tmp_path: Path, pictures: tuple[Path, ...]) -> None:
    for place in ("all/Ilva Maron", "all/rex", "10_mug cup", "all/nobody", "all/empty"):
        folder = tmp_path / place
        folder.mkdir(parents=True)
        for picture in pictures[:3] if place != "all/empty" else ():
            (folder / picture.name).write_bytes(picture.read_bytes())
    names = {"<ilva-maron>": "ilva maron", "<rex>": "My dog", "<mug>": "Cup", "<empty>": "Empty", "<who>": "Who"}
    found = pictures_by_concept(tmp_path, names)
    assert {token: paths[0].parent.name for token, paths in found.items()} == {
        "<ilva-maron>": "Ilva Maron",
        "<rex>": "rex",
        "<mug>": "10_mug cup",
    }
    assert all(len(paths) == 3 for paths in found.values())
