"""One row a method: what it is called, what it is, what it reads, and what holds of it. No torch.

General code asks the row; only a row's own class, in `clora_core.methods`, knows how the method learns. A method of
somebody else's is one row more (`clora_core.settings.plugins`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clora_core.errors import MissingMethodError, SettingsError
from clora_core.settings.fields import Settings, setting

# ----------------------------------------------------------------------------- what a method reads of its own


@dataclass(frozen=True)
class NoOptions(Settings):
    """Of a method that reads nothing but what all methods read."""


@dataclass(frozen=True)
class PairOptions(Settings):
    """Of a method that learns low-rank pairs A B."""

    rank: int = setting(
        16,
        "Rank",
        "Width r of the low-rank pair A B. Larger holds more detail and makes bigger files.",
        minimum=1,
        maximum=256,
    )


@dataclass(frozen=True)
class LowRankOptions(PairOptions):
    """Of one that adds them to whole matrices."""

    adapts: str = setting(
        "kv",
        "What is adapted",
        "In cross-attention: kv is its keys and values, as in the paper; qkv its queries, too; qkvo all its matrices.",
        choices=("kv", "qkv", "qkvo"),
    )


@dataclass(frozen=True)
class PenaltyOptions(Settings):
    """Of a method that adds a penalty to the loss."""

    penalty_weight: float = setting(
        1e8,
        "Penalty weight (lambda)",
        "Lambda, the weight of the penalty: larger protects earlier concepts more and learns the new one less.",
        minimum=0.0,
    )


@dataclass(frozen=True)
class CLoraOptions(PenaltyOptions, LowRankOptions):
    """Rank and lambda."""


@dataclass(frozen=True)
class ReplayOptions(LowRankOptions):
    """Rank, and how earlier concepts are drawn again."""

    replay_pictures: int = setting(
        8,
        "Replayed pictures",
        "Pictures of each earlier concept that the model draws and learns along.",
        minimum=1,
        maximum=1000,
    )
    replay_guidance: float = setting(
        1.0,
        "Guidance of replayed pictures",
        "1 turns guidance off, and concepts are drawn as they were learned; above, colours and lines get stronger with "
        "every concept that learns from what the last one drew.",
        minimum=0.0,
        maximum=50.0,
    )


# ---------------------------------------------------------------------------------------------------- the row


@dataclass(frozen=True)
class Paper:
    """Where a method was published."""

    authors: str
    venue: str
    arxiv: str


@dataclass(frozen=True)
class MethodRow:
    """All that is known of a method without loading it.

    name: in files and on the command line.  title, sentence: for people.  implementation: its class, a `Method` of
    `clora_core.methods.base`, or "module:Class", imported when it is needed.  options: what it alone reads.
    preset: where its paper's settings, or the C-LoRA paper's for it, differ from the defaults.
    continues: a concept's weights hold those of all earlier ones, too.  alone: set where concepts are learned on the
    base model alone: alike under all methods with this word.  steady: later concepts leave every picture of an earlier
    one as it was, bit for bit.  penalised: adds a penalty to the loss from the second concept on.  anchored: learning
    needs the weights of every earlier concept, though the last one's hold them all.  weightless: learns tokens only,
    so that `learning_rate` is without effect.  gated: its weights act where a token stands, which is no plain model.
    pace: how long learning takes beside C-LoRA, as `seconds_a_concept` of docs/results has it.
    """

    name: str
    title: str
    sentence: str
    implementation: str | type
    options: type[Settings] = NoOptions
    paper: Paper | None = None
    preset: Mapping[str, Any] = field(default_factory=dict)
    continues: bool = False
    alone: str = ""
    steady: bool = False
    penalised: bool = False
    anchored: bool = False
    weightless: bool = False
    gated: bool = False
    pace: float = 1.0

    @property
    def keeps_pairs(self) -> bool:
        """Whether every concept keeps a low-rank pair of its own, so that one from elsewhere can stand among them."""
        return issubclass(self.options, LowRankOptions) and not self.continues


@dataclass(frozen=True)
class Methods:
    """The methods that are known, in order. Whoever opens a Studio makes one (`known_methods`), and it is passed on.

    files: those that methods were read from, besides the built-in and the installed ones.
    """

    rows: tuple[MethodRow, ...]
    files: tuple[Path, ...] = ()

    def __iter__(self) -> Iterator[MethodRow]:
        return iter(self.rows)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as how it was made: another process cannot import a class that was read from a file."""
        from clora_core.settings.plugins import known_methods

        return known_methods, (self.files,)

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, in order."""
        return tuple(row.name for row in self.rows)

    def find(self, name: str) -> MethodRow | None:
        """The row of that name, or None."""
        return next((row for row in self.rows if row.name == name), None)

    def named(self, name: str) -> MethodRow:
        """The row of that name; raises SettingsError naming the known ones."""
        row = self.find(name)
        if row is None:
            raise SettingsError(f"Unknown method {name!r}. Known: {', '.join(self.names)}.")
        return row

    def stored(self, name: str) -> MethodRow:
        """The row that a record names; raises MissingMethodError when it is not installed."""
        row = self.find(name)
        if row is None:
            raise MissingMethodError(
                f"The method {name} is not installed. Install it, or give its file with --method-file."
            )
        return row

    def title(self, name: str) -> str:
        """What people call the method; the name itself of one that is not known here."""
        row = self.find(name)
        return row.title if row else name


# -------------------------------------------------------------------------------------------------- the table

LORA = Paper("Hu et al.", "ICLR 2022", "2106.09685")
WITHOUT_LORA = {"learning_rate": 5e-6}
"""The C-LoRA paper's, for weights. It prints the same for tokens, but in its 500 steps that moves none away from where
it began: by 0.0025 at most, and the numbers of Stable Diffusion's table are 0.014 wide."""

