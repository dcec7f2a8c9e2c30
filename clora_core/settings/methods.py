"""The methods by name, and the settings in which each differs. Importing this module does not import torch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

METHOD_TITLES: Mapping[str, str] = MappingProxyType(
    {
        "clora": "C-LoRA",
        "sequential": "Sequential LoRA",
        "stacked": "Stacked LoRAs",
        "merged": "Merged LoRAs",
        "routed": "Routed LoRAs",
        "textual_inversion": "Textual Inversion",
        "custom_diffusion": "Custom Diffusion",
        "custom_diffusion_merge": "Custom Diffusion, merged",
        "ewc": "EWC",
        "generative_replay": "Generative replay",
        "dreambooth": "DreamBooth",
    }
)

METHOD_NAMES = tuple(METHOD_TITLES)
PENALISED = ("clora", "ewc")  # methods with a penalty, and so with a penalty weight

READ_BY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"penalty_weight": PENALISED, "replay_guidance": ("generative_replay",)}
)
"""Settings that only some methods read, as far as it matters which lines of results are the same."""

WITHOUT_LORA: Mapping[str, Any] = {"learning_rate": 5e-6, "token_learning_rate": 5e-6}

METHOD_SETTINGS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "textual_inversion": WITHOUT_LORA,
        "custom_diffusion": WITHOUT_LORA,
        "custom_diffusion_merge": WITHOUT_LORA,
        "dreambooth": WITHOUT_LORA,
        "ewc": {**WITHOUT_LORA, "penalty_weight": 1e6},
    }
)
"""Where the C-LoRA paper's settings of a method differ from the defaults of `TrainConfig`."""


def reads(method: str, setting: str) -> bool:
    """Whether ``method`` reads ``setting``, by `READ_BY`."""
    return method in READ_BY.get(setting, METHOD_NAMES)
