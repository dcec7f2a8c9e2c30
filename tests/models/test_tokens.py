"""One row is trained, every other stays; tokens come and go without a trace."""

from __future__ import annotations

import pytest
import torch
from tiny.digests import digest
from transformers import CLIPTextConfig, CLIPTextModel

from clora_core.concepts import Concept
from clora_core.errors import ConceptError
from clora_core.learning.trainer import train_concept
from clora_core.models.loading import load_backbone
from clora_core.models.tokens import TokenEmbedding, TokenTable, left_out


@pytest.fixture
def table(backbone) -> TokenTable:
    return backbone.tables["clip"]


def test_a_random_start_is_as_wide_as_the_table(table) -> None:
    shape = {"hidden_size": 2_000, "intermediate_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1}
    text_encoder = CLIPTextModel(CLIPTextConfig(vocab_size=500, **shape))
    torch.nn.init.normal_(text_encoder.get_input_embeddings().weight, std=0.03)
    wide = TokenTable(table.tokenizer, text_encoder)
    drawn = wide.random_start(torch.Generator().manual_seed(1))
    assert drawn.shape == (1, 2_000)
    assert float(drawn.std()) == pytest.approx(0.03, rel=0.1)
    assert not torch.equal(drawn, wide.random_start(torch.Generator().manual_seed(2)))


def test_only_the_new_row_is_trained(backbone, table, pictures, config, empty) -> None:
    before, words = digest(table.weight), len(table.weight)
    training = train_concept(backbone, Concept("Rex", "<rex>", pictures), empty, config)
    start = training.snapshot().embeddings["clip"]
    assert list(training) and table.embedding.weight is table.weight  # clean again after the last step
    concept = training.finish()
    learned = concept.embeddings["clip"]
    assert learned.shape == (1, 32) and not torch.equal(start, learned)
    assert digest(table.weight) == before
    backbone.installation.install((concept,))
    rows = table.embedding.weight
    assert len(rows) == words + 1
    assert digest(rows[:words]) == before
    assert torch.equal(rows[table.id_of("<rex>")], learned[0])


def test_a_token_is_one_word_whatever_its_case(backbone, table, learn, empty) -> None:
    backbone.installation.install((learn("Rex", empty),))
    for prompt in ("a photo of <rex>", "a photo of <REX>, far", "<Rex>"):
        assert table.tokenizer(prompt).input_ids.count(table.id_of("<rex>")) == 1


def test_uninstalled_tokens_leave_the_tokenizer_as_it_was(backbone, table, learn, empty) -> None:
    original, prompt = table.tokenizer, "a photo of <rex>"
    pieces = original(prompt).input_ids
    backbone.installation.install((learn("Rex", empty),))
    assert table.tokenizer(prompt).input_ids != pieces and table.tokens == ("<rex>",)
    assert backbone.pipe.tokenizer is original
    backbone.installation.install(())
    assert table.tokenizer is original and table.tokens == ()
    assert table.tokenizer(prompt).input_ids == pieces
    assert backbone.pipe.text_encoder.config.vocab_size == len(table.embedding.weight)


def test_the_gradient_reaches_the_vector_and_nothing_else(backbone, table) -> None:
    backbone.installation.install((), reserve="<rex>")
    start = table.random_start(torch.Generator().manual_seed(0))
    token = TokenEmbedding("<rex>", backbone.tables, {"clip": start})
    (vector,) = token.parameters()
    with token.attached():
        backbone.encode(["a photo of <rex>"]).text.sum().backward()
        with torch.no_grad():
            other = backbone.encode(["a photo of far"]).text
            vector.add_(1.0)
            assert torch.equal(other, backbone.encode(["a photo of far"]).text)
    assert vector.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in backbone.pipe.text_encoder.parameters())


def test_a_token_the_base_model_has_is_refused(tiny_folder) -> None:
    backbone = load_backbone(tiny_folder, "cpu")
    backbone.pipe.tokenizer.add_tokens(["<old>"])
    with pytest.raises(ConceptError, match="<old>"):
        backbone.installation.install((), reserve="<old>")


def test_an_embedding_of_another_width_is_refused(table) -> None:
    with pytest.raises(ConceptError, match=r"5 numbers.*32"):
        table.install({"<rex>": torch.zeros(1, 5)})


def test_text_is_read_as_transformers_reads_it(backbone, table, learn, empty) -> None:
    """With tokens in place, padded and cut, though the words are not copied."""
    prompts = ["a photo of <REX>, far", "", "photo " * 40, "<rex><rex> Zoë's"]
    backbone.installation.install((learn("Rex", empty),))
    ids, mask = table.read(prompts)
    theirs = table.tokenizer(
        prompts, padding="max_length", truncation=True, max_length=table.max_length, return_tensors="pt"
    )
    assert torch.equal(ids, theirs.input_ids) and torch.equal(mask, theirs.attention_mask)


def test_words_are_whole_and_in_order(table) -> None:
    assert table.words() == ["photo"]


@pytest.mark.parametrize("text", ["photo", "far, it's 9:30 <rex>.", "<REX>,<rex> a-b", "<foo> Zoë", ""])
def test_what_is_left_out_is_what_the_encoder_does_not_read(backbone, table, learn, empty, text) -> None:
    """Counted with tokens in place or not, it is what the cut ids lack."""
    room = table.max_length - 2

    def pieces(prompt: str) -> list[int]:
        return table.tokenizer(prompt, add_special_tokens=False).input_ids

    before = table.left_out(f"{'photo ' * (room - 1)}far {text}", ["<rex>"])
    backbone.installation.install((learn("Rex", empty),))
    for fill in range(room - 12, room + 1):
        prompt = f"{'photo ' * fill}{text}"
        left = left_out(backbone.tables, prompt, ["<rex>"])
        assert bool(left) == (len(pieces(prompt)) > room) and prompt.endswith(left)
        assert len(pieces(prompt.removesuffix(left))) <= room
    assert table.left_out(f"{'photo ' * (room - 1)}far {text}", ["<rex>"]) == before
    table.read(["photo"])  # tells the tokenizer to cut
    assert table.left_out("photo " * (room + 1), []) == "photo "
