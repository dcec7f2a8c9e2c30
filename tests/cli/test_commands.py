"""The command line, on the tiny model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from PIL import Image

from clora_core.cli import commands as cli
from clora_core.disk import read_json
from clora_core.drawing.png_settings import read_settings
from clora_core.errors import ModelError
from clora_core.export.push import push
from clora_core.settings.drawing import SamplingConfig
from clora_core.settings.learning import TrainConfig
from clora_core.settings.methods import BUILT_IN
from clora_core.studio.progress import ProgressLine

OWN = Path(__file__).parents[1] / "tiny/own_method.py"
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


def test_captions_a_kohya_folder_and_a_zip_are_read_and_said(command: Command, folder: Path, tmp_path: Path) -> None:
    for path in folder.glob("*.png"):
        path.with_suffix(".txt").write_text("a hat")
    kohya = tmp_path / "img"  # kohya's layout: repeats and the prompt in the name of the folder inside
    shutil.copytree(folder, kohya / "10_rex person")
    code, out, err = command("learn", "--pictures", kohya, *QUICK)
    assert code == 0 and out.startswith("rex is ") and "4 captions read" in err
    assert "10 repeats" in err and "'person'" in err
    zipped = shutil.make_archive(str(tmp_path / "mug"), "zip", folder)
    code, out, err = command("learn", "--pictures", zipped, "--name", "Mug", *QUICK)
    assert code == 0 and "4 captions read" in err
    assert "0.png and 3 more look nearly like a picture of rex" in err
    (kohya / "5_mug").mkdir()
    shutil.copy(folder / "0.png", kohya / "5_mug")
    code, _, err = command("learn", "--pictures", kohya, "--name", "Both", *QUICK)
    assert code == 2 and "'10_rex person' and '5_mug' are two concepts" in err


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
    assert out.startswith("Rex is ") and "<rex>" in out
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


def test_a_grid_is_one_picture_with_its_axes_and_bounds_are_said(command: Command, tmp_path: Path) -> None:
    grid = ("--grid", "seed=1-2", "sampler=Euler a, DDIM")
    code, out, err = command("draw", "--prompt", "a photo", "--steps", "1", *grid, "--out", tmp_path / "grid.png")
    assert (code, out.strip()) == (0, str(tmp_path / "grid.png")) and "4 pictures" in err
    assert read_settings(tmp_path / "grid.png")["axes"] == {"seed": [1, 2], "sampler": ["Euler a", "DDIM"]}
    for wrong in (("--grid", "colour=1"), ("--grid", "seed"), ("--strength", "<rex>=2"), ("--strength", "<rex>=0.5")):
        code, _, err = command("draw", "--prompt", "a photo", *wrong)
        assert code == 2 and err.count("error:") == 1


def test_rename_delete_restore(command: Command) -> None:
    assert command("timeline", "--new", "Third")[0] == 0
    assert command("timeline", "--timeline", "third", "--rename", "Fourth")[1].startswith("Fourth (third)")
    item = json.loads(command("timeline", "--timeline", "third", "--delete", "--json")[1])["trashed"]
    assert f"{item}  timeline Fourth, 30 days left" in command("trash")[1]
    assert command("trash", "--restore", item)[1] == "The timeline Fourth is back.\n"
    command("timeline", "--timeline", "third", "--delete")
    assert command("trash", "--empty")[1] == "The trash is empty.\n"
    assert command("trash", "--restore", item)[0] == 2


def test_draw_says_what_is_not_read(command: Command) -> None:
    prompt = f"a photo {'far ' * 80}and the end"
    code, _, err = command("draw", "--prompt", prompt, "--steps", "1")
    assert code == 0 and "does not read: “far" in err
    assert "does not read" not in command("draw", "--prompt", "a photo", "--steps", "1")[2]


def test_draw_says_that_a_pasted_text_is_not_read_as_settings(command: Command) -> None:
    text = "a photo\nNegative prompt: far\nSteps: 20, Seed: 4"
    assert "settings (negative_prompt, steps, seed)" in command("draw", "--prompt", text, "--steps", "1")[2]
    assert "holds settings" not in command("draw", "--prompt", "a photo, Steps: 3", "--steps", "1")[2]


def test_weights_stay_in_the_picture_as_they_were_typed(command: Command, tmp_path: Path) -> None:
    prompt = "a (photo:1.5)"
    assert command("draw", "--prompt", prompt, "--steps", "1", "--out", tmp_path / "a.png")[0] == 0
    assert Image.open(tmp_path / "a.png").info["parameters"].startswith(f"{prompt}\n")


def test_draw_takes_a_new_seed_for_minus_one(command: Command) -> None:
    draw = ["draw", "--prompt", "a photo", "--steps", "1", "--json", "--seed", "-1"]
    seeds = [json.loads(command(*draw)[1])["settings"]["seed"] for _ in range(2)]
    assert seeds[0] != seeds[1] and min(seeds) >= 0


def test_export_writes_files_and_says_that_they_are_proved(command: Command, folder: Path, tmp_path: Path) -> None:
    command("learn", "--pictures", folder, "--name", "Rex", *QUICK)
    code, out, err = command("export", "--out", tmp_path / "files", "--format", "kohya", "--dtype", "fp16", "--json")
    assert code == 0, err
    said = json.loads(out)
    names = {str(Path(path).relative_to(tmp_path / "files")) for path in said["files"]}
    assert said["proved"] and names == {
        "README.txt",
        "embeddings/rex.safetensors",
        "loras/my-concepts-1.safetensors",
    }
    code, out, _ = command("export", "--out", tmp_path / "again")
    assert code == 0 and "\nProved: " in out
    assert command("export", "--out", tmp_path / "again")[0] == 2  # somebody's files stay
    assert command("export", "--out", tmp_path / "none", "--as-of", "0")[0] == 2
    assert command("export", "--out", tmp_path / "none", "--as-of", "7")[0] == 2
    assert not (tmp_path / "none").exists()


def test_what_would_be_put_on_the_hub_is_looked_at_first(
    command: Command, folder: Path, tmp_path: Path, tiny_folder: Path
) -> None:
    command("learn", "--pictures", folder, "--name", "Rex|[1](http://x)", "--token", "<rex>", *QUICK)
    code, out, err = command("push", "ilva/people", "--dry-run", tmp_path / "dry", "--json")
    assert code == 0, err
    files = json.loads(out)["files"]
    assert {"README.md", "pictures/1-rex.png", "embeddings/rex.safetensors"} < set(files)
    assert not [name for name in files if Path(name).name in {path.name for path in folder.iterdir()}]
    card = (tmp_path / "dry/README.md").read_text()
    facts, text = ModelCard(card).data, card.partition("---\n\n")[2]
    assert facts.instance_prompt == "a photo of <rex>" and "lora" in facts.tags
    assert "![Rex&#124;\\[1\\](http://x)](pictures/1-rex.png)" in text and "Proved: " in text
    assert command("push", "ilva/people", "--format", "diffusers", "--dry-run", tmp_path / "whole")[0] == 0
    made = [file for name in ("dry", "whole") for file in (tmp_path / name).rglob("*") if file.is_file()]
    assert len(made) > 10 and not [file for file in made if str(tiny_folder).encode() in file.read_bytes()]
    code, _, err = command("push", "people", "--dry-run", tmp_path / "none")
    assert code == 2 and "Give OWNER/NAME" in err and not (tmp_path / "none").exists()


def test_the_hub_that_does_not_answer_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match="Check the connection"):
        push(tmp_path, "ilva/people", private=True)


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


@pytest.mark.slow
def test_every_folder_is_taught_and_what_is_left_is_listed(command: Command, folder: Path, tmp_path: Path) -> None:
    each = tmp_path / "each"
    for name in ("Rex", "Mug"):
        shutil.copytree(folder, each / name)
    (each / "Few").mkdir()
    code, out, err = command("learn", "--each", each, *QUICK, "--steps", "1")
    assert code == 0 and "Few: A concept needs" in err, err
    assert out.startswith("Mug: Mug is ") and "Rex: Rex is " in out
    assert command("lessons")[1].strip() == "No lesson is learned or waits."
    record = tmp_path / "home/jobs/0001-learn/job.json"
    left = {"state": "running", "owner": "4000000-0123456789ab", "step": 1, "concept_id": ""}  # as after a power cut
    record.write_text(json.dumps({**json.loads(record.read_text()), **left}))
    assert command("lessons")[1].strip() == "No lesson is learned or waits."  # for what it learned is stored
    record.write_text(json.dumps({**json.loads(record.read_text()), **left, "storing": ""}))
    (found,) = json.loads(command("lessons", "--json")[1])["lessons"]
    assert (found["id"], found["state"], found["name"]) == ("0001-learn", "interrupted", "Mug")
    assert "Mug" in command("lessons")[1]
    assert "already taken" in command("lessons", "--resume")[2]
    assert command("lessons", "--discard", "all")[1].strip() == "1 lesson discarded."
    assert "There is nothing to go on with" in command("lessons", "--resume")[1]


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
        (["learn", "--method-file", "none.py"], "There is no method file none.py"),
        (["learn", "--method-file"], "expected one argument"),
        (
            ["learn", "--name", "R", "--pictures", "tests/cli/__none__", "--method", "ewc", "--rank", "2"],
            "Unknown setting rank. The settings of EWC are: penalty_weight",
        ),
        (["bench", "sweep", "--out", "x", "--method", "ewc", "--rank", "2"], "None of ewc reads rank"),
        (["timeline", "--undo"], "no concept to undo"),
        (["timeline", "--new", "x" * 61], "61 characters"),
        (["timeline", "--delete", "--concept", "<rex>"], "is no token of this timeline"),
        (["timeline", "--concept", "<rex>"], "goes with --rename"),
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
    every = {name: spec for row in BUILT_IN for name, spec in TrainConfig(row).specs().items()}
    for name, specs in (("learn", every), ("draw", SamplingConfig().specs())):
        with pytest.raises(SystemExit):
            cli.main([name, "--help"])
        shown = " ".join(capsys.readouterr().out.split())
        for spec in specs.values():
            option = "train-precision" if spec.name == "precision" else spec.name.replace("_", "-")
            assert f"--{option}" in shown
            assert spec.metadata["help"].split(".")[0].split("-")[0] in shown


def test_help_groups_what_every_method_reads_and_what_only_some_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["learn", "--help", "--method-file", str(OWN)])
    shown = capsys.readouterr().out
    titles = ["\nmethod:", "\nwhat every method reads", "\nwhat only clora, ewc read:", "\nwhat only small reads:"]
    places = [shown.index(title) for title in titles]
    assert places == sorted(places)
    options = [shown.index(f"  --{name} ") for name in ("method", "learning-rate", "penalty-weight", "size-weight")]
    assert all(place < option for place, option in zip(places, options, strict=True))
    assert options[0] < places[1] and options[1] < places[2]
    assert "ewc: EWC. As Custom Diffusion" in " ".join(shown.split())


def test_a_method_from_a_file_learns_draws_and_is_missed(command: Command, folder: Path, tmp_path: Path) -> None:
    file = shutil.copy(OWN, tmp_path / "mine.py")
    assert "invalid choice: 'small'" in command("learn", "--method", "small")[2]
    own = ["learn", "--method-file", file, "--method", "small", "--size-weight", "2", "--pictures", folder, *QUICK]
    for name in ("Rex", "Mug"):
        code, _, err = command(*own, "--name", name)
        assert code == 0, err
    stored = read_json(tmp_path / "home/timelines/my-concepts/002-mug/concept.json")
    assert stored["method"] == "small" and stored["config"]["size_weight"] == 2.0
    assert "penalty_weight" not in stored["config"]
    draw = ["draw", "--prompt", "a photo of <rex>", "--steps", "1", "--timeline", "my-concepts"]
    code, _, err = command(*draw, "--method-file", file)
    assert code == 0, err
    code, _, err = command(*draw)
    assert code == 2 and "The timeline 'My concepts' cannot be used. The method small is not installed" in err
    assert "the method small is not installed" in command("timeline", "--all")[1]
    said = command("learn", "--resume", "0001-learn")[2]
    assert "job 0001-learn cannot be read. The method small is not installed" in said and "Delete" not in said
    code, _, err = command("draw", "--prompt", "a photo", "--steps", "1")  # in another timeline
    assert code == 0, err


@pytest.mark.slow
def test_a_method_from_a_file_is_measured(
    quick_model: Path, dino_folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "sequence", "--method-file", OWN, "--method", "small", "--size-weight", "2", "--json"]
    where = ["--model", quick_model, "--device", "cpu", "--dino", dino_folder, "--out", tmp_path / "out"]
    assert cli.main([str(word) for word in [*words, *where, "--people", "2", "--draws", "1"]]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["arm"] == line["train"]["method"] == "small" and line["train"]["size_weight"] == 2.0
    assert "method small, rank 2, adapts kv, size_weight 2.0, learning_rate" in (tmp_path / "out/report.md").read_text()


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


def test_the_doctor_says_with_its_code_whether_something_is_bad(command: Command) -> None:
    code, out, _ = command("doctor")
    assert code == 0 and "model: " in out
    code, out, _ = command("doctor", "--model", "/no/such/model", "--json")
    assert code == 1 and json.loads(out)["ok"] is False


def test_a_timeline_leaves_as_a_file_and_comes_in_again(command: Command, folder: Path, tmp_path: Path) -> None:
    command("learn", "--pictures", folder, "--name", "Rex", *QUICK)
    file = tmp_path / "out" / "mine.zip"
    code, out, _ = command("export", "--format", "timeline", "--out", file)
    assert code == 0 and file.is_file() and "--import mine.zip" in out
    code, out, _ = command("timeline", "--import", file, "--json")
    taken = json.loads(out)["timeline"]
    assert code == 0 and taken["concepts"] == 1
    assert "<rex>" in command("timeline", "--timeline", taken["id"])[1]
