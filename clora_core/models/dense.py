"""Whole weights of the denoiser while they are trained, for the methods that are not low-rank."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from clora_core.concepts import LearnedConcept
from clora_core.errors import SettingsError
from clora_core.models.backbone import Backbone
from clora_core.models.low_rank import Factors


class DenseWeights:
    """fp32 copies of chosen denoiser parameters, trained from where the installed timeline has them."""

    def __init__(self, backbone: Backbone, names: Sequence[str]) -> None:
        installation = backbone.installation
        if any(weight.dtype == torch.float8_e4m3fn for weight in map(backbone.denoiser.get_parameter, names)):
            raise SettingsError(
                "This method trains all weights of the model, and they are stored in 8 bits. Start the programme with "
                "another --precision, or choose another method."
            )
        self._pristine = {name: installation.pristine(name) for name in names}
        self.trained = {name: nn.Parameter(installation.weight(name)) for name in names}
        self._backbone = backbone

    def parameters(self) -> list[nn.Parameter]:
        """The trained copies, in order."""
        return list(self.trained.values())

    def changes(self) -> dict[str, Tensor]:
        """Trained minus pristine by parameter name, on the model's device; gradients reach the copies."""
        return {name: value - self._pristine[name] for name, value in self.trained.items()}

    def factors(self) -> Factors:
        """None: nothing here is low-rank."""
        return {}

    def deltas(self) -> dict[str, Tensor]:
        """``changes`` as they are now, fp32 on the CPU."""
        return {name: change.detach().cpu() for name, change in self.changes().items()}

    @contextmanager
    def attached(self) -> Iterator[None]:
        """While open, the denoiser computes with the copies in the place of its own parameters.

        In a denoiser of another precision than theirs, autocast makes the two fit.
        """
        device, dtype, denoiser = self._backbone.device.type, self._backbone.dtype, self._backbone.denoiser
        split = (name.rpartition(".") for name in self.trained)
        places = [(denoiser.get_submodule(owner), leaf) for owner, _, leaf in split]
        own = [getattr(module, leaf) for module, leaf in places]
        try:
            for (module, leaf), copy in zip(places, self.trained.values(), strict=True):
                setattr(module, leaf, copy)
            with torch.autocast(device, dtype, enabled=dtype != torch.float32):
                yield
        finally:
            for (module, leaf), parameter in zip(places, own, strict=True):
                setattr(module, leaf, parameter)


def last_deltas(concepts: Sequence[LearnedConcept], _: Mapping[str, nn.Linear]) -> dict[str, Tensor]:
    """What the last concept left: it was trained on top of all earlier ones, so it holds them too."""
    return dict(concepts[-1].deltas)
