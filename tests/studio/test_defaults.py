"""What a home prefers to a model's preset."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from clora_core.models.description import BaseModel, read_base
from clora_core.studio.defaults import Defaults


@pytest.fixture
def base(tiny_folder: Path) -> BaseModel:
    return read_base(tiny_folder)


def test_what_is_kept_is_there_when_the_home_is_opened_again(base: BaseModel, tmp_path: Path) -> None:
    defaults = Defaults(tmp_path)
    assert defaults.over(base) is base
    defaults.keep(base, base.sampling.updated({"steps": 9, "seed": 77}))
    defaults.keep(base, base.train_with({"method": "ewc", "steps": 12, "seed": 5}))
    defaults.keep(base, base.train_with({"rank": 3}))
    over = Defaults(tmp_path).over(base)
    assert over.sampling == base.sampling.updated({"steps": 9})  # a seed is chosen each time
    assert over.train_with({"method": "ewc"}) == base.train_with({"method": "ewc", "steps": 12})
    assert over.train == base.train_with({"rank": 3})
    assert over.train_with({"method": "sequential"}) == base.train_with({"method": "sequential"})
    defaults.forget(base)
    assert Defaults(tmp_path).over(base) is base


def test_another_model_keeps_its_own_preset(base: BaseModel, tmp_path: Path) -> None:
    defaults, other = Defaults(tmp_path), replace(base, id="f" * 16)
    defaults.keep(base, base.sampling.updated({"steps": 9}))
    assert defaults.over(other) is other


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"ID": 3}', '{"ID": {"sampling": {"steps": -1}}}', '{"ID": {"methods": {"clora": {"x": 1}}}}']
)
def test_what_does_not_fit_is_left_out(base: BaseModel, tmp_path: Path, text: str) -> None:
    (tmp_path / "defaults.json").write_text(text.replace("ID", base.id))
    assert Defaults(tmp_path).over(base) == base
