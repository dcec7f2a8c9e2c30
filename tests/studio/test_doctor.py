"""What the doctor finds, on this very machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import constants

from clora_core.studio import doctor
from clora_core.studio.doctor import Finding, examine


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")


def found(home: Path, model: str | None = None) -> dict[str, Finding]:
    return {finding.what: finding for finding in examine(home, model, "cpu")}


def test_a_machine_that_runs_these_tests_is_well(tmp_path: Path, tiny_folder: Path) -> None:
    seen = found(tmp_path, str(tiny_folder))
    assert {"Python", "packages", "home", "processor", "device", "model", "Hub"} <= seen.keys()
    assert not [finding for finding in seen.values() if finding.state == "bad"]
    assert all(bool(finding.remedy) == (finding.state != "good") for finding in seen.values())
    assert "does not answer" in seen["Hub"].found


def test_what_is_missing_or_of_another_version_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("# ours\nno-such-package>=1\npillow<1\nnumpy\n")
    monkeypatch.setattr(doctor, "REQUIREMENTS", file)
    seen = found(tmp_path)
    assert seen["no-such-package"].state == seen["pillow"].state == "bad"
    assert "packages" not in seen and "numpy" not in seen


def test_a_model_that_cannot_be_used_and_one_that_does_not_fit(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(tmp_path, "/no/such/model")["model"].state == "bad"
    assert "not on this machine" in found(tmp_path, "somebody/model")["model"].found
    monkeypatch.setattr("clora_core.models.loading.denoiser_parameters", lambda model: 10**13)
    assert "does not fit" in found(tmp_path, str(tiny_folder))["model"].remedy


def test_a_home_that_is_no_folder_is_bad(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert found(tmp_path / "file/home")["home"].state == "bad"
