"""``bench train`` on the tiny model: two loops, timed in turns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clora_core.bench.train import measure_train, train_report
from clora_core.cli.commands import main
from clora_core.concepts import TrainConfig
from clora_core.errors import ModelError
from clora_core.models.backbone import Backbone
from clora_core.models.random_weights import random_backbone


@pytest.mark.slow
def test_here_pictures_are_encoded_once_and_there_in_every_step(
    backbone: Backbone, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded, to_latents = [], type(backbone).to_latents

    def counted(self, pictures):
        encoded.append(len(pictures))
        return to_latents(self, pictures)

    monkeypatch.setattr(type(backbone), "to_latents", counted)
    rows = list(measure_train(backbone, config.updated({"batch_size": 3}), pairs=2, steps=2, say=lambda line: None))
    assert [row["pair"] for row in rows] == [0, 1]
    assert encoded[-5:] == [3] * 5 and encoded.count(8) == 1  # 4 pictures have 2 views
    assert all(row[f"{side}_seconds"] > 0 for row in rows for side in ("ours", "reference"))
    assert "times as fast" in train_report([{"model": "Tiny", **row} for row in rows])["text"]
    assert backbone.installation.summed == ()


def test_a_row_a_pair_is_written(tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.jsonl"
    asked = ["--pairs", "1", "--repeats", "1", "--resolution", "32", "--method", "sequential", "--out", str(file)]
    assert main(["bench", "train", "--model", str(tiny_folder), "--device", "cpu", *asked]) == 0
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["pair"] for row in rows] == [0] and rows[0]["method"] == "sequential" and rows[0]["machine"]
    assert "reference" in capsys.readouterr().out
    assert main(["bench", "train", "--random-weights", "no-such-family"]) == 2
    assert "stable-diffusion-v1" in capsys.readouterr().err


def test_random_weights_know_the_precisions_that_a_model_knows() -> None:
    with pytest.raises(ModelError, match="graphics card"):
        random_backbone("stable-diffusion-v1", "cpu", "fp8")
    with pytest.raises(ModelError, match="fp7"):
        random_backbone("stable-diffusion-v1", "cpu", "fp7")
