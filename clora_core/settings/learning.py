"""How a concept is learned: every default, label, help text and bound, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, replace
from typing import Any, Self

from clora_core.errors import SettingsError
from clora_core.settings.fields import Settings, labelled, setting
from clora_core.settings.memory import SIZES
from clora_core.settings.methods import BUILT_IN, CLORA, MethodRow, Methods

GROUPS = {
    "own": "What this method alone reads",
    "effort": "How long, and how strongly",
    "shown": "How the pictures are shown",
    "words": "The words it is learned with",
    "along": "Other pictures, learned along",
    "machine": "Speed, memory and chance",
}
"""What the settings are about, in the order in which they are shown. What a method alone reads is "own"."""

ASIDE = frozenset({"preview_every_seconds", "preview_prompt", "memory"})
"""The settings of what is looked at meanwhile and of the room there is, which do not decide what is learned."""


@dataclass(frozen=True)
class TrainConfig(Settings):
    """How one concept is learned: the method, what it alone reads (`options`), and what all methods read.

    The defaults are the paper's for Stable Diffusion (its section 5): C-LoRA, rank 16, learning rate 5e-4, lambda 1e8,
    500 steps, 512 px, AdamW. What the paper leaves open follows Custom Diffusion's recipe, which it builds on: 2
    pictures a step, random resizing, weight decay 0.01.

    As plain values it is one flat mapping, options and all:

        TrainConfig.from_dict({"method": "ewc", "penalty_weight": 1e6, "steps": 100})
    """

    method: MethodRow = CLORA
    options: Settings = field(default=None)  # type: ignore[assignment]  # None: the method's, with their defaults
    steps: int = setting(
        500,
        "Steps",
        "Updates to do. The paper takes 500 for places and 2000 for faces.",
        minimum=1,
        maximum=100_000,
        group="effort",
    )
    learning_rate: float = setting(
        5e-4,
        "Learning rate",
        "Step size for the weights. Halve it when the loss jumps.",
        minimum=0.0,
        maximum=1.0,
        group="effort",
    )
    token_learning_rate: float = setting(
        5e-4,
        "Token learning rate",
        "Step size for the new token's embedding.",
        minimum=0.0,
        maximum=1.0,
        group="effort",
    )
    learning_rate_schedule: str = setting(
        "constant",
        "Learning rate over time",
        "cosine falls to zero at the last step.",
        choices=("constant", "cosine"),
        group="effort",
    )
    weight_decay: float = setting(
        0.01,
        "Weight decay",
        "AdamW's pull of the trained weights towards zero. The token has none.",
        minimum=0.0,
        maximum=1.0,
        group="effort",
    )
    token_start: str = setting(
        "",
        "Token starts from",
        "A common word, such as person, whose embedding the token starts from. Empty is the paper's random start.",
        group="words",
    )
    object_word: str = setting(
        "",
        "Object word in the prompt",
        "Put after the token while learning, as in 'a photo of <rex> dog'. The paper leaves it empty.",
        group="words",
    )
    prior_pictures: int = setting(
        0,
        "Prior pictures",
        "Prior preservation: pictures of the prior prompt that the base model draws first and learns along. "
        "0 turns it off.",
        minimum=0,
        maximum=1000,
        group="along",
    )
    prior_prompt: str = setting(
        "a photo of a person", "Prior prompt", "What the prior pictures show: the concept's class.", group="along"
    )
    prior_weight: float = setting(
        1.0,
        "Weight of drawn pictures",
        "Weight of the loss on prior and replayed pictures beside that on the concept's own.",
        minimum=0.0,
        group="along",
    )
    timestep_shift: float = setting(
        1.0,
        "Timestep shift",
        "Above 1, more of the noisy timesteps are learned from, where layout and colours are decided. 1 takes all "
        "alike, "
        "as the paper does.",
        minimum=0.1,
        maximum=20.0,
        group="effort",
    )
    batch_size: int = setting(2, "Batch size", "Pictures in each update.", minimum=1, maximum=256, group="machine")
    resolution: int = setting(
        512, "Resolution", "Side in pixels at which the pictures are learned.", minimum=32, maximum=2048, group="shown"
    )
    precision: str = setting(
        "auto",
        "Precision",
        "Number format of the arithmetic. auto takes bf16 where the hardware computes in it, else fp32; "
        "fp16 needs a GPU.",
        choices=("auto", "fp32", "bf16", "fp16"),
        group="machine",
    )
    memory: str = setting(
        "auto",
        "Memory",
        "What learning may take, in GB: as on a card of that size. auto goes by what is free here, all saves nothing. "
        "What does not fit is made to, at the price of time.",
        choices=("auto", *SIZES, "all"),
        group="machine",
    )
    gradient_clip: float = setting(
        1.0,
        "Gradient clip",
        "Largest length of the gradient over all trained values; 0 turns it off.",
        minimum=0.0,
        group="effort",
    )
    augment_copies: int = setting(
        8,
        "Copies of each picture",
        "Views prepared of each picture before learning. The first is the picture itself.",
        minimum=1,
        maximum=64,
        group="shown",
    )
    augment_share: float = setting(
        0.67,
        "Share of resized copies",
        'How many of the further copies are drawn smaller ("far away") or closer ("close-up").',
        minimum=0.0,
        maximum=1.0,
        group="shown",
    )
    flip: bool = setting(
        False, "Mirror copies", "Also learn from mirrored copies. Leave off where left and right matter.", group="shown"
    )
    seed: int = setting(
        0,
        "Seed",
        "The same seed, pictures and settings learn the same concept.",
        minimum=0,
        maximum=2**32 - 1,
        group="machine",
    )
    preview_every_seconds: float = setting(
        10.0,
        "Preview every (s)",
        "At least so many seconds of learning between two previews, more where drawing them is slow; 0 draws none.",
        minimum=0.0,
        group="machine",
    )
    preview_prompt: str = setting(
        "",
        "Preview prompt",
        "Drawn while it learns, {} for the new token: 'a sketch of {} next to <ada>'. Empty is a photo of it alone.",
        group="shown",
    )

    def __post_init__(self) -> None:
        """Also raises SettingsError for options of another method."""
        if self.options is None:
            object.__setattr__(self, "options", self.method.options())
        if type(self.options) is not self.method.options:
            raise SettingsError(
                f"{type(self.options).__name__} are not the options of {self.method.title}: "
                f"those are {self.method.options.__name__}."
            )
        super().__post_init__()

    def specs(self) -> dict[str, Field[Any]]:
        """The method's own, then what all methods read."""
        return {**self.options.specs(), **labelled(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], methods: Methods = BUILT_IN) -> Self:
        """From a flat mapping in which somebody chose; missing keys keep their default.

        Raises SettingsError naming the known ones for an unknown method or a setting that it does not read.
        """
        own = {name: value for name, value in values.items() if name != "method"}
        return cls(methods.named(values.get("method", CLORA.name))).updated(own)

    @classmethod
    def from_json(cls, values: Mapping[str, Any], methods: Methods = BUILT_IN) -> Self:
        """The inverse of `to_json`. What the method does not read is left out: records were once of all options.

        Raises MissingMethodError for a method that is not one of ``methods``.
        """
        stored = dict(values)
        plain = cls(methods.stored(stored.get("method", CLORA.name)))
        return plain.updated({name: value for name, value in stored.items() if name in plain.specs()})

    def to_json(self) -> dict[str, Any]:
        """One flat mapping of plain values: the method's name, its options, what all read."""
        return {"method": self.method.name, **self.options.to_json(), **super().to_json()}

    def under(self, method: MethodRow) -> Self:
        """The same under another method: options that both have keep their values, the others get the default."""
        own = {name: value for name, value in self.options.to_json().items() if name in labelled(method.options)}
        return replace(self, method=method, options=method.options().updated(own))

    def _known(self) -> str:
        return f"The settings of {self.method.title} are"

    def _replaced(self, values: Mapping[str, Any]) -> Self:
        own, common = self.options.specs(), labelled(self)
        options = self.options.updated({name: value for name, value in values.items() if name in own})
        return replace(self, options=options, **{name: value for name, value in values.items() if name in common})


def decisive(config: TrainConfig) -> dict[str, Any]:
    """As plain values, the settings that decide what is learned."""
    return {name: value for name, value in config.to_json().items() if name not in ASIDE}
