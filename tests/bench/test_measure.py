"""Cells run on the tiny model: going on after a kill, what is learned once, and figures from features alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clora_core.bench import learning, measure
from clora_core.bench import run as runner
from clora_core.bench.cells import Cell, Plan
from clora_core.bench.figures import asked_figures, by_concept, key, recomputed
from clora_core.bench.forgetting.arms import cells_of
from clora_core.bench.forgetting.report import forgetting_report
from clora_core.bench.lines import Line
from clora_core.bench.run import REAL, read_features, run_cells
from clora_core.bench.sequence import sequence_cell, sequence_report
from clora_core.bench.speed import measure_speed, speed_cell, speed_report
from clora_core.bench.sweep import sweep_cells, sweep_report
from clora_core.bench.workers import Here, Workers, dask_cluster, one_process_a_device
from clora_core.cli import commands as cli
from clora_core.disk import read_json, read_lines
from clora_core.drawing.contact_sheet import GAP, HEAD, LABEL, SIDE
from clora_core.errors import SettingsError, StudioError
from clora_core.measures.attributes import AttributeNetwork
from clora_core.models.asked import Asked, AskedPrompt, read_asked
from clora_core.models.description import read_base
from clora_core.models.peak_memory import peak_memory_mb, reset_peak_memory
from clora_core.models.precision import DTYPES
from clora_core.studio.studio import Studio

Open = Callable[[Path], Studio]
Measured = Callable[..., list[Line]]
HERE = Workers(Here())


@pytest.fixture
def plan(open_bench: Open, quick_model: Path, tmp_path: Path, dino_folder: str) -> Plan:
    """Two of the three sample people, two pictures of each, judged by the tiny DINO."""
    return Plan(read_base(quick_model), 2, 2, tmp_path / "assets/base/people", dino=dino_folder)


@pytest.fixture
def run(open_bench: Open, tmp_path: Path) -> Measured:
    """run(cells, plan, out="out", say=...) -> lines, in this process."""

    def run(cells: list[Cell], plan: Plan, out: str = "out", say: Callable[[str], None] = lambda words: None):
        return measure.measured(open_bench, tmp_path / out, cells, plan, HERE, say)

    return run


@pytest.mark.slow
def test_cells_go_on_after_a_kill_and_end_in_a_report(run: Measured, plan: Plan, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out, told, cells = tmp_path / "out", [], cells_of(["clora", "sequential", "routed"], 1, 1, plan.base)

    def killed_while_learning(words: str) -> None:
        if "sequential-order0-seed0: Bob (" in words:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(cells, plan, say=killed_while_learning)
    with (out / "results.jsonl").open("a") as file:
        file.write('{"cell": "cut o')  # what a power cut leaves
    lines = run(cells, plan, say=told.append)
    assert [line["arm"] for line in lines] == ["clora", "sequential", "routed"]
    assert [words for words in told if "sequential-order0-seed0: " in words]
    assert not [words for words in told if "sequential-order0-seed0: Ann (" in words]  # she is there
    assert not [words for words in told if "clora-order0-seed0" in words]
    assert run(cells, plan) == lines
    clora, sequential, routed = lines
    for found in lines:
        assert [len(row) for row in found["matrix"]] == [2, 2] and found["matrix"][0][1] is None
        assert found["alignment_end"] == pytest.approx(np.mean(found["matrix"][1]), abs=1e-3)
        assert found["versions"]["torch"] and found["train"]["method"] == found["arm"]
        assert found["train"]["precision"] in DTYPES and found["plan"]["train"]["precision"] == "auto"
        once_more = recomputed(out, found)
        assert once_more == {name: found[name] for name in once_more} and "a_mmd_x1000" in once_more
    assert routed["forgetting"] == pytest.approx(0.0, abs=1e-9)  # the very same pictures
    assert routed["f_mmd_x1000"] == pytest.approx(0.0, abs=1e-6)
    assert routed["a_mmd_learned_x1000"] == routed["a_mmd_x1000"]
    assert routed["nearest_learned"] == routed["nearest"]
    assert sequential["a_mmd_learned_x1000"] != sequential["a_mmd_x1000"]
    assert not sequential["change_norms"] and len(next(iter(clora["change_norms"].values()))) == 2
    assert sequential["stored_percent"] < clora["stored_percent"] == routed["stored_percent"]
    report = forgetting_report(out, lines, {})["text"]
    assert "3 runs: 3 methods, 1 order, 1 seed;" in report and "| Routed LoRAs" in report and "left of K" in report
    assert all((out / f"{name}.png").is_file() for name in ("alignment", "tradeoff"))
    sheet = Image.open(out / "pictures.png")  # Ann's row, C-LoRA's first column
    left = LABEL + SIDE + 3 * GAP
    drawn = Image.open(out / "cells/clora-order0-seed0/drawn/arm/ann-as-of-01-1.png").convert("RGB")
    shown = sheet.crop((left, HEAD, left + SIDE, HEAD + SIDE))
    assert shown.tobytes() == drawn.resize((SIDE, SIDE)).tobytes()
    shutil.rmtree(out / "cells")  # results that were brought along from another machine
    assert forgetting_report(out, lines, {})["text"] == report
    assert json.loads((out / "results.jsonl").read_text().splitlines()[0])["cell"] == "clora-order0-seed0"


@pytest.mark.slow
def test_what_is_learned_alone_is_learned_once_and_gives_the_same_figures(
    run: Measured, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = cells_of(["merged", "routed"], 2, 1, plan.base)
    figures = ("matrix", "f_mmd_x1000", "a_mmd_x1000", "alignment_end")
    shared = [[line[name] for name in figures] for line in run(cells, plan, "shared")]
    peaks = {line["peak_memory_mb"] for line in read_lines(tmp_path / "shared/results.jsonl")}
    (alone,) = (tmp_path / "shared/alone").iterdir()
    assert alone.name.startswith("low-rank-pairs-seed0-")
    assert peaks == {read_json(alone / learning.PEAK_FILE)["mb"]}
    assert len(list((tmp_path / "shared").rglob("jobs/*learn*"))) == plan.count
    monkeypatch.setattr(measure, "alone_cells", lambda cells, plan: [])
    draw = measure.draw_concepts  # as for a method whose older pictures may change: drawn after every concept
    monkeypatch.setattr(measure, "draw_concepts", lambda *given: draw(*given[:4], False, given[5]))
    assert [[line[name] for name in figures] for line in run(cells, plan, "apart")] == shared
    assert len(list((tmp_path / "apart").rglob("jobs/*learn*"))) == plan.count * len(cells)


@pytest.mark.slow
def test_a_sequence_and_a_sweep_draw_when_learned_and_at_the_end(run: Measured, plan: Plan, tmp_path: Path) -> None:
    few = Plan(plan.base, 2, 1, plan.concepts, dino=plan.dino, settings={"steps": 2}, whole=False)
    (line,) = run([sequence_cell(few)], few)
    assert recomputed(tmp_path / "out", line).items() <= line.items()
    found = sequence_report(tmp_path / "out", line)
    assert [row.token for row in found["by_concept"]] == ["<ann>", "<bob>"] and "of 2 recognised" in found["text"]
    assert line["a_mmd_x1000"] is None  # of one picture there is none
    drawn = sorted(path.name for path in (tmp_path / "out/cells/clora-order0-seed0/drawn/arm").iterdir())
    assert drawn == ["ann-as-of-01-1.png", "ann-as-of-02-1.png", "bob-as-of-02-1.png"]
    arms = [{"method": method, "learning_rate": 0.02} for method in ("merged", "routed")]
    lines = run(sweep_cells(arms, 0), few, "sweep")
    assert len(list((tmp_path / "sweep").rglob("jobs/*learn*"))) == 2  # learned once for both
    assert "| routed | 0.02" in sweep_report(lines)["text"]


@pytest.mark.slow
def test_the_command_line_runs_a_sweep_of_a_method_and_takes_it_up(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--people", "1", "--draws", "1", "--concepts", str(plan.concepts), "--dino", plan.dino]
    model = ["--model", plan.base.path, "--device", "cpu", "--json"]
    words = [*model, "bench", "sweep", "--out", str(tmp_path / "out"), *few, "--method", "routed", "--steps", "1", "2"]
    answers = []
    for _ in range(2):
        assert cli.main(words) == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0] == answers[1]
    trained = [(line["train"]["method"], line["train"]["steps"]) for line in answers[0]["cells"]]
    assert sorted(trained) == [("routed", 1), ("routed", 2)]
    assert (tmp_path / "out/report.md").read_text().startswith("| method | steps |")


@pytest.mark.slow
def test_clip_judges_other_models(run: Measured, plan: Plan, tmp_path: Path, clip_folder: str) -> None:
    clip = Plan(plan.base, 2, 2, plan.concepts, dino=plan.dino, clip=clip_folder)
    (line,) = run(cells_of(["clora"], 1, 1, plan.base), clip)
    assert line["features"].startswith("DINO (")
    assert 0.0 <= line["text_alignment"] <= 250 and 2.5 < abs(line["clip_image_alignment"]) <= 250
    assert line["peak_memory_mb"] is None or line["peak_memory_mb"] > 100
    assert recomputed(tmp_path / "out", line)["text_alignment"] == line["text_alignment"]
    pytest.importorskip("matplotlib")
    report = forgetting_report(tmp_path / "out", [line], {})["text"]
    assert "CLIP image alignment" in report and clip_folder in report and "classifiers" not in report


@pytest.mark.slow
def test_a_model_says_what_it_is_asked_for_and_how_to_look(plan: Plan, run: Measured, tmp_path: Path) -> None:
    model = Path(plan.base.path)
    AttributeNetwork({"clothes": ["red", "blue"]}).save(model / "attributes.safetensors")
    prompts = [{"ending": "in red", "attributes": {"clothes": "red"}}]
    (model / "asked.json").write_text(json.dumps({"object_word": "person", "prompts": prompts}))
    base = read_base(model)
    assert base.asked == Asked("person", (AskedPrompt("in red", {"clothes": "red"}),))
    asking = Plan(base, 1, 2, plan.concepts, dino=plan.dino)
    (line,) = run(cells_of(["clora"], 1, 1, base), asking)
    found = read_features(tmp_path / "out", line["cell"])[key("found", "<ann>", "asked")]
    assert found.shape == (1, 1) and found.dtype == bool and line["text_alignment"] == found.mean()
    assert line["forgetting"] is None  # one concept forgets nothing
    assert (tmp_path / "out/cells/clora-order0-seed0/drawn/asked/ann-asked-0-1.png").is_file()


def test_the_embedded_model_is_asked_for_what_its_classifiers_know() -> None:
    folder = Path(__file__).parents[2] / "assets/base"
    asked = read_asked(folder)
    classes = AttributeNetwork.load(folder / "attributes.safetensors").classes
    assert asked and asked.object_word == "person"
    for prompt in asked.prompts:
        assert all(
            name in classes[attribute] and name in prompt.ending for attribute, name in prompt.attributes.items()
        )


def test_figures_by_concept_and_of_what_was_asked_for() -> None:
    east, north = np.eye(2, dtype=np.float32)[:, None]  # (1, 2) each
    real = {key("likeness", "<a>"): np.repeat(east, 2, 0), key("likeness", "<b>"): np.repeat(north, 2, 0)}
    drawn = {
        key("likeness", "<a>", 1): east,
        key("likeness", "<a>", 2): north,
        key("likeness", "<b>", 2): 3 * north,
        key("found", "<a>", "asked"): np.array([[True, False]]),
        key("found", "<b>", "asked"): np.array([[True, True]]),
    }
    first, second = by_concept(["<a>", "<b>"], drawn, real)
    assert (first.learned, first.end, first.nearest_learned, first.nearest) == (1.0, 0.0, "<a>", "<b>")
    assert (second.end, second.nearest, second.pictures_nearest) == (1.0, "<b>", 1.0)
    assert asked_figures(["<a>", "<b>"], drawn, real) == {"text_alignment": 0.75}


def test_bench_speed(open_bench: Open, plan: Plan, tmp_path: Path) -> None:
    told: list[str] = []
    one = Plan(plan.base, 1, concepts=plan.concepts, whole=False)
    work = partial(measure_speed, open_bench, tmp_path / "out", one)
    (line,) = run_cells(work, tmp_path / "out", [speed_cell(one)], one, HERE, told.append)
    assert line["learn_seconds"] >= line["learn_without_previews_seconds"] > 0
    assert line["picture_seconds"] > 0
    shares = line["penalty_share_of_a_step"]
    assert [*shares] == ["2", "20"] and all(0 < share < 1 for share in shares.values())
    assert "| learn Ann, 3 steps, with previews and checks" in speed_report(line)["text"]
    assert told and run_cells(work, tmp_path / "out", [speed_cell(one)], one, HERE, told.append) == [line]


def test_what_fails_in_one_cell_leaves_the_others(plan: Plan, tmp_path: Path) -> None:
    def work(cell: Cell, say: Callable[[str], None]) -> runner.Result:
        if cell.arm == "clora":
            raise MemoryError("no more")
        return {"cell": cell.id, "arm": cell.arm, "plan": plan.to_json(cell)}, {}

    cells, out = cells_of(["clora", "stacked"], 1, 1, plan.base), tmp_path / "out"
    with pytest.raises(StudioError, match="clora-order0-seed0: MemoryError: no more"):
        run_cells(work, out, cells, plan, HERE, lambda words: None)
    assert [line["arm"] for line in read_lines(out / "results.jsonl")] == ["stacked"]


def test_a_network_that_cannot_be_had_is_told_before_anything_is_learned(
    plan: Plan, run: Measured, tmp_path: Path
) -> None:
    other = Plan(plan.base, 2, 2, plan.concepts, dino=str(tmp_path / "nowhere"))
    with pytest.raises(SettingsError, match="nowhere could not be loaded"):
        run(cells_of(["clora"], 1, 1, plan.base), other)


@pytest.mark.slow
def test_a_cells_folder_that_was_begun_with_other_settings_is_refused(
    open_bench: Open, plan: Plan, tmp_path: Path
) -> None:
    def work(plan: Plan) -> None:
        measure.measure_cell(open_bench, tmp_path / "out", plan, {}, sequence_cell(plan), lambda words: None)

    with pytest.raises(KeyError):  # there are no real pictures, but everything is learned
        work(plan)
    longer = Plan(plan.base, 2, 2, plan.concepts, dino=plan.dino, settings={"steps": 4})
    with pytest.raises(SettingsError, match="begun with other settings"):
        work(longer)
    with pytest.raises(SettingsError, match="begun with other concepts"):
        work(Plan(plan.base, 1, 2, plan.concepts, dino=plan.dino))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells a process's peak anew")
def test_peak_memory_starts_anew() -> None:
    small = [np.ones(8_000) for _ in range(5_000)]  # 320 MB
    np.ones(50_000_000)  # 400 MB, let go at once
    kept = small.pop()  # above them, so that the C library keeps what they leave
    small.clear()
    before = peak_memory_mb("cpu")
    reset_peak_memory("cpu")
    after = peak_memory_mb("cpu")
    assert before and after and before - after > 600 and kept.all()


@pytest.mark.slow
def test_several_processes_and_a_cluster_give_what_one_process_gives(
    run: Measured, plan: Plan, quick_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # of the others; sums of another number of threads round otherwise
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    open_studio = partial(Studio.open, model=str(quick_model), device="cpu", examples=False)
    cells = cells_of(["clora", "merged"], 1, 1, plan.base)
    here = run(cells, plan)
    torch.set_num_threads(threads)
    with one_process_a_device(["0", "1"]) as two:
        both = measure.measured(open_studio, tmp_path / "two", cells, plan, two, lambda words: None)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        dask_cluster(cluster.scheduler_address.replace("tcp://", "dask://")) as workers,
    ):
        dask = measure.measured(open_studio, tmp_path / "dask", cells, plan, workers, lambda words: None)
    for name in ("matrix", "a_mmd_x1000", "kid_x1000", "change_norms"):
        assert [line[name] for line in both] == [line[name] for line in dask] == [line[name] for line in here]
    for cell in [*(cell.id for cell in cells), REAL]:
        kept = [read_features(tmp_path / out, cell) for out in ("out", "two", "dask")]
        assert all(np.array_equal(own[name], kept[0][name]) for own in kept for name in kept[0])
