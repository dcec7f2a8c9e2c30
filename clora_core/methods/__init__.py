"""The continual methods, by name."""

from __future__ import annotations

from clora_core.errors import SettingsError
from clora_core.methods.base import Method
from clora_core.methods.clora import CLora
from clora_core.methods.custom_diffusion import CustomDiffusion
from clora_core.methods.custom_diffusion_merge import CustomDiffusionMerge
from clora_core.methods.dreambooth import DreamBooth
from clora_core.methods.ewc import EWC
from clora_core.methods.generative_replay import GenerativeReplay
from clora_core.methods.merged import Merged
from clora_core.methods.routed import Routed
from clora_core.methods.sequential import Sequential
from clora_core.methods.stacked import Stacked
from clora_core.methods.textual_inversion import TextualInversion

__all__ = ["METHODS", "Method", "method_named"]

METHODS: tuple[type[Method], ...] = (
    CLora,
    Sequential,
    Stacked,
    Merged,
    Routed,
    TextualInversion,
    CustomDiffusion,
    CustomDiffusionMerge,
    EWC,
    GenerativeReplay,
    DreamBooth,
)


def method_named(name: str) -> type[Method]:
    """The method of that name; raises SettingsError naming the known ones."""
    for method in METHODS:
        if method.name == name:
            return method
    raise SettingsError(f"Unknown method {name!r}. Known: {', '.join(method.name for method in METHODS)}.")
