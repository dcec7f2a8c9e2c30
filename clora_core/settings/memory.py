"""How learning takes less memory, a step at a time, and whether it fits.

    checkpointing    what a layer computed is computed again in the backward pass instead of kept
    one by one       the pictures of a batch go through the model in smaller parts, whose gradients add up
    small previews   pictures drawn meanwhile are half as wide and high
    offload          what is kept for the backward pass waits in main memory

The first gives the same bits, the others but for previews the same gradient within floating point. They are taken in
this order, the cheapest first. Attention slicing is none of them: PyTorch's attention never holds the scores that it
slices.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

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

    @property
    def encoded_at_once(self) -> int:
        """Pictures in the VAE at once."""
        return 1 if self.checkpointing else AT_ONCE

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
    """Whether learning fits. needs: bytes at the peak with ``savings``, as estimated.  room: bytes there are."""

    needs: int
    room: int
    savings: Savings

    @property
    def fits(self) -> bool:
        """There is room."""
        return self.needs <= self.room

    def words(self) -> str:
        """ "Fits with gradient checkpointing: about 6.1 of 7.7 GB, as estimated from a small picture." """
        saved = self.savings.words()
        verdict = (f"Fits with {saved}" if saved else "Fits") if self.fits else "Does not fit"
        even = f", even with {saved}" if saved and not self.fits else ""
        amount = f"about {self.needs / 1e9:.1f} of {self.room / 1e9:.1f} GB{even}"
        return f"{verdict}: {amount}, as estimated from a small picture."
