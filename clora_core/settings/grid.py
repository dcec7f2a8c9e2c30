"""Axes of a grid of pictures: what may vary along them, and how people write the values. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from clora_core.errors import SettingsError
from clora_core.settings.drawing import SAMPLERS, SamplingConfig
from clora_core.settings.fields import labelled
from clora_core.settings.strength import MAX_STRENGTH
from clora_core.settings.text import check_text

MAX_CELLS = 100
MAX_AXES = 2

Value = str | int | float


@dataclass(frozen=True)
class Kind:
    """What varies along an axis. label: for people.  number: the type of its values.  hint: how they are written.
    first: values to begin with.  low, high: bounds of numbers."""

    label: str
    number: type[Value]
    hint: str
    first: str
    low: float = 0
    high: float = float("inf")


def _setting(name: str, hint: str, first: str) -> Kind:
    spec = labelled(SamplingConfig)[name]
    facts = spec.metadata
    number = float if isinstance(spec.default, float) else int
    return Kind(facts["label"], number, hint, first, facts.get("minimum", 0), facts.get("maximum", float("inf")))


KINDS = {
    "prompt": Kind("Prompt", str, "One a line, or with | between them.", ""),
    "seed": _setting("seed", "1, 2, 3 or 1-8", "1-4"),
    "as_of": Kind("As of", int, "After so many concepts: 0, 1, 2 or 0-5", "0-1"),
    "strength": Kind("Strength", float, "Of every token: 0, 0.5, 1 or 0-1.5 [4]", "0, 0.5, 1, 1.5", 0, MAX_STRENGTH),
    "guidance_scale": _setting("guidance_scale", "1, 4, 7.5 or 2-8 (+2)", "1, 4, 8"),
    "steps": _setting("steps", "6, 12, 24 or 10-50 [5]", "6, 12, 24"),
    "sampler": Kind("Sampler", str, f"Names: {', '.join(SAMPLERS)}", "DPM++ 2M, Euler a, DDIM"),
}

_RANGE = re.compile(r"(\d*\.?\d+)\s*-\s*(\d*\.?\d+)(?:\s*\(\+?(\d*\.?\d+)\)|\s*\[(\d+)\])?")


@dataclass(frozen=True)
class Axis:
    """One direction of a grid: what varies (a key of KINDS), and its values in order."""

    kind: str
    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        """Raises SettingsError for an unknown kind, no values, or one that cannot be."""
        kind = KINDS.get(self.kind)
        if kind is None:
            raise SettingsError(f"A grid cannot vary {self.kind!r}. It can vary: {', '.join(KINDS)}.")
        if not self.values:
            raise SettingsError(f"The axis {kind.label} has no values. {kind.hint}")
        values = [float(value) if kind.number is float and type(value) is int else value for value in self.values]
        for value in values:
            if type(value) is not kind.number:
                raise SettingsError(f"{value!r} is no {kind.label.lower()}. Write for example {kind.hint}")
            if isinstance(value, str):
                check_text(value, kind.label.lower())
            elif not kind.low <= value <= kind.high:
                raise SettingsError(f"{kind.label} {value:g} is not between {kind.low:g} and {kind.high:g}.")
            if self.kind == "sampler" and value not in ("", *SAMPLERS):
                raise SettingsError(f"There is no sampler {value!r}. The samplers are: {', '.join(SAMPLERS)}.")
        object.__setattr__(self, "values", tuple(dict.fromkeys(values)))

    @property
    def label(self) -> str:
        """What varies, for people."""
        return KINDS[self.kind].label

    @property
    def words(self) -> tuple[str, ...]:
        """The values, for people."""
        return tuple(value if isinstance(value, str) else f"{value:g}" for value in self.values)

    @property
    def titles(self) -> tuple[str, ...]:
        """The values as headings: "Steps 12"."""
        if KINDS[self.kind].number is str:
            return tuple(word or "the model's own" for word in self.words)
        return tuple(f"{self.label} {word}" for word in self.words)

    @property
    def written(self) -> str:
        """The values as `read_axis` reads them."""
        return ("\n" if self.kind == "prompt" else ", ").join(
            value if isinstance(value, str) else repr(value) for value in self.values
        )


def read_axis(kind: str, text: str) -> Axis:
    """An axis from what somebody typed; raises SettingsError.

    Prompts stand one a line or with | between them, all else with commas. Numbers may be ranges, as in other programs:
    "1-5", "1-10 (+3)" in steps of 3, "0-1 [5]" five of them.
    """
    known = KINDS.get(kind)
    parts = [part.strip() for part in re.split(r"[\n|]" if kind == "prompt" else r"[\n,]", text)]
    parts = [part for part in parts if part]
    if known is None or known.number is str:
        names = {name.lower(): name for name in SAMPLERS}
        return Axis(kind, tuple(names.get(part.lower(), part) if kind == "sampler" else part for part in parts))
    values: list[Value] = []
    for part in parts:
        for number in _numbers(part, known):
            whole = number == number.to_integral_value()
            if known.number is int and not whole:
                raise SettingsError(f"{part!r} is no {known.label.lower()}: it must be a whole number.")
            values.append(int(number) if known.number is int else float(number))
            if len(values) > MAX_CELLS:
                raise SettingsError(f"The axis {known.label} has more than {MAX_CELLS} values. Give fewer.")
    return Axis(kind, tuple(values))


def _numbers(part: str, kind: Kind) -> Iterator[Decimal]:
    """The numbers of a single one or a range; Decimal, so that 0.1 + 0.2 is 0.3."""
    match = _RANGE.fullmatch(part)
    if not match:
        try:
            number = Decimal(part)
        except ArithmeticError:
            number = Decimal("NaN")
        if not number.is_finite():
            raise SettingsError(f"{part!r} is no {kind.label.lower()}. Write for example {kind.hint}")
        yield number
        return
    first, last = Decimal(match[1]), Decimal(match[2])
    if match[4]:
        count = int(match[4])
        for place in range(count):
            number = first + (last - first) * place / max(count - 1, 1)
            yield Decimal(round(number)) if kind.number is int else round(number, 4)
        return
    step = Decimal(match[3] or 1)
    if not step or last < first:
        raise SettingsError(f"{part!r} never ends. Write the smaller number first: 1-5.")
    while first <= last:
        yield first
        first += step
