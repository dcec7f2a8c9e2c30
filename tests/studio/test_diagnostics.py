"""What is in the file for whoever helps, and what is not."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from clora_core.errors import DiskError
from clora_core.studio.diagnostics import write_diagnostics
from clora_core.studio.doctor import Finding


def test_it_tells_what_helps_and_nothing_private(tmp_path: Path) -> None:
    jobs = tmp_path / "home/jobs"
    for number in range(1, 13):
        folder = jobs / f"{number:04d}-learn"
        folder.mkdir(parents=True)
        config = {"steps": 30, "preview_prompt": "my secret garden"}
        asked = {"concept": {"name": "Rex"}, "config": config, "prompt": "my secret garden"}
        record = {"id": folder.name, "state": "failed", "message": "The disk is full.", "request": asked}
        (folder / "job.json").write_text(json.dumps(record))
        (folder / "drawn.png").write_bytes(b"a picture")
    (jobs / "0012-learn/log.txt").write_text(
        f"Traceback: {Path.home()}/x hf_abcDEF123 https://ann:pass@hub.example/y\n" + "\xff" * 10
    )
    (jobs / "0011-learn/job.json").write_text("{")
    write_diagnostics(tmp_path / "help.zip", tmp_path / "home", [Finding("Python", "3.11", "bad", "Update.")])
    with zipfile.ZipFile(tmp_path / "help.zip") as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert parts["doctor.txt"] == "bad  Python: 3.11 Update."
    assert "torch==" in parts["packages.txt"]
    told = json.loads(parts["0012-learn.json"])
    assert told == {"id": "0012-learn", "state": "failed", "message": "The disk is full.", "settings": {"steps": 30}}
    assert "cannot be read" in parts["0011-learn.json"]
    assert "0002-learn.json" not in parts and "0003-learn.json" in parts  # the last ten
    assert not [name for name in parts if name.endswith(".png")]
    everything = "".join(parts.values())
    assert not [word for word in ("secret", "hf_abc", "pass@", str(Path.home())) if word in everything]
    with pytest.raises(DiskError):
        write_diagnostics(tmp_path / "none/help.zip", tmp_path / "home", [])
