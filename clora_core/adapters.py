"""Low-rank adapters on the cross-attention keys and values: learned as pairs, folded once learned.

Eq. 2 of C-LoRA, for every W^K and W^V of the U-Net's cross-attention, and nothing else:

    W_t = W_init + sum_{t'<t} A_t' B_t' + A_t B_t          A (D1, r), B (r, D2), no alpha/r factor

D1 = out_features and D2 = in_features, as `torch.nn.Linear` stores W.

Why not peft here: peft replaces the modules, so drawing a preview between two steps would mean unloading
and injecting 32 wrappers each time. A forward hook adds the pair while a step runs and is gone after it,
so between steps, and whatever stops the learning, the model is a plain model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn
from torch.nn import functional as F

from clora_core.concepts import LearnedConcept
from clora_core.errors import ConceptError, ModelError
from clora_core.tokens import TokenTable

Factors = Mapping[str, tuple[Tensor, Tensor]]


def cross_attention_matrices(unet: nn.Module) -> dict[str, nn.Linear]:
    """W^K and W^V of every cross-attention layer, by module name, in the U-Net's own order.

    Found by module type, not by name, so that SD 1.x, 2.x and SDXL U-Nets work unchanged.
    Raises ModelError when the U-Net has no cross-attention.
    """
    found = {
        f"{name}.{side}": getattr(module, side)
        for name, module in unet.named_modules()
        if isinstance(module, Attention) and module.is_cross_attention
        for side in ("to_k", "to_v")
    }
    if not found:
        raise ModelError("This base model's U-Net has no cross-attention, so it cannot be taught by text.")
    return found


def sum_of_deltas(concepts: Sequence[LearnedConcept], matrices: Mapping[str, nn.Linear]) -> dict[str, Tensor]:
    """P = sum_t A_t B_t by parameter name, for every matrix, dense (D1, D2), fp32, added in order of arrival.

    The fixed order and precision make the same concepts give the same bits on the same machine.
    Raises ConceptError when a concept's factors do not fit the matrices.
    """
    sums = {name: torch.zeros_like(linear.weight, dtype=torch.float32) for name, linear in matrices.items()}
    for concept in concepts:
        for name, (a, b) in concept.factors.items():
            if name not in sums or (a.shape[0], b.shape[1]) != tuple(sums[name].shape):
                raise _misfit(concept, name)
            device = sums[name].device
            sums[name] += a.to(device, torch.float32) @ b.to(device, torch.float32)
    return {f"{name}.weight": total for name, total in sums.items()}


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


def _pair_hook(a: Tensor, b: Tensor) -> Any:
    def add_pair(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        low = F.linear(inputs[0].to(b.dtype), b)  # (B, 77, r)
        return output + F.linear(low.to(a.dtype), a).to(output.dtype)  # (B, 77, D1)

    return add_pair


def _copy(parameter: Tensor) -> Tensor:
    return parameter.detach().to("cpu", torch.float32, copy=True)


Combine = Callable[[Sequence[LearnedConcept], Mapping[str, nn.Linear]], dict[str, Tensor]]


class Installation:
    """Which concepts a pipeline holds at the moment, and the pristine weights to rebuild from.

    Every change goes W = cast(W_init + delta) from fp32 copies, so installing a shorter timeline is exact:
    nothing is ever subtracted, and the empty timeline gives the base model back byte for byte.
    """

    def __init__(self, pipe: Any) -> None:
        self.matrices = cross_attention_matrices(pipe.unet)
        self._parameters = dict(pipe.unet.named_parameters())
        self._pristine: dict[str, Tensor] = {}  # of the parameters that were ever changed
        self.tokens = TokenTable(pipe)
        # W - W_init as installed, by parameter, fp32; not to be written to
        self.deltas: dict[str, Tensor] = {}
        self._folded: tuple[tuple[LearnedConcept, ...] | None, Combine] = ((), sum_of_deltas)

    @classmethod
    def of(cls, pipe: Any) -> Installation:
        """The pipeline's one installation, made at first sight of the (then pristine) pipeline.

        It is kept on the U-Net, whose weights it describes, so that it lives and dies with it.
        """
        found = getattr(pipe.unet, "clora_installation", None)
        if not isinstance(found, cls):
            found = cls(pipe)
            pipe.unet.clora_installation = found
        return found

    def pristine(self, name: str) -> Tensor:
        """The base model's own value of a U-Net parameter, fp32, on its device; not to be written to."""
        if name not in self._pristine:
            self._pristine[name] = self._parameters[name].detach().to(torch.float32, copy=True)
        return self._pristine[name]

    def weight(self, name: str) -> Tensor:
        """A copy of a U-Net parameter as installed, fp32, before it was cast to the model's precision."""
        if name in self.deltas:
            return self.pristine(name) + self.deltas[name]
        return self.pristine(name).clone()

    def install(
        self,
        pipe: Any,
        concepts: Sequence[LearnedConcept],
        reserve: str | None = None,
        folded: Sequence[LearnedConcept] | None = None,
        combine: Combine = sum_of_deltas,
    ) -> None:
        """Make the pipeline draw with exactly these concepts; () gives the base model back.

        concepts: whose tokens are known.  reserve: a further token to make room for, that of the concept
        being learned.  folded: whose weights count (None: of all `concepts`).  combine: how these make one
        delta for each changed parameter. Costs nothing when the same is in place already.
        Raises ConceptError when a concept does not fit the base model.
        """
        wanted = tuple(concepts if folded is None else folded)
        now, how = self._folded
        if now is None or not (_same(now, wanted) and (how is combine or not wanted)):
            deltas = combine(wanted, self.matrices) if wanted else {}
            self._check(deltas, wanted)
            self._folded = (None, combine)  # until it is done: an error must not leave half as whole
            self._put(deltas)
            self._folded = (wanted, combine)
        rows = {concept.token: concept.token_embedding for concept in concepts}
        self.tokens.install(pipe, rows | ({reserve: None} if reserve else {}))

    def _check(self, deltas: Mapping[str, Tensor], folded: Sequence[LearnedConcept]) -> None:
        for name, delta in deltas.items():
            if name not in self._parameters or delta.shape != self._parameters[name].shape:
                raise _misfit(folded[-1], name)

    def _put(self, deltas: Mapping[str, Tensor]) -> None:
        before, self.deltas = self.deltas, {**self.deltas, **deltas}  # all that may be touched
        with torch.no_grad():
            for name in {**before, **deltas}:
                weight, pristine = self._parameters[name], self.pristine(name)
                weight.copy_(pristine + deltas[name].to(weight.device) if name in deltas else pristine)
        self.deltas = {name: delta.to(self._parameters[name].device) for name, delta in deltas.items()}


def _misfit(concept: LearnedConcept, layer: str) -> ConceptError:
    return ConceptError(
        f"The concept {concept.token} was learned on another base model: its layer {layer} "
        "does not fit this one. Open the base model it was learned on."
    )


def _same(left: Sequence[LearnedConcept], right: Sequence[LearnedConcept]) -> bool:
    return len(left) == len(right) and all(one is other for one, other in zip(left, right, strict=True))
