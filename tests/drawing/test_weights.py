"""Weights in a prompt: what is read as one, and what it does to the encoding."""

from __future__ import annotations

import pytest
import torch
from tiny.toy import Toy

from clora_core.drawing.generate import generate
from clora_core.drawing.weights import encode, read_weights
from clora_core.models.backbone import Conditioning


@pytest.mark.parametrize(
    ("prompt", "text", "weighted"),
    [
        ("a photo of (<ada>:0.8)", "a photo of <ada>", {"<ada>": 0.8}),
        ("(<ada>:0) in (red: .5 ), far", "<ada> in red, far", {"<ada>": 0, "red": 0.5}),
        ("((a:2) b:1.5)", "a b", {"a": 3, " b": 1.5}),
        ("(a (b) c:1.2)", "a (b) c", {"a (b) c": 1.2}),
        (r"(a \(b\):1.2) \(c:1.2\)", "a (b) (c:1.2)", {"a (b)": 1.2}),
    ],
)
def test_weights_are_read(prompt: str, text: str, weighted: dict[str, float]) -> None:
    plain, spans = read_weights(prompt)
    assert plain == text
    assert {text[span.start : span.end]: span.weight for span in spans} == pytest.approx(weighted)


@pytest.mark.parametrize(
    "prompt", ["", "a (dog), (at 9:30) [red] 4:3", "a:1.2)", "(a:1.2", "((a))", ")(", "(16:9)", "(a:-1)"]
)
def test_other_brackets_are_words(prompt: str) -> None:
    assert read_weights(prompt) == (prompt, [])


def read(backbone, prompt: str) -> Conditioning:
    with torch.no_grad():
        return encode(backbone, prompt, 2)


def test_a_weight_moves_the_encoding_from_that_without_the_words(backbone, learn, empty) -> None:
    backbone.installation.install((learn("Rex", empty),))
    plain, without = (read(backbone, f"photo of {word} far").text for word in ("<rex>", ","))
    assert torch.equal(read(backbone, "photo of (<rex>:1) far").text, plain)
    for weight in (0.0, 0.5, 1.5):
        weighted = read(backbone, f"photo of (<rex>:{weight}) far")
        torch.testing.assert_close(weighted.text, without + weight * (plain - without))
        assert weighted.positions["<rex>"].sum() == 2
    both = read(backbone, "(photo:0) of (<rex>:0) far").text
    gone = read(backbone, ", of <rex> far").text
    assert not torch.equal(both, gone) and not torch.equal(both, without)


def test_without_weights_the_encoding_is_the_backbones(backbone) -> None:
    prompt = "a (dog), far"
    assert torch.equal(read(backbone, prompt).text, backbone.encode([prompt] * 2).text)


def test_two_text_encoders_and_what_is_pooled_follow() -> None:
    toy = Toy()
    plain, none, more = (read(toy, prompt) for prompt in ("photo far", ", far", "(photo:1.5) far"))
    assert more.text.shape == plain.text.shape
    torch.testing.assert_close(more.pooled, none.pooled + 1.5 * (plain.pooled - none.pooled))


def test_weights_are_drawn_in_both_prompts(backbone, learn, empty, settings) -> None:
    timeline = empty.then(learn("Rex", empty))

    def drawn(prompt: str, negative: str = "") -> bytes:
        return generate(backbone, timeline, prompt, settings.updated({"negative_prompt": negative}))[0].tobytes()

    prompts = ["photo of <rex>", "photo of (<rex>:0)", "photo of (<rex>:1.5)"]
    assert len({*map(drawn, prompts), *(drawn("photo", prompt) for prompt in prompts)}) == 6
