"""A prompt's notes name what is wrong where it is typed, and what to write instead."""

from __future__ import annotations

import pytest

from clora_core.answers import Card
from clora_core.drawing.prompt_notes import not_learned, prompt_notes


def card(index: int, name: str) -> Card:
    token = f"<{name.lower().replace(' ', '-')}>"
    return Card(index, f"{index:03d}-x", name, token, "", 1.0, 1, 3, None, None, None, {})


JOINED = ("next to", "beside")
CARDS = (card(1, "Farid"), card(2, "Rex the dog"), card(3, "Mia"))


def notes(prompt: str, as_of: int = 3, **more: object) -> str:
    return "\n".join(prompt_notes(prompt, CARDS, as_of, **more))  # type: ignore[arg-type]


def test_nothing_is_said_of_a_prompt_that_works() -> None:
    assert notes("a photo of <FARID> next to <mia>", joined_by=JOINED) == ""
    assert notes("(<farid>:1.2) beside (<mia>:0.8)", joined_by=JOINED) == ""


@pytest.mark.parametrize(
    ("prompt", "meant"),
    [
        ("a photo of <farit>", "<farid>"),
        ("<rex-dog>", "<rex-the-dog>"),
        ("a photo of farid", "<farid>"),
        ("Rex the dog on a beach", "<rex-the-dog>"),
        ("a photo of <lora:mia:0.7>", "<mia>"),
    ],
)
def test_what_is_meant_is_named(prompt: str, meant: str) -> None:
    assert meant in notes(prompt)


def test_a_bare_word_inside_another_or_beside_its_token_is_none() -> None:
    assert notes("a mosaic from miami, mia-like") == ""
    assert notes("<mia>, or mia") == ""


def test_a_token_that_comes_later_names_the_point() -> None:
    assert "as of 3 or beyond" in notes("<mia>", as_of=1)
    assert "as of 1 or beyond" in notes("<farid>", as_of=0)
    assert "teach" not in notes("<farid>", as_of=0)
    assert "teach a concept first" in not_learned("<farid>", [])


def test_words_never_taught_have_their_near_ones() -> None:
    said = notes("a wooman on a zebra, farid", unknown={"wooman": "woman", "zebra": "", "farid": ""})
    assert "“wooman”: did you mean “woman”?" in said and "“zebra”: it" in said and "taught “farid”" not in said


@pytest.mark.parametrize("between", [" and ", " holding hands with ", ", "])
def test_two_people_are_joined_by_what_the_model_knows(between: str) -> None:
    prompt = f"<farid>{between}<mia>"
    assert "<farid> next to <mia>" in notes(prompt, joined_by=JOINED)
    assert notes(prompt) == ""


def test_three_people_are_too_many_and_one_twice_is_one() -> None:
    assert "two people at most" in notes("<farid> next to <mia> next to <rex-the-dog>", joined_by=JOINED)
    assert notes("<mia>, really <mia>", joined_by=JOINED) == ""


def test_what_is_cut_off_is_said_above_all_a_token() -> None:
    said = notes("far <farid> in red", unread="<farid> in red")
    assert "does not read: “<farid> in red”" in said and "<farid> would be cut off" in said
    assert "cut off" not in notes("<farid> far <farid>", unread="<farid>")
