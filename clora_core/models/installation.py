"""Which concepts a base model holds now: weights are rebuilt from pristine copies, never patched back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from clora_core.concepts import LearnedConcept
from clora_core.errors import ConceptError
from clora_core.models.gates import Gates
from clora_core.models.tokens import TokenTable


def sum_of_deltas(concepts: Sequence[LearnedConcept], matrices: Mapping[str, nn.Linear]) -> dict[str, Tensor]:
    """P = sum_t A_t B_t by parameter name, dense (D1, D2), fp32, added in order of arrival.

    Of the matrices those for which a concept has a pair.

    The fixed order and precision make the same concepts give the same bits on the same machine.
    Raises ConceptError when a concept's factors do not fit the matrices.
    """
    sums: dict[str, Tensor] = {}
    for concept in concepts:
        for name, (a, b) in concept.factors.items():
            if name not in matrices or (a.shape[0], b.shape[1]) != tuple(matrices[name].weight.shape):
                raise _misfit(concept, name)
            if name not in sums:
                sums[name] = torch.zeros_like(matrices[name].weight, dtype=torch.float32)
            device = sums[name].device
            sums[name] += a.to(device, torch.float32) @ b.to(device, torch.float32)
    return {f"{name}.weight": sums[name] for name in matrices if name in sums}


Combine = Callable[[Sequence[LearnedConcept], Mapping[str, nn.Linear]], dict[str, Tensor]]


class Installation:
    """Which concepts a base model holds at the moment, and the pristine weights to rebuild from.

    Every change goes W = cast(W_init + delta) from fp32 copies, so installing a shorter timeline is exact:
    nothing is ever subtracted, and the empty timeline gives the base model back byte for byte.
    """

    def __init__(
        self, denoiser: nn.Module, matrices: Mapping[str, nn.Linear], tables: Mapping[str, TokenTable]
    ) -> None:
        """The denoiser and the tables are pristine, and nobody else changes them. matrices: what pairs may be of."""
        self._matrices, self._tables = matrices, tables
        self._parameters = dict(denoiser.named_parameters())
        self._pristine: dict[str, Tensor] = {}  # of the parameters that were ever changed
        # W - W_init as installed, by parameter, fp32; not to be written to
        self.deltas: dict[str, Tensor] = {}
        self._folded: tuple[tuple[LearnedConcept, ...] | None, Combine] = ((), sum_of_deltas)
        self.gates, self._gated = Gates(), ExitStack()  # what is to be taken off again

    @property
    def summed(self) -> tuple[LearnedConcept, ...] | None:
        """The concepts whose pairs make the installed weights, W = W_init + sum_t A_t B_t, in order; () for the base
        model's own. None where the weights came about in another way."""
        concepts, combine = self._folded
        return concepts if combine is sum_of_deltas or not concepts else None

    def pristine(self, name: str) -> Tensor:
        """The base model's own value of a denoiser's parameter, fp32, on its device; not to be written to."""
        if name not in self._pristine:
            self._pristine[name] = self._parameters[name].detach().to(torch.float32, copy=True)
        return self._pristine[name]

    def weight(self, name: str) -> Tensor:
        """A copy of a denoiser's parameter as installed, fp32, before it was cast to the model's precision."""
        if name in self.deltas:
            return self.pristine(name) + self.deltas[name]
        return self.pristine(name).clone()

    def install(
        self,
        concepts: Sequence[LearnedConcept],
        reserve: str | None = None,
        folded: Sequence[LearnedConcept] | None = None,
        combine: Combine = sum_of_deltas,
        gated: Sequence[LearnedConcept] = (),
    ) -> None:
        """Make the model draw with exactly these concepts; () gives the base model back.

        concepts: whose tokens are known.  reserve: a further token to make room for, that of the concept
        being learned.  folded: whose weights count (None: of all `concepts`).  combine: how these make one
        delta for each changed parameter.  gated: whose pairs act at their own tokens alone. Costs nothing when the same
        is in place already. Raises ConceptError when a concept does not fit the base model.
        """
        for concept in concepts:
            if concept.embeddings.keys() != self._tables.keys():
                raise _misfit(concept, "of token embeddings")
        wanted = tuple(concepts if folded is None else folded)
        now, how = self._folded
        if now is None or not (_same(now, wanted) and (how is combine or not wanted)):
            deltas = combine(wanted, self._matrices) if wanted else {}
            self._check(deltas, wanted)
            self._folded = (None, combine)  # until it is done: an error must not leave half as whole
            self._put(deltas)
            self._folded = (wanted, combine)
        self._gate(gated)
        for name, table in self._tables.items():
            rows: dict[str, Tensor | None] = {concept.token: concept.embeddings[name] for concept in concepts}
            table.install(rows | ({reserve: None} if reserve else {}))

    def _gate(self, concepts: Sequence[LearnedConcept]) -> None:
        self._gated.close()
        for concept in concepts:
            for name, (a, b) in concept.factors.items():
                matrix = self._matrices.get(name)
                if matrix is None or (a.shape[0], b.shape[1]) != tuple(matrix.weight.shape):
                    raise _misfit(concept, name)
                pair = (value.to(matrix.weight.device, torch.float32) for value in (a, b))
                self._gated.callback(matrix.register_forward_hook(self.gates.hook(concept.token, *pair)).remove)

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
