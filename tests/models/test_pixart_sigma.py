"""What the rest of the code asks of PixArt-Sigma, held against diffusers' own pipeline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import PixArtTransformer2DModel
from tiny.digests import base_digest
from tiny.families import PIXART, T5_PIECES, tiny_t5_tokenizer

from clora_core.errors import ModelError, SettingsError
from clora_core.models.cross_attention import cross_attention_matrices
from clora_core.models.description import read_base
from clora_core.models.loading import denoiser_parameters, load_backbone

PROMPTS = ["a photo of a dog", "Far away", "a photo of a dog"]


def test_a_full_size_transformer_has_56_matrices() -> None:
    """The defaults are the shape of PixArt-Sigma XL."""
    with torch.device("meta"):
        transformer = PixArtTransformer2DModel()
    assert len(cross_attention_matrices(transformer)) == 56


def test_prompts_are_encoded_as_diffusers_does(pixart) -> None:
    ours = pixart.encode(PROMPTS)
    text, mask, _, _ = pixart.pipe.encode_prompt(PROMPTS, do_classifier_free_guidance=False)
    assert torch.allclose(ours.text, text, atol=1e-5) and torch.equal(ours.mask, mask.bool())
    assert ours.text.shape[1] == 300


def test_a_token_is_one_piece_of_t5s_words_whatever_its_case(pixart) -> None:
    pixart.installation.install((), reserve="<rex>")
    (table,) = pixart.tables.values()
    ids, mask = table.read(["a photo of <Rex>, far"])
    pieces = table.tokenizer.convert_ids_to_tokens(ids[0][mask[0].bool()].tolist())
    assert [piece.lower() for piece in pieces].count("<rex>") == 1
    assert ids[0].tolist().count(table.id_of("<rex>")) == 1
    assert ids[0].tolist() == table.tokenizer("a photo of <Rex>, far", padding="max_length").input_ids
    assert table.id_of("<rex>") < len(table.weight)  # T5's table has more rows than it has words
    assert table.words() == ["far", "photo"]


def test_what_is_drawn_is_what_the_pipeline_draws(pixart, settings) -> None:
    wide = settings.updated({"width": 48})
    ours = pixart.draw(*(pixart.encode([text] * 2) for text in ("a photo", "far")), wide, _two(), lambda step: None)
    theirs = pixart.pipe(
        ["a photo"] * 2,
        negative_prompt=["far"] * 2,
        **pixart.asked(wide),
        generator=_two(),
    ).images
    assert [picture.tobytes() for picture in ours] == [picture.tobytes() for picture in theirs]


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def _two() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in (3, 4)]


@pytest.mark.parametrize("sampler,steps", [("Heun", 3), ("PLMS", 4), ("Euler", 1)])
def test_steps_are_counted_with_every_sampler(pixart, settings, sampler, steps) -> None:
    seen: list[int] = []
    read, chosen = pixart.encode(["a photo"]), settings.updated({"sampler": sampler, "steps": steps})
    pixart.draw(read, pixart.encode([""]), chosen, _two()[:1], seen.append)
    assert seen == sorted(seen) and seen[-1] == steps


def test_what_the_pipeline_cannot_is_refused(pixart, settings) -> None:
    read = pixart.encode(["a photo"])
    with pytest.raises(SettingsError, match="guidance rescale to 0"):
        pixart.draw(read, read, settings.updated({"guidance_rescale": 0.5}), _two()[:1], lambda step: None)


def test_the_published_layout_is_read(folders, pixart, tmp_path: Path, monkeypatch) -> None:
    """Its index has the transformer's old name, and its tokenizer is SentencePiece's own file."""
    model = pytest.importorskip("sentencepiece.sentencepiece_model_pb2")
    folder = Path(shutil.copytree(folders / PIXART, tmp_path / "published"))
    old = "Transformer2DModel"
    change(folder / "model_index.json", transformer=["diffusers", old])
    change(folder / "transformer/config.json", _class_name=old)
    (folder / "tokenizer/tokenizer.json").unlink()
    with pytest.raises(ModelError, match="no words in its tokenizer"):
        load_backbone(folder, "cpu")
    words = model.ModelProto()
    words.trainer_spec.model_type, words.trainer_spec.unk_id = 1, 2
    for piece, score in tiny_t5_tokenizer()._vocab_scores[: len(T5_PIECES)]:
        kind = {"<unk>": 2, "<pad>": 3, "</s>": 3}.get(piece, 1)
        words.pieces.add(piece=piece, score=score, type=kind)
    (folder / "tokenizer/spiece.model").write_bytes(words.SerializeToString())
    with monkeypatch.context() as patch:
        patch.setattr("clora_core.models.description.SENTENCEPIECE", ("sentencepiece", "no_such_package"))
        with pytest.raises(ModelError, match="pip install sentencepiece protobuf"):
            load_backbone(folder, "cpu")
    published = load_backbone(folder, "cpu", "fp32")
    assert base_digest(published) == base_digest(pixart)
    assert torch.equal(published.encode(PROMPTS).text, pixart.encode(PROMPTS).text)
    assert read_base(folder).resolution == 32 and denoiser_parameters(folder) == denoiser_parameters(folders / PIXART)
