"""What another programme has learned is a concept like others: through the door, and by the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny.concepts import tiny_concept

from clora_core.cli.commands import main
from clora_core.concepts import Concept
from clora_core.errors import BusyError, ConceptError, SettingsError, StoreError, StudioError
from clora_core.export.kohya import family_of
from clora_core.jobs.requests import BringRequest, CompareRequest, LearnRequest
from clora_core.models.backbone import Backbone
from clora_core.store.store import ConceptStore
from clora_core.studio.studio import Studio

REX = Concept("Rex", "<rex>", ())


@pytest.fixture
def studio(quick_model: Path, tmp_path: Path) -> Iterator[Studio]:
    studio = Studio.open(tmp_path / "home", str(quick_model), "cpu", assets=tmp_path / "assets")
    yield studio
    studio.close()


@pytest.fixture
def lora(backbone: Backbone, tmp_path: Path) -> Path:
    """Of every key and value, and one matrix that a concept cannot hold."""
    family, tensors, generator = family_of(backbone), {}, torch.Generator().manual_seed(1)
    for name, linear in backbone.matrices.items():
        layer = family.layer(name)
        tensors[f"{layer}.lora_up.weight"] = torch.randn(linear.out_features, 3, generator=generator)
        tensors[f"{layer}.lora_down.weight"] = torch.randn(3, linear.in_features, generator=generator)
    tensors["lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight"] = torch.ones(1, 1)
    save_file(tensors, tmp_path / "old-rex.safetensors")
    return tmp_path / "old-rex.safetensors"


def test_it_stands_is_drawn_undone_and_learned_on(
    studio: Studio, lora: Path, pictures: tuple[Path, ...], tmp_path: Path
) -> None:
    timeline_id = studio.new_timeline("Pets")
    contents = studio.lora_contents(lora)
    assert (contents.matrices, contents.ranks, contents.left_out) == (8, (3, 3), {"of the text encoder": 1})
    with pytest.raises(ConceptError, match="1 matrix of the text encoder"):
        studio.bring(BringRequest(timeline_id, REX, lora, word="a"))
    with pytest.raises(SettingsError, match="what its token means"):
        studio.bring(BringRequest(timeline_id, REX, lora, leave_out=True))
    view = studio.bring_now(BringRequest(timeline_id, REX, lora, word="a", leave_out=True))
    assert view.kind == "bring" and "old-rex.safetensors" in view.message and view.name == "Rex"
    (card,) = studio.timeline(timeline_id).cards
    assert card.brought and card.brought.left_out == {"of the text encoder": 1} and card.brought.word == "a"
    assert card.learned_picture and card.picture_count == card.steps == 0 and card.likeness is None
    with pytest.raises(ConceptError, match="61 characters"):
        studio.bring(BringRequest(timeline_id, Concept("x" * 61, "<x>", ()), lora, word="a", leave_out=True))
    with pytest.raises(ConceptError, match="already taken"):
        studio.bring(BringRequest(timeline_id, REX, lora, word="a", leave_out=True))
    config = studio.base.train_with({"steps": 2, "rank": 2})
    learned = studio.wait(studio.learn(LearnRequest(timeline_id, Concept("Mug", "<mug>", pictures), config)), 60)
    assert learned.state == "done" and learned.curve[-1].penalty > 0
    older, _ = studio.timeline(timeline_id).cards
    assert older.changed is not None and older.now_picture
    with pytest.raises(SettingsError, match="Rex came from another programme"):
        studio.comparisons.start(CompareRequest(timeline_id, ("stacked",)))
    file = studio.archive(timeline_id)
    assert studio.timeline(studio.take_in(file).id).cards[0].brought == card.brought
    damaged = tmp_path / "home/timelines" / timeline_id / older.id / "concept.json"
    whole = damaged.read_text()
    damaged.write_text(whole.replace('"left_out": {', '"left_out": 3, "more": {'))
    with pytest.raises(StoreError, match="concept.json"):
        studio.timeline(timeline_id)
    damaged.write_text(whole)
    studio.undo(timeline_id)
    studio.undo(timeline_id)
    assert studio.redo(timeline_id).cards[0].brought == card.brought


def test_older_concepts_are_looked_at_and_a_lora_of_another_model_leaves_no_trace(
    studio: Studio, lora: Path, pictures: tuple[Path, ...], tmp_path: Path
) -> None:
    timeline_id = studio.new_timeline("Pets")
    config = studio.base.train_with({"steps": 2})
    studio.wait(studio.learn(LearnRequest(timeline_id, Concept("Mug", "<mug>", pictures), config)), 60)
    view = studio.bring_now(BringRequest(timeline_id, REX, lora, word="a", leave_out=True))
    assert view.verdict and [token for token, _ in view.verdict.older_changed] == ["<mug>"]
    assert "Older concepts as good as new" in view.message and studio.changes(timeline_id)[1][0] is not None
    layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    wrong = {f"{layer}.lora_{end}.weight": torch.ones(1, 1) for end in ("up", "down")}
    save_file(wrong, tmp_path / "other.safetensors")
    with pytest.raises(StudioError, match="other.safetensors does not fit this base model"):
        studio.bring_now(BringRequest(timeline_id, Concept("Cy", "<cy>", ()), tmp_path / "other.safetensors", word="a"))
    assert [card.token for card in studio.timeline(timeline_id).cards] == ["<mug>", "<rex>"]
    assert studio.bringing(timeline_id) == ""


def test_nothing_comes_in_while_something_is_learned(studio: Studio, lora: Path, pictures: tuple[Path, ...]) -> None:
    timeline_id = studio.new_timeline("Pets")
    config = studio.base.train_with({"steps": 5000})
    job = studio.learn(LearnRequest(timeline_id, Concept("Mug", "<mug>", pictures), config))
    with pytest.raises(BusyError, match="Mug is being learned"):
        studio.bring(BringRequest(timeline_id, REX, lora, word="a", leave_out=True))
    studio.stop(job)


def test_the_command_line(lora: Path, quick_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ["--home", str(tmp_path / "cli"), "--model", str(quick_model), "--device", "cpu"]
    assert main(["bring", str(lora), *at]) == 2
    assert "--leave-out" in capsys.readouterr().err
    assert main(["bring", str(tmp_path / "rex.ckpt"), *at]) == 2
    assert "rex.ckpt is a pickle" in capsys.readouterr().err
    assert main(["bring", str(lora), "--word", "a", "--leave-out", "--token", "<rex>", "--json", *at]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["token"] == "<rex>" and said["brought"]["left_out"] == {"of the text encoder": 1}
    assert main(["timeline", *at]) == 0
    assert "brought in from old-rex.safetensors" in capsys.readouterr().out


def test_a_home_of_before_has_none(tmp_path: Path) -> None:
    """A concept that was learned says nothing of where it is from, as ever."""
    store = ConceptStore(tmp_path)
    timeline_id = store.create("Pets", "base", "Base")
    store.append(store.load(timeline_id, "base"), tiny_concept("Rex"))
    assert "brought" not in (next(tmp_path.glob("timelines/*/*/concept.json"))).read_text()
    assert store.view(timeline_id).cards[0].brought is None
