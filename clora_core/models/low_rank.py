"""Low-rank adapters: learned as pairs, folded once learned.

Eq. 2 of C-LoRA, for every matrix of the backbone that may be adapted (W^K and W^V of cross-attention):

    W_t = W_init + sum_{t'<t} A_t' B_t' + A_t B_t          A (D1, r), B (r, D2), no alpha/r factor

D1 = out_features and D2 = in_features, as `torch.nn.Linear` stores W.

Why not peft here: measured with peft 0.21 on the embedded model (14 matrices, rank 16, batch 4, one thread) it learns
the same bits as fast (0.71 and 0.77 s a step in two runs, 0.71 and 0.73 s with the hooks), and `disable_adapters`
gives the plain model's bits back in 4 ms. But it replaces the modules and leaves the wrappers when its adapter is
deleted, so `to_k.weight` is `to_k.base_layer.weight` from then on for all who know a matrix by its
name; and `hotswap` only puts values into an adapter that is there, which learning never needs. A forward hook
costs 0.07 ms a step and is gone after it: between steps, and whatever stops the learning, the model is a plain model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Factors = Mapping[str, tuple[Tensor, Tensor]]


class LowRankPairs:
    """The pair A_t, B_t of every adapted matrix while it is learned: fp32 parameters.

    A starts at zero and B uniform in +-1/sqrt(D2) (LoRA's own start), so A B = 0 before the first step; or
    both where an earlier pair ended (``start``).
    """

    def __init__(
        self,
        matrices: Mapping[str, nn.Linear],
        rank: int,
        generator: torch.Generator,
        start: Factors | None = None,
    ) -> None:
        self._matrices = dict(matrices)
        self.pairs: dict[str, tuple[nn.Parameter, nn.Parameter]] = {}
        for name, linear in self._matrices.items():
            bound = 1.0 / math.sqrt(linear.in_features)
            b = torch.empty(rank, linear.in_features).uniform_(-bound, bound, generator=generator)
            a = torch.zeros(linear.out_features, rank)
            a, b = (value.clone() for value in start[name]) if start else (a, b)
            device = linear.weight.device
            self.pairs[name] = (nn.Parameter(a.to(device)), nn.Parameter(b.to(device)))

    def parameters(self) -> list[nn.Parameter]:
        """A and B of each matrix in order, as a list."""
        return [parameter for pair in self.pairs.values() for parameter in pair]

    def factors(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Copies of the pairs as they are now, fp32 on the CPU."""
        return {name: (_copy(a), _copy(b)) for name, (a, b) in self.pairs.items()}

    def deltas(self) -> dict[str, Tensor]:
        """None: everything here is low-rank."""
        return {}

    @contextmanager
    def attached(self) -> Iterator[None]:
        """While open, every adapted matrix computes x W^T + (x B^T) A^T; gradients reach A and B."""
        with ExitStack() as stack:
            for name, (a, b) in self.pairs.items():
                handle = self._matrices[name].register_forward_hook(_pair_hook(a, b))
                stack.callback(handle.remove)
            yield


def _pair_hook(a: Tensor, b: Tensor) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    def add_pair(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        low = F.linear(inputs[0].to(b.dtype), b)  # (B, 77, r)
        return output + F.linear(low.to(a.dtype), a).to(output.dtype)  # (B, 77, D1)

    return add_pair


def _copy(parameter: Tensor) -> Tensor:
    return parameter.detach().to("cpu", torch.float32, copy=True)