CLORA = MethodRow(
    name="clora",
    title="C-LoRA",
    sentence="Each concept gets a low-rank pair of its own, held off the weights that earlier concepts use.",
    implementation="clora_core.methods.clora:CLora",
    options=CLoraOptions,
    paper=Paper("Smith et al.", "TMLR 2024", "2304.06027"),
    penalised=True,
)
SEQUENTIAL = MethodRow(
    name="sequential",
    title="Sequential LoRA",
    sentence="One low-rank pair is trained on and on; later concepts overwrite earlier ones.",
    implementation="clora_core.methods.sequential:Sequential",
    options=LowRankOptions,
    paper=LORA,
    continues=True,
)
STACKED = MethodRow(
    name="stacked",
    title="Stacked LoRAs",
    sentence="Each concept gets a low-rank pair on top of the earlier ones: C-LoRA without its forgetting loss.",
    implementation="clora_core.methods.stacked:Stacked",
    options=LowRankOptions,
    paper=LORA,
)
MERGED = MethodRow(
    name="merged",
    title="Merged LoRAs",
    sentence="Each concept is learned on the base model alone, and all are summed to draw.",
    implementation="clora_core.methods.merged:Merged",
    options=LowRankOptions,
    paper=LORA,
    alone="low-rank pairs",
)
ROUTED = MethodRow(
    name="routed",
    title="Routed LoRAs",
    sentence="Each concept is learned on the base model alone, and only those named in the prompt are switched on.",
    implementation="clora_core.methods.routed:Routed",
    options=LowRankOptions,
    paper=LORA,
    alone="low-rank pairs",
    steady=True,
)
GATED = MethodRow(
    name="gated",
    title="Gated LoRAs",
    sentence="Each concept's low-rank pair acts where its own token stands in the prompt, and nowhere else.",
    implementation="clora_core.methods.gated:Gated",
    options=PairOptions,
    paper=Paper("Peng et al.", "2025", "2508.08812"),
    alone="gated pairs",
    steady=True,
    gated=True,
)
TEXTUAL_INVERSION = MethodRow(
    name="textual_inversion",
    title="Textual Inversion",
    sentence="Only the token's embedding is learned: no weight changes, so nothing is forgotten.",
    implementation="clora_core.methods.textual_inversion:TextualInversion",
    paper=Paper("Gal et al.", "ICLR 2023", "2208.01618"),
    alone="tokens",
    steady=True,
    weightless=True,
)
CUSTOM_DIFFUSION = MethodRow(
    name="custom_diffusion",
    title="Custom Diffusion",
    sentence="All keys and values of cross-attention are trained on and on, and nothing is protected.",
    implementation="clora_core.methods.custom_diffusion:CustomDiffusion",
    paper=Paper("Kumari et al.", "CVPR 2023", "2212.04488"),
    preset=WITHOUT_LORA,
    continues=True,
)
CUSTOM_DIFFUSION_MERGE = MethodRow(
    name="custom_diffusion_merge",
    title="Custom Diffusion, merged",
    sentence="Keys and values are learned for each concept alone, and merged in closed form to draw.",
    implementation="clora_core.methods.custom_diffusion_merge:CustomDiffusionMerge",
    paper=Paper("Kumari et al.", "CVPR 2023", "2212.04488"),
    preset=WITHOUT_LORA,
    alone="whole matrices",
)
EWC = MethodRow(
    name="ewc",
    title="EWC",
    sentence="As Custom Diffusion, but weights that mattered to earlier concepts are held back.",
    implementation="clora_core.methods.ewc:EWC",
    options=PenaltyOptions,
    paper=Paper("Kirkpatrick et al.", "PNAS 2017", "1612.00796"),
    preset={**WITHOUT_LORA, "penalty_weight": 1e6},
    continues=True,
    penalised=True,
    anchored=True,
)
GENERATIVE_REPLAY = MethodRow(
    name="generative_replay",
    title="Generative replay",
    sentence="One low-rank pair is trained on and on, along with pictures the model draws of every earlier concept.",
    implementation="clora_core.methods.generative_replay:GenerativeReplay",
    options=ReplayOptions,
    paper=Paper("Shin et al.", "NeurIPS 2017", "1705.08690"),
    continues=True,
    pace=2.4,  # it draws, and learns twice as many pictures
)
DREAMBOOTH = MethodRow(
    name="dreambooth",
    title="DreamBooth",
    sentence="Every weight of the U-Net is trained on and on, and nothing is protected.",
    implementation="clora_core.methods.dreambooth:DreamBooth",
    paper=Paper("Ruiz et al.", "CVPR 2023", "2208.12242"),
    preset=WITHOUT_LORA,
    continues=True,
    pace=1.6,  # every weight has a gradient
)

BUILT_IN = Methods(
    (
        CLORA,
        SEQUENTIAL,
        STACKED,
        MERGED,
        ROUTED,
        GATED,
        TEXTUAL_INVERSION,
        CUSTOM_DIFFUSION,
        CUSTOM_DIFFUSION_MERGE,
        EWC,
        GENERATIVE_REPLAY,
        DREAMBOOTH,
    )
)
"""The methods that come with the programme."""
