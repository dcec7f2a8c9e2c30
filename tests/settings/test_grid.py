"""Axes of a grid, as people write them."""

from __future__ import annotations

import pytest

from clora_core.errors import SettingsError
from clora_core.settings.grid import Axis, read_axis


@pytest.mark.parametrize(
    ("kind", "text", "values"),
    [
        ("seed", "1, 2,7", (1, 2, 7)),
        ("seed", "3-6", (3, 4, 5, 6)),
        ("steps", "10-50 [5]", (10, 20, 30, 40, 50)),
        ("steps", "6-20 (+6), 30", (6, 12, 18, 30)),
        ("strength", "0-1.5 [4]", (0.0, 0.5, 1.0, 1.5)),
        ("strength", "0.1-0.3(+0.1)", (0.1, 0.2, 0.3)),
        ("guidance_scale", "1, 1, 7.5", (1.0, 7.5)),
        ("prompt", "a, <b>|two\n\nthree ", ("a, <b>", "two", "three")),
        ("sampler", "euler a, ddim", ("Euler a", "DDIM")),
    ],
)
def test_values_are_read_as_other_programs_write_them(kind: str, text: str, values: tuple) -> None:
    axis = read_axis(kind, text)
    assert axis.values == values and [type(value) for value in axis.values] == [type(value) for value in values]
    assert read_axis(kind, axis.written) == axis


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("seed", ""),
        ("seed", "one"),
        ("seed", "1.5"),
        ("seed", "-1"),
        ("seed", "5-1"),
        ("seed", "1-5 (+0)"),
        ("seed", "1-999999999"),
        ("seed", "1-999999999 [999999999]"),
        ("strength", "2"),
        ("strength", "nan"),
        ("steps", "0"),
        ("sampler", "Magic"),
        ("prompt", "a\0b"),
        ("colour", "red"),
    ],
)
def test_what_cannot_be_an_axis_is_refused(kind: str, text: str) -> None:
    with pytest.raises(SettingsError):
        read_axis(kind, text)
    with pytest.raises(SettingsError):
        Axis(kind, (text,))
