"""One row a method, its options in one flat mapping with what all methods read, and methods of somebody else's."""

from __future__ import annotations

import pickle
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from clora_core.errors import MissingMethodError, SettingsError
from clora_core.settings.fields import labelled
from clora_core.settings.learning import ASIDE, TrainConfig, decisive
from clora_core.settings.methods import (
    BUILT_IN,
    CLORA,
    DREAMBOOTH,
    EWC,
    GENERATIVE_REPLAY,
    SEQUENTIAL,
    CLoraOptions,
    MethodRow,
    NoOptions,
)
from clora_core.settings.plugins import known_methods

OWN = Path(__file__).parents[1] / "tiny/own_method.py"


def installed(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """One entry point of that value, and no other."""
    found = [EntryPoint("mine", value, "clora_studio.methods")]
    monkeypatch.setattr("clora_core.settings.plugins.entry_points", lambda group: found)


def test_every_row_is_told_apart_and_explained() -> None:
    assert len({row.name for row in BUILT_IN}) == len({row.title for row in BUILT_IN}) == len(BUILT_IN.rows)
    for row in BUILT_IN:
        assert row.sentence.endswith(".") and row.sentence.count(". ") == 0 and row.paper
        assert TrainConfig(row).updated(row.preset).method is row
        assert not set(labelled(row.options)) & set(labelled(TrainConfig))
    with pytest.raises(SettingsError, match="'magic'. Known: clora, sequential"):
        BUILT_IN.named("magic")
    assert BUILT_IN.find("magic") is None and BUILT_IN.title("magic") == "magic" and BUILT_IN.title("ewc") == "EWC"


def test_the_presets_are_the_papers() -> None:
    rates = {row.name: row.preset.get("learning_rate", 5e-4) for row in BUILT_IN}
    without_lora = {row.name for row in BUILT_IN if "rank" not in labelled(row.options) and not row.weightless}
    assert {name for name, rate in rates.items() if rate == 5e-6} == without_lora
    assert EWC.preset["penalty_weight"] == 1e6


def test_a_tokens_rate_can_move_it_further_than_its_random_start() -> None:
    for row in BUILT_IN:
        config = TrainConfig(row).updated(row.preset)
        assert config.steps * config.token_learning_rate > 0.014  # how wide Stable Diffusion's table is


def test_rows_are_read_without_torch() -> None:
    words = "import sys, clora_core.settings.plugins as p; p.known_methods(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", words], check=False, cwd=OWN.parents[2]).returncode == 0


def test_a_config_is_one_flat_mapping_of_what_its_method_reads() -> None:
    config = TrainConfig.from_dict({"method": "clora", "rank": 4, "penalty_weight": 3, "steps": 7})
    assert config.options == CLoraOptions(rank=4, penalty_weight=3.0) and config.steps == 7
    flat = config.to_json()
    assert flat["rank"] == 4 and flat["steps"] == 7 and "replay_pictures" not in flat
    assert TrainConfig.from_dict(flat) == TrainConfig.from_json(flat) == config
    assert "rank" not in TrainConfig(DREAMBOOTH).to_json()


def test_other_methods_settings_are_refused_where_typed_and_left_out_where_stored() -> None:
    with pytest.raises(SettingsError, match="Unknown setting rank. The settings of EWC are: penalty_weight"):
        TrainConfig.from_dict({"method": "ewc", "rank": 4})
    with pytest.raises(SettingsError, match="replay_pictures"):
        TrainConfig().updated({"replay_pictures": 3})
    stored = {"method": "ewc", "rank": 4, "replay_pictures": 8, "penalty_weight": 2.0, "steps": 9}
    assert TrainConfig.from_json(stored) == TrainConfig.from_dict({"method": "ewc", "penalty_weight": 2.0, "steps": 9})
    with pytest.raises(MissingMethodError, match="The method magic is not installed. Install it, or give its file"):
        TrainConfig.from_json({"method": "magic"})


def test_a_config_goes_over_to_another_method_with_the_options_both_have() -> None:
    config = TrainConfig.from_dict({"rank": 4, "penalty_weight": 3.0, "steps": 7})
    assert config.under(SEQUENTIAL).to_json()["rank"] == 4 and config.under(SEQUENTIAL).steps == 7
    assert config.under(EWC).to_json()["penalty_weight"] == 3.0
    assert config.under(DREAMBOOTH).under(CLORA).options == CLoraOptions()
    with pytest.raises(SettingsError, match="NoOptions are not the options of C-LoRA: those are CLoraOptions"):
        TrainConfig(CLORA, NoOptions())


def test_what_decides_is_all_but_the_previews() -> None:
    config = TrainConfig(GENERATIVE_REPLAY)
    assert set(config.to_json()) - set(decisive(config)) == ASIDE


def test_a_file_adds_a_method_that_survives_pickling() -> None:
    methods = known_methods([OWN])
    assert methods.names == (*BUILT_IN.names, "small") and methods.title("small") == "Small LoRAs"
    config = TrainConfig.from_dict({"method": "small", "size_weight": 2, "rank": 3}, methods)
    assert config.to_json()["size_weight"] == 2.0
    again = pickle.loads(pickle.dumps(methods))
    assert again.names == methods.names and again.files == (OWN,)


def test_an_installed_package_adds_a_method(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clora_core.settings.methods.MINE", MethodRow("mine", "Mine", "Mine.", "x:Y"), raising=False)
    installed(monkeypatch, "clora_core.settings.methods:MINE")
    assert known_methods().names == (*BUILT_IN.names, "mine")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("no_such_package:METHOD", r"the plug-in 'mine' \(no_such_package:METHOD\) cannot be loaded"),
        ("clora_core.settings.methods:LORA", "plug-in 'mine'.* METHOD must be a MethodRow, got Paper"),
        ("clora_core.settings.methods:CLORA", "plug-in 'mine'.* is named 'clora', as another one is"),
    ],
)
def test_a_wrong_package_is_named(monkeypatch: pytest.MonkeyPatch, value: str, words: str) -> None:
    installed(monkeypatch, value)
    with pytest.raises(SettingsError, match=words):
        known_methods()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "There is no method file .*mine.py"),
        ("1 / 0", "mine.py cannot be loaded: ZeroDivisionError"),
        ("", "METHOD must be a MethodRow, got NoneType"),
        (
            "from dataclasses import dataclass\n"
            "from clora_core.settings.fields import Settings, setting\n"
            "from clora_core.settings.methods import MethodRow\n"
            "@dataclass(frozen=True)\n"
            "class Own(Settings):\n"
            "    steps: int = setting(1, 'Steps', 'Steps.')\n"
            "METHOD = MethodRow('mine', 'Mine', 'Mine.', 'x:Y', Own)\n",
            "mine.py has an option steps, which all methods have",
        ),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str | None, words: str) -> None:
    file = tmp_path / "mine.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError, match=words):
        known_methods([file])
