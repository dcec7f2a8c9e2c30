"""The settings of learning and drawing: every default, label, help text and bound, once.

The page and the command line read them from here: `dataclasses.fields(TrainConfig)`, and of each field
`.metadata`: "label", "help" and, where they apply, "minimum", "maximum", "choices".
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from clora_core.errors import SettingsError

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


def _setting(default: Any, label: str, help: str, **bounds: Any) -> Any:
    """A dataclass field that carries its label, its help and its bounds (minimum, maximum, choices)."""
    return field(default=default, metadata={"label": label, "help": help, **bounds})


def _check_number(name: str, value: Any, bounds: Mapping[str, Any]) -> None:
    low, high = bounds.get("minimum"), bounds.get("maximum")
    if not math.isfinite(value) or (low is not None and value < low) or (high is not None and value > high):
        span = f"at least {low}" if high is None else f"between {low} and {high}"
        raise SettingsError(f"The setting {name} must be {span}, got {value}.")


class Settings:
    """Common to the two settings classes: checked values, dict in, dict out."""

    def __post_init__(self) -> None:
        """Check type, bounds and choices of every field; raises SettingsError naming the setting."""
        for spec in fields(self):  # type: ignore[arg-type]
            value, kind = getattr(self, spec.name), type(spec.default)
            if kind is float and type(value) is int:
                value = float(value)
                object.__setattr__(self, spec.name, value)
            if type(value) is not kind:
                raise SettingsError(
                    f"The setting {spec.name} must be of type {kind.__name__}, got {value!r}."
                )
            choices = spec.metadata.get("choices")
            if choices and value not in choices:
                raise SettingsError(
                    f"The setting {spec.name} must be one of {', '.join(choices)}; got {value!r}."
                )
            if kind in (int, float):
                _check_number(spec.name, value, spec.metadata)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Settings from a mapping; missing keys keep their default, unknown ones raise SettingsError."""
        return cls().updated(values)

    def updated(self, values: Mapping[str, Any]) -> Self:
        """A copy with `values` in place; raises SettingsError on a key that is not a setting."""
        known = [spec.name for spec in fields(self)]  # type: ignore[arg-type]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise SettingsError(
                f"Unknown setting {', '.join(unknown)}. The settings are: {', '.join(known)}."
            )
        return replace(self, **values)  # type: ignore[type-var]

    def to_json(self) -> dict[str, Any]:
        """Plain values by name, ready for `json.dumps`; `from_dict` reads them back."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True)
class TrainConfig(Settings):
    """How one concept is learned. The defaults are the paper's for Stable Diffusion (its section 5):
    rank 16, learning rate 5e-4, lambda 1e8, 500 steps, 512 px, AdamW. What the paper leaves open follows
    Custom Diffusion's recipe, which it builds on: 2 pictures a step, random resizing, weight decay 0.01.
    """

    method: str = _setting(
        "clora",
        "Method",
        "How earlier concepts are protected. clora is the paper's C-LoRA; the others are baselines.",
        choices=METHOD_NAMES,
    )
    rank: int = _setting(
        16,
        "Rank",
        "Width r of the low-rank pair A B. Larger holds more detail and makes bigger files.",
        minimum=1,
        maximum=256,
    )
    learning_rate: float = _setting(
        5e-4,
        "Learning rate",
        "Step size for the low-rank pairs. Halve it when the loss jumps.",
        minimum=0.0,
        maximum=1.0,
    )
    token_learning_rate: float = _setting(
        5e-4, "Token learning rate", "Step size for the new token's embedding.", minimum=0.0, maximum=1.0
    )
    learning_rate_schedule: str = _setting(
        "constant",
        "Learning rate over time",
        "cosine falls to zero at the last step.",
        choices=("constant", "cosine"),
    )
    weight_decay: float = _setting(
        0.01,
        "Weight decay",
        "AdamW's pull of the trained weights towards zero. The token has none.",
        minimum=0.0,
        maximum=1.0,
    )
    penalty_weight: float = _setting(
        1e8,
        "Penalty weight (lambda)",
        "Lambda of the forgetting loss (of EWC's penalty with ewc): larger protects earlier concepts more and "
        "learns the new one less.",
        minimum=0.0,
    )
    token_start: str = _setting(
        "",
        "Token starts from",
        "A common word, such as person, whose embedding the token starts from. Empty is the paper's random start.",
    )
    object_word: str = _setting(
        "",
        "Object word in the prompt",
        "Put after the token while learning, as in 'a photo of <rex> dog'. The paper leaves it empty.",
    )
    prior_pictures: int = _setting(
        0,
        "Prior pictures",
        "Prior preservation: pictures of the prior prompt that the base model draws first and learns along. "
        "0 turns it off.",
        minimum=0,
        maximum=1000,
    )
    prior_prompt: str = _setting(
        "a photo of a person", "Prior prompt", "What the prior pictures show: the concept's class."
    )
    replay_pictures: int = _setting(
        8,
        "Replayed pictures",
        "With generative_replay: pictures of each earlier concept that the model draws and learns along.",
        minimum=1,
        maximum=1000,
    )
    replay_guidance: float = _setting(
        1.0,
        "Guidance of replayed pictures",
        "With generative_replay. 1 turns guidance off, and concepts are drawn as they were learned; above, colours and "
        "lines get stronger with every concept that learns from what the last one drew.",
        minimum=0.0,
        maximum=50.0,
    )
    prior_weight: float = _setting(
        1.0,
        "Weight of drawn pictures",
        "Weight of the loss on prior and replayed pictures beside that on the concept's own.",
        minimum=0.0,
    )
    steps: int = _setting(
        500,
        "Steps",
        "Updates to do. The paper takes 500 for places and 2000 for faces.",
        minimum=1,
        maximum=100_000,
    )
    timestep_shift: float = _setting(
        1.0,
        "Timestep shift",
        "Above 1, more of the noisy timesteps are learned from, where layout and colours are decided. 1 takes all alike, "
        "as the paper does.",
        minimum=0.1,
        maximum=20.0,
    )
    batch_size: int = _setting(2, "Batch size", "Pictures in each update.", minimum=1, maximum=256)
    resolution: int = _setting(
        512, "Resolution", "Side in pixels at which the pictures are learned.", minimum=32, maximum=2048
    )
    precision: str = _setting(
        "auto",
        "Precision",
        "Number format of the arithmetic. auto takes bf16 where the hardware computes in it, else fp32; "
        "fp16 needs a GPU.",
        choices=("auto", "fp32", "bf16", "fp16"),
    )
    gradient_clip: float = _setting(
        1.0,
        "Gradient clip",
        "Largest length of the gradient over all trained values; 0 turns it off.",
        minimum=0.0,
    )
    augment_copies: int = _setting(
        8,
        "Copies of each picture",
        "Views prepared of each picture before learning. The first is the picture itself.",
        minimum=1,
        maximum=64,
    )
    augment_share: float = _setting(
        0.67,
        "Share of resized copies",
        'How many of the further copies are drawn smaller ("far away") or closer ("close-up").',
        minimum=0.0,
        maximum=1.0,
    )
    flip: bool = _setting(
        False, "Mirror copies", "Also learn from mirrored copies. Leave off where left and right matter."
    )
    seed: int = _setting(
        0,
        "Seed",
        "The same seed, pictures and settings learn the same concept.",
        minimum=0,
        maximum=2**32 - 1,
    )
    preview_every_seconds: float = _setting(
        10.0,
        "Preview every (s)",
        "At least so many seconds of learning between two previews, more where drawing them is slow; 0 draws none.",
        minimum=0.0,
    )


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


def decisive(config: TrainConfig) -> dict[str, Any]:
    """As plain values, the settings that decide what is learned: without the time between previews, and without those
    the method does not read."""
    values = config.to_json()
    return {
        name: values[name]
        for name in values
        if name != "preview_every_seconds" and reads(config.method, name)
    }


@dataclass(frozen=True)
class SamplingConfig(Settings):
    """How pictures are drawn from a prompt."""

    steps: int = _setting(
        30, "Steps", "Denoising steps. More is slower and, up to a point, cleaner.", minimum=1, maximum=1000
    )
    guidance_scale: float = _setting(
        7.5,
        "Guidance",
        "How strictly the prompt is followed. 1 turns guidance off.",
        minimum=0.0,
        maximum=50.0,
    )
    guidance_rescale: float = _setting(
        0.0,
        "Guidance rescale",
        "Takes back the too strong contrast that guidance brings to models trained down to pure noise; 0.7 is usual "
        "for those, 0 turns it off (Lin et al. 2024, section 3.4).",
        minimum=0.0,
        maximum=1.0,
    )
    width: int = _setting(512, "Width", "Width of the picture in pixels.", minimum=32, maximum=4096)
    height: int = _setting(512, "Height", "Height of the picture in pixels.", minimum=32, maximum=4096)
    negative_prompt: str = _setting("", "Negative prompt", "What the picture should not show.")
    seed: int = _setting(
        0,
        "Seed",
        "Seed of the first picture; the others take the next numbers.",
        minimum=0,
        maximum=2**32 - 1,
    )
    pictures: int = _setting(1, "Pictures", "How many pictures to draw.", minimum=1, maximum=64)


HOME = Path("~/.clora-studio")


def home_folder(asked: Path | None) -> Path:
    """Where timelines and pictures live: the folder asked for, else $CLORA_HOME, else ``HOME``."""
    return (asked or Path(os.environ.get("CLORA_HOME") or HOME)).expanduser().resolve()
