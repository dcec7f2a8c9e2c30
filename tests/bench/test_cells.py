"""Cells and plans: what is to run, and which finished lines are recognised."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from clora_core.answers import Sample
from clora_core.bench.cells import Cell, Plan
from clora_core.bench.forgetting.arms import ABLATIONS, cells_of
from clora_core.bench.learning import alone_cells
from clora_core.bench.lines import read_results
from clora_core.bench.run import missing_cells
from clora_core.bench.sweep import decade_arms, grid_arms, sweep_cells
from clora_core.cli import commands as cli
from clora_core.concepts import SamplingConfig
from clora_core.errors import SettingsError
from clora_core.models.asked import Asked
from clora_core.models.description import BaseModel, read_base

ROOT = Path(__file__).parents[2]
EARLY = {"forgetting-lambda.jsonl"}  # lines of a plan that was noted in another way


def a_base(methods: dict | None = None, asked: Asked | None = None, **train: float) -> BaseModel:
    return BaseModel("B", "b", "b", 32, SamplingConfig(), settings=train, presets=methods or {}, asked=asked)


def test_cells_come_round_by_round() -> None:
    cells = cells_of(["clora", "sequential"], 2, 2, a_base())
    assert [cell.id for cell in cells[:3]] == ["clora-order0-seed0", "sequential-order0-seed0", "clora-order0-seed1"]
    assert len({cell.id for cell in cells}) == 8
    with pytest.raises(SettingsError, match="Unknown method magic. Known: clora"):
        cells_of(["magic"], 1, 1, a_base())


def test_an_order_is_a_shuffle_that_stays_the_same() -> None:
    concepts = [Sample(name, f"<{name}>", ()) for name in "abcdefgh"]
    assert Cell("clora", {}, 0).ordered(concepts) == concepts
    first, second = Cell("clora", {}, 1).ordered(concepts), Cell("clora", {}, 2).ordered(concepts)
    assert first == Cell("routed", {}, 1, seed=5).ordered(concepts) != second != concepts
    assert sorted(first, key=lambda sample: sample.name) == concepts


def test_ablations_are_clora_with_the_models_object_word() -> None:
    (word, kept) = cells_of([*ABLATIONS], 1, 1, a_base(asked=Asked("mug", ())))
    assert word.changes == {"method": "clora", "token_start": "mug"}
    assert kept.changes == {"method": "clora", "object_word": "mug"}
    with pytest.raises(SettingsError, match="no asked.json"):
        cells_of([*ABLATIONS], 1, 1, a_base())


@pytest.mark.parametrize(
    ("count", "words"), [(0, "ask for one or more"), (-1, "ask for one or more"), (99, "has only")]
)
def test_nothing_cannot_be_compared(count: int, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Plan(a_base(), count=count).samples()


@pytest.mark.parametrize(("whole", "draws"), [(True, 1), (True, 65), (False, 0), (False, 65)])
def test_pictures_that_cannot_be_compared_are_refused(whole: bool, draws: int) -> None:
    with pytest.raises(SettingsError, match="to 64"):
        Plan(a_base(), draws=draws, whole=whole)


def test_a_cell_stays_done_when_another_method_gets_a_preset() -> None:
    cell, ours = Cell("clora", {"method": "clora"}), {"clora": {"rank": 4}}
    plan, more = Plan(a_base(ours)), Plan(a_base({"ewc": {"penalty_weight": 8.0}, **ours}))
    other = Plan(a_base({"clora": {"rank": 8}}))
    line = {"plan": plan.to_json(cell)}
    assert plan.made(line, cell) and more.made(line, cell) and not other.made(line, cell)
    assert other.made(line, None)  # it is not asked for
    unlike = Plan(a_base(penalty_weight=7.0, preview_every_seconds=1.0))
    for arm, alike in (("sequential", True), ("clora", False)):  # lambda counts where there is a penalty
        cell = Cell(arm, {"method": arm})
        assert unlike.made({"plan": Plan(a_base()).to_json(cell)}, cell) == alike


def test_results_of_another_plan_are_not_mixed_in(tmp_path: Path) -> None:
    cell = Cell("clora", {"method": "clora"})
    line = {"cell": cell.id, "plan": Plan(a_base(), count=2).to_json(cell)}
    (tmp_path / "results.jsonl").write_text(json.dumps(line) + '\n{"cell": "cut o')  # what a power cut leaves
    assert missing_cells(tmp_path, [cell], Plan(a_base(), count=2)) == []
    for other in (Plan(a_base(), count=3), Plan(a_base(), count=2, whole=False), Plan(a_base(rank=3), count=2)):
        with pytest.raises(SettingsError, match="another plan"):
            missing_cells(tmp_path, [cell], other)


@pytest.mark.parametrize("path", sorted((ROOT / "docs/results").glob("forgetting*.jsonl")), ids=lambda path: path.name)
def test_every_line_that_was_published_is_recognised(path: Path) -> None:
    base = read_base(ROOT / "assets/base")
    for line in read_results(path).values():
        noted = line["plan"]
        own = {name: value for name, value in noted.get("train", {}).items() if name not in ("method", "seed")}
        networks = {name: noted[name] for name in ("clip", "dino") if name in noted}
        known = replace(base, id=noted["base"]["id"])
        folders = [Path(noted[name]) if noted[name] else None for name in ("concepts", "references")]
        assert all((ROOT / folder).is_dir() for folder in folders if folder)
        plan = Plan(known, noted["count"], noted["draws"], *folders, settings=own, **networks)
        method = "clora" if line["arm"] in ABLATIONS else line["arm"]
        cell = Cell(line["arm"], {"method": method}, line["order"], line["seed"])
        assert cell.id == line["cell"] and (plan.made(line, cell) or path.name in EARLY)
        assert len(line["concepts"]) == len(line["tokens"]) == noted["count"]


def test_methods_that_learn_alone_share_only_what_is_learned_under_the_same_settings() -> None:
    base, slow = a_base(), a_base({"merged": {"learning_rate": 1e-5}})
    assert len(alone_cells(cells_of(["merged", "routed"], 2, 2, base), Plan(base))) == 2  # one a seed
    assert len(alone_cells(cells_of(["merged", "routed"], 2, 2, slow), Plan(slow))) == 4  # and one a rate


def test_decades_stand_around_each_methods_own_preset(tiny_folder: Path) -> None:
    base = read_base(tiny_folder)
    (first, *_) = tokens = decade_arms(base, ["textual_inversion"], ["learning_rate"])
    assert len(tokens) == 3 and set(first) == {"method", "token_learning_rate"}  # it has no other rate
    arms = decade_arms(base, ["clora", "dreambooth"], ["learning_rate", "penalty_weight"])
    own = [arm for arm in arms if arm["method"] == "clora"]
    assert len(own) == 9 and len(arms) == 12  # DreamBooth has no penalty
    assert {arm["penalty_weight"] for arm in own} == {1e7, 1e8, 1e9}
    assert [arm["learning_rate"] for arm in arms if arm["method"] == "dreambooth"] == [5e-7, 5e-6, 5e-5]
    assert len({cell.id for cell in sweep_cells(arms, 0)}) == 12


def test_a_sweep_may_try_seeds() -> None:
    cells = sweep_cells(grid_arms("merged", {"seed": [1, 2], "steps": [3]}), 7)
    assert [cell.id for cell in cells] == [f"method-merged-steps-3-order0-seed{seed}" for seed in (1, 2)]
    assert Plan(a_base(), whole=False).config(cells[1]).to_json().items() >= cells[1].changes.items()
    assert sweep_cells([{"steps": 3}], 7)[0].seed == 7


def test_bench_sweep_takes_values_or_decades(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "sweep", "--out", str(tmp_path), "--methods", "clora", "--learning-rate", "1", "2"]
    assert cli.main(words) == 2
    assert "learning_rate) or --methods and --decades, not both" in capsys.readouterr().err
    assert cli.main(words[:-1]) == 2  # one value, which the decades would replace
    assert "Swept already by --methods and --decades: learning_rate" in capsys.readouterr().err
