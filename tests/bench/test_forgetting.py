"""The benchmark of methods: cells, what each measures, going on after a kill, and the report."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clora_core.answers import Sample
from clora_core.bench.arm import first_samples
from clora_core.bench.forgetting import cells as forgetting
from clora_core.bench.forgetting import plots
from clora_core.bench.forgetting import report as report_file
from clora_core.bench.forgetting.cells import run_cells
from clora_core.bench.forgetting.figures import peak_memory_mb, reset_peak_memory
from clora_core.bench.forgetting.gap import gap_report
from clora_core.bench.forgetting.lines import by_arm, independent, interval
from clora_core.bench.forgetting.plan import ABLATIONS, Cell, Plan, cells_of
from clora_core.concepts import SamplingConfig, TrainConfig
from clora_core.disk import read_json, read_lines
from clora_core.drawing.contact_sheet import GAP, HEAD, LABEL, SIDE
from clora_core.errors import SettingsError, StudioError
from clora_core.measures.intervals import mean_interval
from clora_core.methods.routed import Routed
from clora_core.models.description import BaseModel, read_base
from clora_core.models.precision import DTYPES
from clora_core.studio.studio import Studio

Open = Callable[[Path], Studio]


def test_cells_come_round_by_round() -> None:
    cells = cells_of(["clora", "sequential"], 2, 2)
    assert [cell.id for cell in cells[:3]] == [
        "clora-order0-seed0",
        "sequential-order0-seed0",
        "clora-order0-seed1",
    ]
    assert len({cell.id for cell in cells}) == 8
    with pytest.raises(SettingsError, match="Unknown method magic. Known: clora"):
        cells_of(["magic"], 1, 1)


def test_an_order_is_a_shuffle_that_stays_the_same() -> None:
    people = [Sample(name, f"<{name}>", ()) for name in "abcdefgh"]
    assert Cell("clora", 0, 0).ordered(people) == people
    first, second = Cell("clora", 1, 0).ordered(people), Cell("clora", 2, 0).ordered(people)
    assert first == Cell("routed", 1, 5).ordered(people) != second != people
    assert sorted(first, key=lambda sample: sample.name) == people


def test_ablations_are_clora_with_one_setting_changed() -> None:
    for arm, (_, changed) in ABLATIONS.items():
        settings = Cell(arm, 0, 3).settings
        assert settings["method"] == "clora" and settings["seed"] == 3
        assert {key: settings[key] for key in changed} == dict(changed)


def test_nobody_cannot_be_compared(open_bench: Open, tmp_path: Path) -> None:
    studio = open_bench(tmp_path / "home")
    try:
        for people, words in ((0, "ask for one or more"), (-1, "ask for one or more"), (99, "has only 3")):
            with pytest.raises(SettingsError, match=words):
                first_samples(studio, people)
    finally:
        studio.close()


def a_base(methods: dict | None = None, **train: float) -> BaseModel:
    return BaseModel("B", "b", "b", 32, TrainConfig().updated(train), SamplingConfig(), methods=methods or {})


def test_one_picture_a_person_is_refused() -> None:
    with pytest.raises(SettingsError, match="draw 2 to 64"):
        Plan(a_base(), draws=1)


def test_a_cell_stays_done_when_another_method_gets_a_preset() -> None:
    cell, ours = Cell("clora-word-token", 0, 0), {"clora": {"rank": 4}}
    plan, more = Plan(a_base(ours)), Plan(a_base({"ewc": {"rank": 8}, **ours}))
    other = Plan(a_base({"clora": {"rank": 8}}))
    assert plan.to_json(cell) == more.to_json(cell) != other.to_json(cell)
    unlike = Plan(a_base(penalty_weight=7.0, preview_every_seconds=1.0))
    for arm, alike in (("sequential", True), ("clora", False)):  # lambda counts where there is a penalty
        cell = Cell(arm, 0, 0)
        assert (Plan(a_base()).to_json(cell) == unlike.to_json(cell)) == alike


def line(arm: str, order: int, **figures: float) -> dict:
    keys = {key: 0.5 for key, *_ in report_file.COLUMNS}
    matrix = [[0.8, None], [0.6, 0.7]]
    return {"arm": arm, "order": order, "seed": 0, "matrix": matrix, "real_to_real": 0.9, **keys, **figures}


def test_the_report_gives_means_and_intervals() -> None:
    lines = [line("clora", order, forgetting=value) for order, value in enumerate((0.1, 0.2, 0.3))]
    mean, half = interval(lines, "forgetting") or (0, 0)
    assert mean == pytest.approx(0.2) and half == pytest.approx(4.303 * 0.1 / math.sqrt(3), rel=1e-3)
    assert list(by_arm([*lines, line("routed", 0)])) == ["clora", "routed"]
    again = [*lines, {**lines[0], "order": 3}]  # the same pictures in another order
    assert independent(again) == lines
    assert interval(again, "forgetting") == (mean, half)


def test_the_report_ranks_by_the_distance_to_real_pictures_at_the_end() -> None:
    ends = {"sequential": (2800.0, 0.9), "ewc": (2400.0, 0.7), "clora": (2500.0, 0.8)}
    lines = [line(arm, 0, a_mmd_x1000=a, alignment_end=b) for arm, (a, b) in ends.items()]
    rows = report_file._rows(by_arm(lines), report_file.COLUMNS)
    assert [row[0] for row in rows] == ["EWC", "C-LoRA", "Sequential LoRA"]


def test_the_report_shows_intervals_where_there_are_three_runs_or_more() -> None:
    assert report_file._cell([], ".2f") == "-"
    assert report_file._cell([0.7, 0.8], ".2f") == "0.70, 0.80"
    assert report_file._cell([0.701, 0.702, 0.699], ".2f") == "0.70"
    assert report_file._cell([1.0, 2.0, 3.0], ".1f") == "2.0 ± 2.5"


def test_a_figure_that_another_order_gives_again_counts_once() -> None:
    ends = ((0, 9000.0), (1, 9000.4), (2, 9000.0))  # a sum is the same in every order, up to its rounding
    lines = [line("merged", order, forgetting=0.1 * order, a_mmd_x1000=a_mmd) for order, a_mmd in ends]
    lines.append({**line("merged", 0, a_mmd_x1000=8000.0), "seed": 1})
    assert interval(lines, "a_mmd_x1000") == mean_interval([9000.0, 8000.0])
    assert interval(lines, "forgetting") == mean_interval([0.0, 0.1, 0.2, 0.5])


def test_the_gap_is_told_by_person_by_layer_and_by_pair() -> None:
    def cell(arm: str, people: list[str], matrix: list[list[float | None]], k: list[float]) -> dict:
        norms = {"up.0.attn2.to_k": k, "up.0.attn2.to_v": [2.0, 2.0, 2.0]}
        between = [[0.9, 0.8, 0.5], [0.8, 0.9, 0.1], [0.5, 0.1, 0.9]]
        own = {"people": people, "matrix": matrix, "change_norms": norms, "real_between": between}
        return {"arm": arm, "order": 1, "seed": 0, **own}

    ours = [[0.8, None, None], [0.7, 0.6, None], [0.7, 0.6, 0.5]]
    free = [[0.8, None, None], [0.8, 0.7, None], [0.8, 0.7, 0.5]]
    lines = [
        cell("clora", ["A", "B", "C"], ours, [3.0, 1.0, 1.0]),
        cell("routed", ["A", "B", "C"], free, [3.0, 2.0, 2.0]),
    ]
    report = gap_report(by_arm(lines))
    told = [[cell.strip() for cell in row.split("|")[1:-1]] for row in report.splitlines() if "|" in row]
    assert ["A", "0.800", "0.800", "0.700", "-0.100", "+0.000", "-0.100"] in told
    assert ["B", "0.700", "0.600", "0.600", "-0.100", "-0.100", "+0.000"] in told
    assert ["up.0", "100%", "50%", "100%"] in told
    assert ["C-LoRA", "+0.1000", "+0.0000", "+0.1000"] in told
    assert ["Routed LoRAs", "+0.0000", "+0.0000", "+0.0000"] in told
    other = [{**lines[0], "order": 2}, lines[1]]
    assert gap_report(by_arm(lines[:1])) == gap_report(by_arm(other)) == ""


def test_plots_show_the_lines_they_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    figures, saved = [], plots._save
    monkeypatch.setattr(plots, "_save", lambda *a: [figures.append(a[0]), saved(*a)])
    lines = [line("clora", order, forgetting=lost) for order, lost in ((1, 0.02), (0, 0.1))]
    lines[0]["matrix"] = [[0.1, None], [0.1, 0.1]]  # an order that the others have not
    lines += [line(arm, 0, forgetting=lost) for arm, lost in (("routed", 0.0), ("stacked", 0.08), ("merged", 0.9))]
    plots.plot_alignment(lines, tmp_path / "alignment.png")
    plots.plot_tradeoff(lines, tmp_path / "tradeoff.png")
    alignment, tradeoff = figures
    assert [axis.get_title() for axis in alignment.axes] == [
        "C-LoRA",
        "Routed LoRAs",
        "Stacked LoRAs",
        "Merged LoRAs",
    ]
    for axis in alignment.axes:
        # two concepts, and when learned
        drawn = [plotted.get_xydata().tolist() for plotted in axis.lines[:3]]
        assert drawn == [[[1, 0.8], [2, 0.6]], [[2, 0.7]], [[1, 0.8], [2, 0.7]]]
        assert axis.get_ylim()[0] < 0.6 and axis.get_ylim()[1] > 0.9
    (axis,) = tradeoff.axes
    points = {p.get_label(): p.get_xydata()[0].tolist() for p in axis.lines if p.get_marker() == "o"}
    wanted = {"C-LoRA": [0.5, 0.06], "Routed LoRAs": [0.5, 0.0], "Stacked LoRAs": [0.5, 0.08]}
    assert points == {name: pytest.approx(point) for name, point in wanted.items()}
    between = [p.get_xydata().tolist() for p in axis.lines if p.get_linestyle() == "-" and len(p.get_xdata()) == 2]
    assert [[0.5, 0.02], [0.5, 0.1]] in between  # C-LoRA's two runs
    assert axis.get_title(loc="left") == "off the plot: Merged LoRAs (0.50, 0.90)"
    assert {path.name for path in tmp_path.iterdir()} == {"alignment.png", "tradeoff.png"}


@pytest.mark.slow
@pytest.mark.usefixtures("feature_network")
def test_cells_go_on_after_a_kill_and_end_in_a_report(open_bench: Open, quick_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out, plan, told = tmp_path / "out", Plan(read_base(quick_model), people=2, draws=2), []
    cells = cells_of(["clora", "sequential", "routed"], 1, 1)

    def killed_while_learning(words: str) -> None:
        if "sequential-order0-seed0: Bob (" in words:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cells([open_bench], killed_while_learning, out, cells, plan)
    with (out / "results.jsonl").open("a") as file:
        file.write('{"cell": "cut o')  # what a power cut leaves
    lines = run_cells([open_bench], told.append, out, cells, plan)
    assert [line["arm"] for line in lines] == ["clora", "sequential", "routed"]
    assert [words for words in told if "sequential-order0-seed0: " in words]
    assert not [words for words in told if "sequential-order0-seed0: Ann (" in words]  # she is there
    assert not [words for words in told if "clora-order0-seed0" in words]
    assert run_cells([open_bench], told.append, out, cells, plan) == lines
    clora, sequential, routed = lines
    for found in lines:
        assert [len(row) for row in found["matrix"]] == [2, 2] and found["matrix"][0][1] is None
        assert found["alignment_end"] == pytest.approx(np.mean(found["matrix"][1]), abs=1e-3)
        assert found["versions"]["torch"] and found["train"]["method"] == found["arm"]
        assert found["train"]["precision"] in DTYPES and found["plan"]["train"]["precision"] == "auto"
    assert routed["forgetting"] == pytest.approx(0.0, abs=1e-9)  # the very same pictures
    assert routed["f_mmd_x1000"] == pytest.approx(0.0, abs=1e-6)
    assert routed["a_mmd_learned_x1000"] == routed["a_mmd_x1000"]
    assert routed["nearest_learned"] == routed["nearest"]
    assert sequential["a_mmd_learned_x1000"] != sequential["a_mmd_x1000"]
    assert not sequential["change_norms"] and len(next(iter(clora["change_norms"].values()))) == 2
    assert sequential["stored_percent"] < clora["stored_percent"] == routed["stored_percent"]
    report = report_file.write_report(out, lines, {})
    assert "3 runs: 3 methods, 1 order, 1 seed;" in report and "| Routed LoRAs" in report and "left of K" in report
    assert all((out / f"{name}.png").is_file() for name in ("alignment", "tradeoff"))
    sheet = Image.open(out / "pictures.png")  # Ann's row, C-LoRA's first column
    left = LABEL + SIDE + 3 * GAP
    drawn = Image.open(out / "cells/clora-order0-seed0/drawn/arm/ann-as-of-01-1.png").convert("RGB")
    shown = sheet.crop((left, HEAD, left + SIDE, HEAD + SIDE))
    assert shown.tobytes() == drawn.resize((SIDE, SIDE)).tobytes()
    shutil.rmtree(out / "cells")  # results that were brought along from another machine
    assert report_file.write_report(out, lines, {}) == report
    with pytest.raises(SettingsError, match="another plan"):
        run_cells([open_bench], told.append, out, cells, Plan(read_base(quick_model), people=3, draws=2))
    assert json.loads((out / "results.jsonl").read_text().splitlines()[0])["cell"] == "clora-order0-seed0"


@pytest.mark.slow
@pytest.mark.usefixtures("feature_network")
def test_what_is_learned_alone_is_learned_once_and_gives_the_same_figures(
    open_bench: Open, quick_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells, plan = cells_of(["merged", "routed"], 2, 1), Plan(read_base(quick_model), people=2, draws=2)
    figures = ("matrix", "f_mmd_x1000", "a_mmd_x1000", "alignment_end")

    def run(folder: Path) -> list[list[object]]:
        lines = run_cells([open_bench], lambda words: None, folder, cells, plan)
        return [[line[key] for key in figures] for line in lines]

    shared = run(tmp_path / "shared")
    peaks = {line["peak_memory_mb"] for line in read_lines(tmp_path / "shared/results.jsonl")}
    (alone,) = (tmp_path / "shared/alone").iterdir()
    assert alone.name.startswith("low-rank-pairs-seed0-")
    assert peaks == {read_json(alone / forgetting.PEAK_FILE)["mb"]}
    assert len(list((tmp_path / "shared").rglob("jobs/*learn*"))) == plan.people
    monkeypatch.setattr(forgetting, "_learned_alone", lambda cells, plan: [])
    monkeypatch.setattr(Routed, "steady", False)
    assert run(tmp_path / "apart") == shared
    assert len(list((tmp_path / "apart").rglob("jobs/*learn*"))) == plan.people * len(cells)


def test_methods_that_learn_alone_share_only_what_is_learned_under_the_same_settings(
    quick_model: Path,
) -> None:
    base = read_base(quick_model)
    slow = replace(base, methods={**base.methods, "merged": {"learning_rate": 1e-5}})
    cells = cells_of(["merged", "routed"], 2, 2)
    assert len(forgetting._learned_alone(cells, Plan(base))) == 2  # one a seed
    assert len(forgetting._learned_alone(cells, Plan(slow))) == 4  # and one a rate


def test_other_models_are_judged_by_clip_and_dino(
    open_bench: Open, quick_model: Path, tmp_path: Path, clip_folder: str, dino_folder: str
) -> None:
    out, plan = (
        tmp_path / "out",
        Plan(read_base(quick_model), people=2, draws=2, clip=clip_folder, dino=dino_folder),
    )
    (line,) = run_cells([open_bench], lambda words: None, out, cells_of(["clora"], 1, 1), plan)
    assert line["features"].startswith("DINO (")
    assert 0.0 <= line["text_alignment"] <= 250 and 2.5 < abs(line["clip_image_alignment"]) <= 250
    assert line["peak_memory_mb"] is None or line["peak_memory_mb"] > 100
    pytest.importorskip("matplotlib")
    report = report_file.write_report(out, [line], {})
    assert "CLIP image alignment" in report and clip_folder in report and "classifiers" not in report


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
@pytest.mark.usefixtures("feature_network")
def test_several_devices_share_the_cells(open_bench: Open, quick_model: Path, tmp_path: Path) -> None:
    opener = partial(Studio.open, model=str(quick_model), device="cpu", assets=tmp_path / "assets")
    cells = cells_of(["clora", "routed"], 1, 1)
    plan = Plan(read_base(quick_model), people=2, draws=2)
    both = run_cells([opener, opener], lambda words: None, tmp_path / "two", cells, plan)
    alone = run_cells([opener], lambda words: None, tmp_path / "one", cells, plan)
    assert [line["matrix"] for line in both] == [line["matrix"] for line in alone]


def test_what_fails_in_one_cell_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(open_studio: Open, say: Callable[[str], None], out: Path, cell: Cell, plan: Plan) -> dict:
        if cell.arm == "clora":
            raise MemoryError("no more")
        return {"cell": cell.id, "arm": cell.arm}

    monkeypatch.setattr(forgetting, "run_cell", work)
    cells, out = cells_of(["clora", "stacked"], 1, 1), tmp_path / "out"
    with pytest.raises(StudioError, match="clora-order0-seed0: MemoryError: no more"):
        run_cells([open], lambda words: None, out, cells, Plan(a_base()))
    assert [line["arm"] for line in read_lines(out / "results.jsonl")] == ["stacked"]


def test_a_network_that_cannot_be_had_is_told_before_anything_is_learned(tmp_path: Path) -> None:
    plan = Plan(a_base(), dino=str(tmp_path / "nowhere"))
    with pytest.raises(SettingsError, match="nowhere could not be loaded"):
        run_cells([open], lambda words: None, tmp_path / "out", cells_of(["clora"], 1, 1), plan)
