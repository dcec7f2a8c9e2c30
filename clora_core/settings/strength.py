"""How strongly a concept is drawn: bounds, and how people write it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from clora_core.errors import SettingsError
from clora_core.settings.methods import MethodRow

MAX_STRENGTH = 1.5
STRENGTH_HELP = f"0 to {MAX_STRENGTH:g}: how much of what it learned counts. 1 is as it was learned, 0 without."
_WRITTEN = re.compile(r"<(?:lora:)?([^<>:=\s]+):([-+.\d]+)>|<?([^<>:=\s]+)>?\s*[=:]\s*([-+.\d]+)")


def check_strengths(strengths: Mapping[str, Any]) -> dict[str, float]:
    """Strengths by token, lower-cased, as numbers; those of 1 are left out, for they change nothing. Raises
    SettingsError."""
    for token, value in strengths.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_STRENGTH:
            raise SettingsError(f"The strength of {token} must be between 0 and {MAX_STRENGTH:g}, got {value!r}.")
    return {token.lower(): float(value) for token, value in strengths.items() if value != 1}


def check_weights(method: MethodRow, strengths: Mapping[str, float]) -> None:
    """Raise SettingsError where there are strengths, but the method learns no weights that they could scale."""
    if strengths and method.weightless:
        raise SettingsError(
            f"{method.title} learns no weights, so there is nothing to make stronger or weaker. Give the token a "
            f"weight in the prompt: ({next(iter(strengths))}:0.7)."
        )


def read_strengths(written: Iterable[str]) -> dict[str, float]:
    """Strengths by token from "<ada>=0.7", "ada=0.7", "ada:0.7" or A1111's "<lora:ada:0.7>"; raises SettingsError."""
    found = {}
    for text in written:
        match = _WRITTEN.fullmatch(text.strip())
        try:
            name, value = [part for part in (match.groups() if match else ()) if part is not None]
            found[f"<{name}>"] = float(value)
        except ValueError:
            raise SettingsError(f"{text!r} is no strength. Write a token and a number: <ada>=0.7.") from None
    return check_strengths(found)


def strength_words(strengths: Mapping[str, float]) -> str:
    """As they stand in a picture's text: "<ada>=0.7 <bo>=1.2"; `read_strengths` reads the parts."""
    return " ".join(f"{token}={value:g}" for token, value in strengths.items())
