"""What was found when a concept had been learned, and every threshold behind the words for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Health = Literal["as good as new", "fading", "lost"]
Outcome = Literal["looks like them", "partly", "does not look like them", "diverged"]

HARDLY = 0.1
"""Below this ``difference`` two pictures of the same seed show the same in the same way."""
PLAINLY = 0.5
"""From this ``difference`` on, what two pictures of the same seed show is no longer the same to the eye."""
LIKE, PARTLY = 0.88, 0.75
"""Drawn pictures look like the real ones, or partly, from this share on of how like each other the real ones are.
Measured on the embedded model: a person learned in full reached 0.93, one learned in 3 steps 0.83, a dog 0.66, a lesson
with 50 times the rates 0.48; the wrong person has 0.59 on average."""
NEARER = 0.25
"""And they partly do only when learning brought them by this share of the way from what the prompt drew before."""
SURE = 0.9
"""Pictures are far from anything the embedded model draws when its small network is less sure of what it sees.
Measured: the thirty benchmark people 0.92 to 1, a drawn dog, a clock, noise, plain areas and screenshots 0.77 to
0.86."""
LOOK_ALIKE = 0.85
"""Two concepts whose mean features are this alike may be taken for each other. Measured: two sets of pictures of one
benchmark person have 0.85 and more, of two people 0.54 on average (99 % of them less than 0.90)."""
LIGHTER = 2.0
"""What was learned has diverged when it has more than this times the weight of the model's own in the same places
(norms). Measured on the embedded model: 0.15 and 0.36 after lessons with its preset, 13 with 50 times the rates."""
LARGER_PENALTY = (
    "To have back what is lost, undo until it is there again, and learn on from there under C-LoRA with a larger "
    "penalty weight."
)
NAMED = 3  # of the concepts that fade or are lost, a verdict names so many of each


def health(changed: float) -> Health:
    """A concept's health in words, from how much its picture of the same seed has changed since it was learned."""
    return "as good as new" if changed < HARDLY else "fading" if changed < PLAINLY else "lost"


def outcome(likeness: float, before: float, real: float, confused: bool = False) -> Outcome:
    """What came of a lesson that did not diverge, from the figures of ``Verdict``. confused: it is more like another
    concept."""
    if likeness >= LIKE * real and likeness >= before:
        return "partly" if confused else "looks like them"
    if likeness >= PARTLY * real and likeness - before >= NEARER * (real - before):
        return "partly"
    return "does not look like them"


@dataclass(frozen=True)
class Verdict:
    """What was checked before a learn job was called done.

    Attributes:
        differs_from_base: ``difference`` of the new concept's card picture and the one its prompt drew before the first
            step, with the same seed.
        older_changed: (token, ``difference``) of every older concept, as it was learned against now.
        outcome: "" = not measured, as in what was learned before likeness was.
        likeness, before, real: how much like the real pictures (mean cosine of a picture's features to theirs) are four
            that were drawn of it, what the same prompt drew before the first step, and each real one to the others.
        older_likeness: (token, likeness) of every older concept's card picture now, as far as its real ones are known.
        confused: (token, likeness) of the older concept that the new one is drawn like, if it is more so than like
            itself.
        seed: of the card picture; None = the model's preset.
    """

    differs_from_base: float
    older_changed: tuple[tuple[str, float], ...] = ()
    outcome: Outcome | Literal[""] = ""
    likeness: float | None = None
    before: float | None = None
    real: float | None = None
    older_likeness: tuple[tuple[str, float], ...] = ()
    confused: tuple[str, float] | None = None
    seed: int | None = None

    @property
    def convinces(self) -> bool:
        """Whether it may be called learned; where likeness was not measured nothing speaks against it."""
        return self.outcome not in ("does not look like them", "diverged")

    def words(self) -> str:
        """The verdict in one short paragraph, for people."""
        return " ".join(text for text in (self.learned(), self.older()) if text)

    def learned(self) -> str:
        """What came of the concept itself, and what to try where that is not enough."""
        if self.outcome == "":
            return self._moved()
        if self.outcome == "diverged":
            return (
                "It diverged: other prompts are drawn as noise now. Halve the learning rate, and learn it again; a "
                "tenth, if it was raised a lot."
            )
        if self.likeness is None or self.before is None or self.real is None:
            return self._moved()
        figures = (
            f"Four pictures drawn of it are {self.likeness:.2f} like the real ones; these are {self.real:.2f} like "
            f"each other, and before learning it was {self.before:.2f}."
        )
        if self.confused:
            figures += f" It looks more like {self.confused[0]} ({self.confused[1]:.2f})."
        if self.outcome == "looks like them":
            return f"It looks like the real pictures. {figures}"
        if self.outcome == "partly":
            return f"It looks partly like the real pictures. {figures} More steps may bring it nearer."
        return (
            f"It does not look like the real pictures. {figures} Try more steps, or pictures of what this model can "
            "draw. Undo takes it back."
        )

    def older(self, remedy: str = LARGER_PENALTY) -> str:
        """What became of the older ones; "" where there are none. remedy: what to do where one is lost."""
        if not self.older_changed:
            return ""
        worst = sorted(self.older_changed, key=lambda pair: -pair[1])
        states = [health(change) for _, change in worst]
        older = f"Older concepts as good as new: {states.count('as good as new')} of {len(states)}."
        for state in ("fading", "lost"):
            named = [f"{token} ({change:.1%})" for token, change in worst if health(change) == state]
            if named:
                more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
                older += f" {state.capitalize()}: {', '.join(named[:NAMED])}{more}."
        if "lost" in states:
            older += f" {remedy}"
        return older

    def _moved(self) -> str:
        if self.differs_from_base < HARDLY:
            return (
                f"The picture hardly differs from before ({self.differs_from_base:.1%}): it may not have "
                "been learned. Try more steps or a higher learning rate."
            )
        return f"The same seed draws a picture now that differs from before by {self.differs_from_base:.1%}."

    def to_json(self) -> dict[str, Any]:
        """A dict of plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Verdict:
        """The inverse of ``to_json``; what an older version did not write keeps its default."""
        confused = data.get("confused")
        return cls(
            data["differs_from_base"],
            _pairs(data["older_changed"]),
            data.get("outcome", ""),
            data.get("likeness"),
            data.get("before"),
            data.get("real"),
            _pairs(data.get("older_likeness", ())),
            (str(confused[0]), float(confused[1])) if confused else None,
            data.get("seed"),
        )


def _pairs(values: Any) -> tuple[tuple[str, float], ...]:
    return tuple((str(token), float(figure)) for token, figure in values)
