"""One row is trained, every other stays; tokens come and go without a trace."""

from __future__ import annotations

import pytest
import torch
from tiny.digests import digest

from clora_core.concepts import Concept
from clora_core.errors import ConceptError
from clora_core.learning.trainer import train_concept
from clora_core.models.installation import Installation
from clora_core.models.loading import load_pipeline
from clora_core.models.tokens import TokenEmbedding, TokenTable, encode_prompts, random_embedding


def _table(pipe) -> torch.Tensor:
    return pipe.text_encoder.get_input_embeddings().weight


def test_random_embedding_is_as_wide_as_the_table() -> None:
    table = torch.randn(50, 20_000, generator=torch.Generator().manual_seed(0)) * 0.03
    drawn = random_embedding(table, torch.Generator().manual_seed(1))
    assert drawn.shape == (20_000,)
    assert float(drawn.std()) == pytest.approx(0.03, rel=0.03)
    assert not torch.equal(drawn, random_embedding(table, torch.Generator().manual_seed(2)))


def test_only_the_new_row_is_trained(pipe, pictures, config, empty) -> None:
    before, words = digest(_table(pipe)), _table(pipe).shape[0]
    training = train_concept(pipe, Concept("Rex", "<rex>", pictures), empty, config)
    start = training.snapshot().token_embedding
    assert list(training) and _table(pipe).shape[0] == words  # clean again after the last step
    concept = training.finish()
    assert not torch.equal(start, concept.token_embedding)
    assert digest(_table(pipe)) == before
    Installation.of(pipe).install(pipe, (concept,))
    assert _table(pipe).shape[0] == words + 1
    assert digest(_table(pipe)[:words]) == before
    assert torch.equal(_table(pipe)[pipe.tokenizer.convert_tokens_to_ids("<rex>")], concept.token_embedding)


def test_a_token_is_one_word_whatever_its_case(pipe, learn, empty) -> None:
    Installation.of(pipe).install(pipe, (learn("Rex", empty),))
    rex = pipe.tokenizer.convert_tokens_to_ids("<rex>")
    for prompt in ("a photo of <rex>", "a photo of <REX>, far", "<Rex>"):
        assert pipe.tokenizer(prompt).input_ids.count(rex) == 1


def test_uninstalled_tokens_leave_the_tokenizer_as_it_was(pipe, learn, empty) -> None:
    original, prompt = pipe.tokenizer, "a photo of <rex>"
    pieces = original(prompt).input_ids
    Installation.of(pipe).install(pipe, (learn("Rex", empty),))
    assert pipe.tokenizer(prompt).input_ids != pieces
    Installation.of(pipe).install(pipe, ())
    assert pipe.tokenizer is original
    assert pipe.tokenizer(prompt).input_ids == pieces
    assert pipe.text_encoder.config.vocab_size == _table(pipe).shape[0]


def test_the_gradient_reaches_the_vector_and_nothing_else(pipe) -> None:
    TokenTable(pipe)  # reading the table for an installation changes nothing
    Installation.of(pipe).install(pipe, (), reserve="<rex>")
    token = TokenEmbedding("<rex>", random_embedding(_table(pipe), torch.Generator().manual_seed(0)))
    with token.attached(pipe):
        pipe.encode_prompt(["a photo of <rex>"], "cpu", 1, False)[0].sum().backward()
        with torch.no_grad():
            other = pipe.encode_prompt(["a photo of far"], "cpu", 1, False)[0]
            token.vector.add_(1.0)
            assert torch.equal(other, pipe.encode_prompt(["a photo of far"], "cpu", 1, False)[0])
    assert token.vector.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in pipe.text_encoder.parameters())


def test_a_token_the_base_model_has_is_refused(tiny_folder) -> None:
    pipe = load_pipeline(tiny_folder, "cpu")
    pipe.tokenizer.add_tokens(["<old>"])
    with pytest.raises(ConceptError, match="<old>"):
        Installation.of(pipe).install(pipe, (), reserve="<old>")


def test_an_embedding_of_another_width_is_refused(pipe) -> None:
    with pytest.raises(ConceptError, match=r"5 numbers.*32"):
        TokenTable(pipe).install(pipe, {"<rex>": torch.zeros(5)})


def test_alike_prompts_are_encoded_once(pipe) -> None:
    prompts, seen = ["a photo of a dog", "a cat", "a photo of a dog"], []
    handle = pipe.text_encoder.register_forward_hook(lambda module, inputs, output: seen.append(output))
    try:
        encoded = encode_prompts(pipe, prompts)
    finally:
        handle.remove()
    assert [len(output.last_hidden_state) for output in seen] == [2]
    assert torch.allclose(encoded, pipe.encode_prompt(prompts, pipe.device, 1, False)[0], atol=1e-5)
