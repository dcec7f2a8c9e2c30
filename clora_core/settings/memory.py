"""How learning takes less memory, a step at a time, and whether it fits.

    checkpointing    what a layer computed is computed again in the backward pass instead of kept
    one by one       the pictures of a batch go through the model in smaller parts, whose gradients add up
    small previews   pictures drawn meanwhile are half as wide and high
    offload          what is kept for the backward pass waits in main memory

The gradient is the same within floating point: only the order in which it is added up changes. They are taken in this
order, the cheapest first. Attention slicing is none of them: PyTorch's attention never holds the scores that it slices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

SIZES = ("8", "12", "16", "24")
"""Memory of the graphics cards that people have, in GB."""
USABLE = 0.9  # of a card: its driver, the screen and gaps between tensors take the rest
AT_ONCE = 8  # pictures in the VAE where memory is not short


@dataclass(frozen=True)
class Savings:
    """What is done to take less memory. at_once: pictures of a batch in the model at once; 0 = all of them."""

    checkpointing: bool = False
    at_once: int = 0
    small_previews: bool = False
    offload: bool = False

    def further(self, batch: int) -> Savings | None:
        """The next step down from here with this batch size; None = there is none."""
        together = self.at_once or batch
        if not self.checkpointing:
            return replace(self, checkpointing=True)
        if together > 1:
            return replace(self, at_once=(together + 1) // 2)
        if not self.small_previews:
            return replace(self, small_previews=True)
        return None if self.offload else replace(self, offload=True)

    def words(self) -> str:
        """ "gradient checkpointing, 1 picture at a time"; "" where nothing is saved."""
        pictures = f"{self.at_once} {'picture' if self.at_once == 1 else 'pictures'} at a time"
        said = {
            "gradient checkpointing": self.checkpointing,
            pictures: bool(self.at_once),
            "small previews": self.small_previews,
            "activations in main memory": self.offload,
        }
        return ", ".join(words for words, done in said.items() if done)


def ladder(batch: int) -> Iterator[Savings]:
    """Every step down, from saving nothing on."""
    step: Savings | None = Savings()
    while step:
        yield step
        step = step.further(batch)


@dataclass(frozen=True)
class Fit:
    """Whether learning fits. needs: bytes at the peak with ``savings``, as estimated.  room: bytes there are.  encoded:
    pictures in the VAE at once."""

    needs: int
    room: int
    savings: Savings
    encoded: int = AT_ONCE

    def further(self, batch: int) -> Fit | None:
        """With the next step down, where memory did not suffice after all; None = there is none."""
        savings = self.savings.further(batch)
        return replace(self, savings=savings, encoded=1) if savings else None

    @property
    def fits(self) -> bool:
        """There is room."""
        return self.needs <= self.room

    @property
    def verdict(self) -> str:
        """ "Fits", "Fits with gradient checkpointing", "Does not fit, even with gradient checkpointing"."""
        saved = self.savings.words()
        if self.fits:
            return f"Fits with {saved}" if saved else "Fits"
        return f"Does not fit, even with {saved}" if saved else "Does not fit"

    @property
    def tight(self) -> bool:
        """Somebody should know."""
        return bool(self.savings.words()) or not self.fits

    def words(self) -> str:
        """The verdict, and what it is from."""
        amount = f"about {self.needs / 1e9:.1f} of {self.room / 1e9:.1f} GB"
        return f"{self.verdict}: {amount} of memory, as estimated from a small picture."

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Fit:
        """The inverse of ``answers.to_plain``."""
        return cls(**{**values, "savings": Savings(**values["savings"])})
