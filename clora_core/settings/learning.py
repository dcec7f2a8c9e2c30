"""How a concept is learned: every default, label, help text and bound, once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clora_core.settings.fields import Settings, setting
from clora_core.settings.methods import METHOD_NAMES, reads


@dataclass(frozen=True)
class TrainConfig(Settings):
    """How one concept is learned. The defaults are the paper's for Stable Diffusion (its section 5):
    rank 16, learning rate 5e-4, lambda 1e8, 500 steps, 512 px, AdamW. What the paper leaves open follows
    Custom Diffusion's recipe, which it builds on: 2 pictures a step, random resizing, weight decay 0.01.
    """

    method: str = setting(
        "clora",
        "Method",
        "How earlier concepts are protected. clora is the paper's C-LoRA; the others are baselines.",
        choices=METHOD_NAMES,
    )
    rank: int = setting(
        16,
        "Rank",
        "Width r of the low-rank pair A B. Larger holds more detail and makes bigger files.",
        minimum=1,
        maximum=256,
    )
    learning_rate: float = setting(
        5e-4,
        "Learning rate",
        "Step size for the low-rank pairs. Halve it when the loss jumps.",
        minimum=0.0,
        maximum=1.0,
    )
    token_learning_rate: float = setting(
        5e-4, "Token learning rate", "Step size for the new token's embedding.", minimum=0.0, maximum=1.0
    )
    learning_rate_schedule: str = setting(
        "constant",
        "Learning rate over time",
        "cosine falls to zero at the last step.",
        choices=("constant", "cosine"),
    )
    weight_decay: float = setting(
        0.01,
        "Weight decay",
        "AdamW's pull of the trained weights towards zero. The token has none.",
        minimum=0.0,
        maximum=1.0,
    )
    penalty_weight: float = setting(
        1e8,
        "Penalty weight (lambda)",
        "Lambda of the forgetting loss (of EWC's penalty with ewc): larger protects earlier concepts more and "
        "learns the new one less.",
        minimum=0.0,
    )
    token_start: str = setting(
        "",
        "Token starts from",
        "A common word, such as person, whose embedding the token starts from. Empty is the paper's random start.",
    )
    object_word: str = setting(
        "",
        "Object word in the prompt",
        "Put after the token while learning, as in 'a photo of <rex> dog'. The paper leaves it empty.",
    )
    prior_pictures: int = setting(
        0,
        "Prior pictures",
        "Prior preservation: pictures of the prior prompt that the base model draws first and learns along. "
        "0 turns it off.",
        minimum=0,
        maximum=1000,
    )
    prior_prompt: str = setting(
        "a photo of a person", "Prior prompt", "What the prior pictures show: the concept's class."
    )
    replay_pictures: int = setting(
        8,
        "Replayed pictures",
        "With generative_replay: pictures of each earlier concept that the model draws and learns along.",
        minimum=1,
        maximum=1000,
    )
    replay_guidance: float = setting(
        1.0,
        "Guidance of replayed pictures",
        "With generative_replay. 1 turns guidance off, and concepts are drawn as they were learned; above, colours and "
        "lines get stronger with every concept that learns from what the last one drew.",
        minimum=0.0,
        maximum=50.0,
    )
    prior_weight: float = setting(
        1.0,
        "Weight of drawn pictures",
        "Weight of the loss on prior and replayed pictures beside that on the concept's own.",
        minimum=0.0,
    )
    steps: int = setting(
        500,
        "Steps",
        "Updates to do. The paper takes 500 for places and 2000 for faces.",
        minimum=1,
        maximum=100_000,
    )
    timestep_shift: float = setting(
        1.0,
        "Timestep shift",
        "Above 1, more of the noisy timesteps are learned from, where layout and colours are decided. 1 takes all "
        "alike, "
        "as the paper does.",
        minimum=0.1,
        maximum=20.0,
    )
    batch_size: int = setting(2, "Batch size", "Pictures in each update.", minimum=1, maximum=256)
    resolution: int = setting(
        512, "Resolution", "Side in pixels at which the pictures are learned.", minimum=32, maximum=2048
    )
    precision: str = setting(
        "auto",
        "Precision",
        "Number format of the arithmetic. auto takes bf16 where the hardware computes in it, else fp32; "
        "fp16 needs a GPU.",
        choices=("auto", "fp32", "bf16", "fp16"),
    )
    gradient_clip: float = setting(
        1.0,
        "Gradient clip",
        "Largest length of the gradient over all trained values; 0 turns it off.",
        minimum=0.0,
    )
    augment_copies: int = setting(
        8,
        "Copies of each picture",
        "Views prepared of each picture before learning. The first is the picture itself.",
        minimum=1,
        maximum=64,
    )
    augment_share: float = setting(
        0.67,
        "Share of resized copies",
        'How many of the further copies are drawn smaller ("far away") or closer ("close-up").',
        minimum=0.0,
        maximum=1.0,
    )
    flip: bool = setting(
        False, "Mirror copies", "Also learn from mirrored copies. Leave off where left and right matter."
    )
    seed: int = setting(
        0,
        "Seed",
        "The same seed, pictures and settings learn the same concept.",
        minimum=0,
        maximum=2**32 - 1,
    )
    preview_every_seconds: float = setting(
        10.0,
        "Preview every (s)",
        "At least so many seconds of learning between two previews, more where drawing them is slow; 0 draws none.",
        minimum=0.0,
    )


def decisive(config: TrainConfig) -> dict[str, Any]:
    """As plain values, the settings that decide what is learned: without the time between previews, and without those
    the method does not read."""
    values = config.to_json()
    return {name: values[name] for name in values if name != "preview_every_seconds" and reads(config.method, name)}
