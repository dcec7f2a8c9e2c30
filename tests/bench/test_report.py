"""What ``bench forgetting`` says of its lines: intervals, the gap to routed LoRAs, plots."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from clora_core.bench.forgetting import plots
from clora_core.bench.forgetting import report as report_file
from clora_core.bench.forgetting.gap import gap_report
from clora_core.bench.forgetting.lines import by_arm, independent, interval
from clora_core.measures.intervals import mean_interval


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


def test_the_gap_is_told_by_concept_by_layer_and_by_pair() -> None:
    def cell(arm: str, concepts: list[str], matrix: list[list[float | None]], k: list[float]) -> dict:
        norms = {"up.0.attn2.to_k": k, "up.0.attn2.to_v": [2.0, 2.0, 2.0]}
        between = [[0.9, 0.8, 0.5], [0.8, 0.9, 0.1], [0.5, 0.1, 0.9]]
        own = {"concepts": concepts, "matrix": matrix, "change_norms": norms, "real_between": between}
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
