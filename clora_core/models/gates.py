"""Low-rank pairs that act at their own token alone.

    y_i = W x_i + sum_t g_t(i) A_t B_t x_i        g_t(i) = 1 where position i of the prompt is the token of t, else 0

x (B, S, D2) is the text that a layer of cross-attention reads. A prompt without the token is computed as if there were
no pair: what is added is 0 everywhere, and a number plus 0 has the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clora_core.models.low_rank import LowRankPairs

if TYPE_CHECKING:
    from clora_core.models.backbone import Conditioning

Where = tuple[Mapping[str, Tensor], Tensor]
"""Of one prompt or several: `positions` and `mask` of their `Conditioning`."""
Hook = Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]


class Gates:
    """Where tokens stand in the prompts that the denoiser reads."""

    def __init__(self) -> None:
        self._read: list[Where] = []  # those of the batch that is in the denoiser, in its order
        self._known: dict[int, list[Where]] = {}  # by address of the text, for layers that are computed again

    @contextmanager
    def reading(self, *prompts: Conditioning) -> Iterator[None]:
        """While open, the denoiser reads these prompts one below the other, or the last of them alone."""
        if not torch.is_grad_enabled():
            self.forget()
        self._read = [(each.positions, each.mask) for each in prompts]
        try:
            yield
        finally:
            self._read = []

    def forget(self) -> None:
        """No layer is computed again of what was read so far."""
        self._known.clear()

    def at(self, token: str, text: Tensor) -> Tensor | None:
        """(B, S, 1) bool, where the token stands in the text (B, S, D2) that a layer reads; None = nowhere.

        Checkpointing computes layers again when the denoiser has long read its prompts; then it is asked of the text
        that was read.
        """
        address = text.data_ptr()
        if self._read:
            self._known[address] = self._read
        prompts = self._known[address]
        if len(text) == len(prompts[-1][1]):  # without guidance the negative prompt is not read
            prompts = prompts[-1:]
        if not any(token in positions for positions, _ in prompts):
            return None
        there = [positions.get(token, torch.zeros_like(mask)) for positions, mask in prompts]
        return torch.cat(there).to(text.device)[..., None]

    def hook(self, token: str, a: Tensor, b: Tensor) -> Hook:
        """For a layer: adds A B x, (D1, r) and (r, D2), where the token stands; gradients reach A and B."""

        def add_pair(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            there = self.at(token, inputs[0])
            if there is None:
                return output
            low = F.linear(inputs[0].to(b.dtype), b) * there  # (B, S, r)
            return output + F.linear(low.to(a.dtype), a).to(output.dtype)

        return add_pair


class GatedPairs(LowRankPairs):
    """The pairs of a concept while it is learned, at its token alone."""

    def __init__(
        self, matrices: Mapping[str, nn.Linear], rank: int, generator: torch.Generator, gates: Gates, token: str
    ) -> None:
        super().__init__(matrices, rank, generator)
        self._gates, self._token = gates, token

    @contextmanager
    def attached(self) -> Iterator[None]:
        """While open, every adapted matrix computes with its pair where the token stands; gradients reach A and B."""
        self._gates.forget()
        with ExitStack() as stack:
            for name, (a, b) in self.pairs.items():
                handle = self._matrices[name].register_forward_hook(self._gates.hook(self._token, a, b))
                stack.callback(handle.remove)
            yield
