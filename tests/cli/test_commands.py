"""The command line and the benchmarks behind it, on the tiny model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from clora_core.bench import speed as benchmark
from clora_core.bench.sweep import decade_arms, grid_arms, sweep
from clora_core.cli import commands as cli
from clora_core.errors import SettingsError
from clora_core.models.description import read_base
from clora_core.settings.drawing import SamplingConfig
from clora_core.settings.learning import TrainConfig
from clora_core.studio.progress import ProgressLine
from clora_core.studio.studio import Studio

QUICK = ["--rank", "2", "--steps", "3", "--preview-every-seconds", "0"]
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """command(*arguments) -> (exit code, stdout, stderr), with the tiny model and a home of its own."""

    def command(*arguments: object) -> tuple[int, str, str]:
        common = ["--home", tmp_path / "home", "--model", tiny_folder, "--device", "cpu"]
        code = cli.main([str(argument) for argument in [*common, *arguments]])
        return code, *capsys.readouterr()

    return command


@pytest.fixture
def folder(pictures: tuple[Path, ...], tmp_path: Path) -> Path:
    """A folder as people have them: pictures, a text file, a broken picture."""
    made = tmp_path / "rex"
    made.mkdir()
    for path in pictures:
        shutil.copy(path, made)
    (made / "notes.txt").write_text("not a picture")
    (made / "broken.jpg").write_bytes(b"no jpeg")
    return made


def test_captions_beside_the_pictures_are_said_and_a_folder_inside_is_named(
    command: Command, folder: Path, tmp_path: Path
) -> None:
    for path in folder.glob("*.png"):
        path.with_suffix(".txt").write_text("sks person wearing a red hat")
    code, _, err = command("learn", "--pictures", folder, "--name", "Rex", *QUICK)
    assert code == 0 and "0.txt: 4 captions not read" in err
    kohya = tmp_path / "img"  # kohya's layout: repeats and the prompt in the name of the folder inside
    shutil.copytree(folder, kohya / "10_sks person")
    code, _, err = command("learn", "--pictures", kohya, "--name", "Mug", *QUICK)
    assert code == 2 and "'10_sks person'" in err.replace(str(kohya) + "/", "") and "--pictures" in err


@pytest.mark.parametrize("coding", ["ascii", "cp1252"])
def test_a_console_without_a_letter_shows_its_number(tiny_folder: Path, tmp_path: Path, coding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "clora_core", "timeline", "--new", "小明", "--model", tiny_folder, "--home", tmp_path],
        env={**os.environ, "PYTHONIOENCODING": coding},
        cwd=Path(__file__).parents[2],
        capture_output=True,
    )
    assert done.returncode == 0 and rb"\u5c0f" in done.stdout, done.stderr


def test_learn_draw_timeline(command: Command, folder: Path, tmp_path: Path) -> None:
    code, out, err = command("learn", "--pictures", folder, "--name", "Rex", *QUICK)
    assert code == 0, err
    assert out.startswith("Rex is learned: write <rex> in a prompt.")
    assert "broken.jpg" in err and "notes.txt" not in err

    code, out, err = command(
        "draw",
        "--prompt",
        "a photo of <rex>",
        "--seed",
        "3",
        "--steps",
        "2",
        "--out",
        tmp_path / "out/one.png",
        "--json",
    )
    assert code == 0, err
    assert json.loads(out)["pictures"] == [str(tmp_path / "out/one.png")]
    assert "Seed: 3" in Image.open(tmp_path / "out/one.png").info["parameters"]

    code, out, _ = command(
        "draw",
        "--prompt",
        "a photo",
        "--steps",
        "2",
        "--pictures",
        "2",
        "--as-of",
        "0",
        "--out",
        tmp_path / "two.png",
    )
    assert code == 0
    assert out.split() == [str(tmp_path / "two-1.png"), str(tmp_path / "two-2.png")]

    assert "<rex>" in command("timeline")[1]
    shown = json.loads(command("timeline", "--undo", "--json")[1])["timeline"]
    assert (shown["cards"], shown["undone"][0]["token"]) == ([], "<rex>")
    assert json.loads(command("timeline", "--redo", "--json")[1])["timeline"]["cards"][0]["steps"] == 3
    assert command("timeline", "--branch", "1", "Second try")[1].startswith(
        "Second try (second-try), clora\n  1  <rex>"
    )
    assert command("timeline", "--all")[1].count("1 concepts") == 2
    assert "no concepts yet" in command("timeline", "--new", "Third")[1]


def test_a_log_gets_a_line_of_progress_a_minute(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = ["learn", "--pictures", folder, *QUICK, "--name"]
    assert "3/3" not in command(*learn, "Rex")[2]
    monkeypatch.setattr(cli, "ProgressLine", lambda: ProgressLine(log_seconds=0.0))
    lines = command(*learn, "Max")[2].splitlines()
    assert [line for line in lines if "3/3" in line] and "" not in lines and "\r" not in "".join(lines)


def test_a_folder_that_cannot_be_made_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--home", str(folder / "notes.txt/home"), "timeline"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_learn_tells_a_script_everything(command: Command, folder: Path) -> None:
    _, out, _ = command("learn", "--pictures", folder, "--name", "My Dog", "--token", "<rex>", "--json", *QUICK)
    told = json.loads(out)
    assert (told["state"], told["concept"], told["token"]) == ("done", "001-my-dog", "<rex>")
    assert told["verdict"]["differs_from_base"] > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["learn", "--name", "Rex"], "learn needs --pictures DIR"),
        (["learn", "--name", "Rex", "--pictures", "nowhere"], "nowhere is no folder"),
        (["learn", "--steps", "many"], "invalid int value: 'many'"),
        (["learn", "--resume", "0001-learn"], "There is no job"),
        (["learn", "--resume", "0001-learn", "--steps", "2000"], "Give no pictures, name or settings"),
        (["learn", "--resume", "0001-learn", "--name", "Rex"], "Give no pictures, name or settings"),
        (["draw"], "required: --prompt"),
        (["draw", "--prompt", "a photo", "--out", "a.jpg"], "must end in .png"),
        (["draw", "--prompt", "a photo", "--as-of", "4"], "there is no 4"),
        (["draw", "--prompt", "a photo of <rex>", "--steps", "1"], "<rex>"),
        (["draw", "--prompt", "a photo", "--steps", "0"], "steps must be"),
        (["timeline", "--undo"], "no concept to undo"),
        (["timeline", "--timeline", "../x"], "is not the id of a timeline"),
        (["timeline", "--branch", "x", "Name"], "needs a number"),
        (["--model", "no/such/model", "timeline"], "no/such/model"),
        (["paint"], "invalid choice: 'paint'"),
        ([], "required"),
    ],
)
def test_a_users_error_is_one_line_and_code_2(command: Command, arguments: list[str], said: str) -> None:
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1
    assert said in err


def test_every_setting_is_an_option_with_its_own_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name, kind in (("learn", TrainConfig), ("draw", SamplingConfig)):
        with pytest.raises(SystemExit):
            cli.main([name, "--help"])
        shown = " ".join(capsys.readouterr().out.split())
        for spec in fields(kind):
            option = "train-precision" if spec.name == "precision" else spec.name.replace("_", "-")
            assert f"--{option}" in shown
            assert spec.metadata["help"].split(".")[0].split("-")[0] in shown


def test_it_starts_as_a_module() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "clora_core", "learn"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "learn needs --pictures" in ran.stderr


# ------------------------------------------------------------------------------------- benchmarks


def test_bench_speed(open_bench: Callable[[Path], Studio]) -> None:
    told: list[str] = []
    result = benchmark.speed(open_bench, told.append)
    assert result["learn_seconds"] >= result["learn_without_previews_seconds"] > 0
    assert result["picture_seconds"] > 0
    shares = result["penalty_share_of_a_step"]
    assert [*shares] == [2, 20] and all(0 < share < 1 for share in shares.values())
    assert "| learn Ann, 3 steps, with previews and checks" in result["text"]
    assert told


@pytest.mark.slow
@pytest.mark.usefixtures("feature_network")
def test_bench_sequence_and_sweep_go_on_where_they_stopped(
    open_bench: Callable[[Path], Studio], tmp_path: Path
) -> None:
    out, told = tmp_path / "out", []

    def run(people: int) -> dict[str, Any]:
        told.clear()
        return benchmark.sequence(open_bench, told.append, out, people=people, draws=2)

    assert len(run(2)["people"]) == 2
    again = run(3)
    learned = {line.split(" (")[0] for line in told if "/3" in line}
    assert learned <= {"Cy"}
    assert [person.name for person in again["people"]] == ["Ann", "Bob", "Cy"]
    assert 0 <= again["recognised"] <= 3
    assert "of 3 recognised" in (out / "sequence.md").read_text()

    for name in ("1-bob", "2-cy"):
        shutil.copytree(tmp_path / "assets/base/people" / name, tmp_path / "others" / name)
    with pytest.raises(SettingsError, match="begun with other people"):
        benchmark.sequence(open_bench, told.append, out, people=2, draws=2, concepts=tmp_path / "others")
    for draws in (0, 65):  # before anything is learned
        with pytest.raises(SettingsError, match="pictures"):
            benchmark.sequence(open_bench, told.append, tmp_path / "none", people=1, draws=draws)
    assert not list((tmp_path / "none").rglob("*learn*"))

    grid = {"penalty_weight": [1.0, 100.0], "learning_rate": [0.01], "steps": [2]}
    arms = grid_arms(grid)
    first = sweep(open_bench, told.append, tmp_path / "sweep", people=2, draws=1, arms=arms)
    assert len(first["arms"]) == len((tmp_path / "sweep/sweep.jsonl").read_text().splitlines()) == 2
    told.clear()
    assert sweep(open_bench, told.append, tmp_path / "sweep", people=2, draws=1, arms=arms) == first
    assert told == []
    kept = tmp_path / "sweep/sweep.jsonl"
    kept.write_text(kept.read_text().replace('"rank": 2', '"rank": 7', 1))  # once another preset's
    sweep(open_bench, told.append, tmp_path / "sweep", people=2, draws=1, arms=arms)
    assert len(kept.read_text().splitlines()) == 3


@pytest.mark.slow
@pytest.mark.usefixtures("feature_network")
def test_a_sweep_learns_once_what_two_methods_learn_on_the_base_alone(
    open_bench: Callable[[Path], Studio], tmp_path: Path
) -> None:
    arms = [{"method": method, "steps": 2} for method in ("merged", "routed")]
    sweep(open_bench, lambda line: None, tmp_path, people=2, draws=1, arms=arms)
    assert len(list((tmp_path / "jobs").glob("*learn*"))) == 2  # two people learned once for both arms


def test_decades_stand_around_each_methods_own_preset(tiny_folder: Path) -> None:
    base = read_base(tiny_folder)
    (first, *_) = tokens = decade_arms(base, ["textual_inversion"], ["learning_rate"])
    assert len(tokens) == 3 and set(first) == {"method", "token_learning_rate"}  # it has no other rate
    arms = decade_arms(base, ["clora", "dreambooth"], ["learning_rate", "penalty_weight"])
    own = [arm for arm in arms if arm["method"] == "clora"]
    assert len(own) == 9 and len(arms) == 12  # DreamBooth has no penalty
    assert {arm["penalty_weight"] for arm in own} == {1e7, 1e8, 1e9}
    assert [arm["learning_rate"] for arm in arms if arm["method"] == "dreambooth"] == [5e-7, 5e-6, 5e-5]


def test_bench_sweep_takes_values_or_decades(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "sweep", "--out", str(tmp_path), "--methods", "clora", "--learning-rate", "1", "2"]
    assert cli.main(words) == 2
    assert "learning_rate) or --methods and --decades, not both" in capsys.readouterr().err
    assert cli.main(words[:-1]) == 2  # one value, which the decades would replace
    assert "Swept already by --methods and --decades: learning_rate" in capsys.readouterr().err
