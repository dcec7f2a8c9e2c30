"""The nouns: what is taught, what was learned, in which order, with which settings.

Data only: frozen dataclasses, no model, no disk. Importing this module does not import torch.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clora_core.errors import ConceptError
from clora_core.settings.drawing import SamplingConfig as SamplingConfig
from clora_core.settings.learning import TrainConfig as TrainConfig
from clora_core.settings.methods import BUILT_IN, CLORA, MethodRow, Methods
from clora_core.settings.text import check_text

if TYPE_CHECKING:
    from torch import Tensor

OLD_EMBEDDING = "token_embedding"  # (d,), in older files: the embedding in the one table there was
OLD_TABLE = "clip"
TOKEN_PATTERN = re.compile(r"<[a-z0-9]+(?:[-_][a-z0-9]+)*>")
TOKEN_IN_TEXT = re.compile(r"<[^<>\s]*>")
NEAR = 0.75  # `difflib`'s ratio from which a word is taken for another one misspelt
MAX_TOKEN_LENGTH = 34  # with its brackets: what still reads well in a prompt
MAX_NAME_LENGTH = 60  # of a timeline or a concept: what still fits on a card and in a list
UNWRITABLE = ("Cc", "Cs")  # Unicode's control characters and halves of pairs: files do not hold them


# ----------------------------------------------------------------------------------------- names


def checked_name(name: str, what: str, example: str) -> str:
    """The name of a timeline or concept as it is kept: white space tidied, of MAX_NAME_LENGTH characters at most.

    what: "timeline".  example: a name as it could be.  Raises ConceptError for an empty, longer or unwritable one.
    """
    tidy = " ".join(name.split())
    if not tidy:
        raise ConceptError(f"The {what} has no name. Give it one, for example {example}.")
    if len(tidy) > MAX_NAME_LENGTH:
        raise ConceptError(
            f"The name of the {what} is {len(tidy)} characters long; keep it to {MAX_NAME_LENGTH} or fewer."
        )
    if any(unicodedata.category(letter) in UNWRITABLE for letter in tidy):
        raise ConceptError(f"The name of the {what} holds a character that cannot be shown. Type it anew.")
    return tidy


# ---------------------------------------------------------------------------------------- tokens


def slug(name: str) -> str:
    """`name` as lower-case ASCII words joined by '-': "Ilva Maron" -> "ilva-maron"; may be empty."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return "-".join(re.findall(r"[a-z0-9]+", plain.lower()))


def token_for_name(name: str) -> str:
    """The token proposed for a name: "Ilva Maron" -> "<ilva-maron>".

    Raises ConceptError when the name holds no letter or digit to build a token from.
    """
    words = slug(name)
    if not words:
        raise ConceptError(f"No token can be made from the name {name!r}. Type one yourself, for example <rex>.")
    return f"<{words[: MAX_TOKEN_LENGTH - 2].rstrip('-')}>"


def check_token(token: str, taken: Iterable[str] = ()) -> None:
    """Raise ConceptError when `token` is malformed or, ignoring case, among the `taken` ones.

    The tokenizer lower-cases added tokens, so <Dog> and <dog> would be one and the same.
    """
    if not TOKEN_PATTERN.fullmatch(token):
        raise ConceptError(
            f"{token!r} cannot be a token. Write lower-case letters and digits in angle brackets, "
            "words joined by '-' or '_', for example <rex> or <my-mug>."
        )
    if len(token) > MAX_TOKEN_LENGTH:
        raise ConceptError(
            f"The token {token} is {len(token)} characters long; keep it to {MAX_TOKEN_LENGTH} or fewer."
        )
    if token.lower() in {other.lower() for other in taken}:
        raise ConceptError(f"The token {token} is already taken in this timeline. Choose another one.")


def filled(template: str, token: str) -> str:
    """The prompt of a template: "a photo of {}" and "<rex>" give "a photo of <rex>". Other braces stay as they are: a
    template is users' text, or a file's, and never a format string."""
    return template.replace("{}", token)


def captioned(template: str, caption: str, token: str) -> str:
    """The template of a picture with a caption: ("a photo of {}", "in the snow") -> "a photo of {}, in the snow".

    A caption that holds "{}" or the token says the whole prompt, and is the template itself.
    """
    if not caption:
        return template
    whole = re.sub(re.escape(token), "{}", caption, flags=re.IGNORECASE)
    return whole if "{}" in whole else f"{template}, {caption}"


def tokens_in(text: str) -> tuple[str, ...]:
    """Everything in `text` that is written like a token, lower-cased, in order, each once."""
    return tuple(dict.fromkeys(found.lower() for found in TOKEN_IN_TEXT.findall(text)))


def nearest(word: str, known: Collection[str]) -> str:
    """The one of `known` that `word` may be meant for; "" = none looks like it."""
    return next(iter(get_close_matches(word, sorted(known), 1, NEAR)), "")


# -------------------------------------------------------------------------------------- concepts


@dataclass(frozen=True)
class Concept:
    """What the user wants taught. `template` is the training prompt, "{}" where the token goes; after the
    paper it has no word for the object: "a photo of {}", never "a photo of {} person"."""

    name: str
    token: str
    pictures: tuple[Path, ...]
    template: str = "a photo of {}"

    def __post_init__(self) -> None:
        """Raises ConceptError for an empty name, a malformed token or a template without one "{}", SettingsError for
        text that cannot be stored."""
        check_text(self.name, "name")
        check_text(self.template, "template")
        if not self.name.strip():
            raise ConceptError("The concept has no name. Give it one, for example Rex.")
        check_token(self.token)
        if self.template.count("{}") != 1:
            raise ConceptError(
                f"The template {self.template!r} must hold {{}} once, where the token goes: 'a photo of {{}}'."
            )


@dataclass(frozen=True)
class TrainStep:
    """What one update measured. `loss` is Eq. 1 alone, `penalty` is lambda * Eq. 3, `grad_norm` the length
    of the gradient before clipping, `seconds` the time learned so far without what the caller did between."""

    step: int
    total: int
    loss: float
    penalty: float
    grad_norm: float
    seconds: float

    @classmethod
    def from_json(cls, values: Any) -> TrainStep:
        """From what was written of one. Raises TypeError when that is none."""
        step = cls(**values)
        if not all(isinstance(value, int | float) for value in asdict(step).values()):
            raise TypeError(f"a step holds {values!r}"[:200])
        return step


@dataclass(frozen=True)
class Brought:
    """Where a concept is from that was not learned here: another programme's files.

    files: by name, their sha256.  left_out: how many matrices of the LoRA the concept does not have, by what they are
    of.  word: the word that its token means; "" = the token came along, as an embedding.
    """

    files: Mapping[str, str]
    left_out: Mapping[str, int] = field(default_factory=dict)
    word: str = ""

    @property
    def source(self) -> str:
        """The files, for people: "rex.safetensors"."""
        return " and ".join(self.files)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Brought:
        """The inverse of `asdict`; raises KeyError when it is none."""
        return cls(values["files"], values["left_out"], values["word"])


@dataclass(frozen=True, eq=False)
class LearnedConcept:
    """What learning leaves behind. Compared by identity: it holds tensors.

    factors: denoiser's module name -> (A (D1, r), B (r, D2)), fp32 on the CPU; the layer's delta weight is A B.
    deltas: denoiser's parameter name -> whole delta weight, fp32 on the CPU, of methods that are not low-rank.
    embeddings: token table's name -> the token's embedding there, (1, d), or (layers, d) where each layer reads its
    own, fp32 on the CPU.  memory: what the method must remember (nothing for C-LoRA).
    id: position and name, "002-mug".  created: ISO 8601 with time zone.
    pictures_sha256: ``PictureSet.sha256`` of what it was learned from; "" where that was not noted yet.
    picture_hashes: ``PictureSet.hashes`` of the same, to know them again by; () where those were not noted yet.
    brought: where it is from, if it was not learned here; then it has no pictures, curve and seconds, and `config`
    says its method and rank.
    """

    name: str
    token: str
    template: str
    factors: Mapping[str, tuple[Tensor, Tensor]]
    deltas: Mapping[str, Tensor]
    embeddings: Mapping[str, Tensor]
    memory: Mapping[str, Tensor]
    curve: tuple[TrainStep, ...]
    config: TrainConfig
    picture_count: int
    created: str
    seconds: float
    versions: Mapping[str, str]
    id: str
    pictures_sha256: str = ""
    picture_hashes: tuple[str, ...] = ()
    brought: Brought | None = None

    def to_json(self) -> dict[str, Any]:
        """Everything but the tensors, ready for `json.dumps`; the tensors are in `tensors()`."""
        return {
            "id": self.id,
            "name": self.name,
            "token": self.token,
            "template": self.template,
            "created": self.created,
            "seconds": self.seconds,
            "picture_count": self.picture_count,
            "pictures_sha256": self.pictures_sha256,
            "picture_hashes": list(self.picture_hashes),
            "config": self.config.to_json(),
            "versions": dict(self.versions),
            "curve": [asdict(step) for step in self.curve],
            **({"brought": asdict(self.brought)} if self.brought else {}),
        }

    def tensors(self) -> dict[str, Tensor]:
        """The tensors under flat names, as safetensors takes them: "factors.<layer>.A", "factors.<layer>.B",
        "deltas.<parameter>", "embeddings.<table>", "memory.<name>"."""
        flat = {f"embeddings.{table}": value for table, value in self.embeddings.items()}
        for layer, (a, b) in self.factors.items():
            flat[f"factors.{layer}.A"], flat[f"factors.{layer}.B"] = a, b
        flat |= {f"deltas.{name}": value for name, value in self.deltas.items()}
        return flat | {f"memory.{name}": value for name, value in self.memory.items()}

    @classmethod
    def from_json(
        cls, values: Mapping[str, Any], tensors: Mapping[str, Tensor], methods: Methods = BUILT_IN
    ) -> LearnedConcept:
        """The inverse of `to_json` and `tensors`; raises ConceptError when a part is missing,
        MissingMethodError when its method is not one of ``methods``."""
        try:
            plain = {key: values[key] for key in _PLAIN_FIELDS}
            layers = [name[8:-2] for name in tensors if name.startswith("factors.") and name.endswith(".A")]
            return cls(
                **plain,
                factors={layer: (tensors[f"factors.{layer}.A"], tensors[f"factors.{layer}.B"]) for layer in layers},
                deltas=_below("deltas.", tensors),
                embeddings=_embeddings(tensors),
                memory=_below("memory.", tensors),
                curve=tuple(TrainStep(**step) for step in values["curve"]),
                config=TrainConfig.from_json(values["config"], methods),
                pictures_sha256=values.get("pictures_sha256", ""),
                picture_hashes=tuple(values.get("picture_hashes", ())),
                brought=Brought.from_json(values["brought"]) if values.get("brought") else None,
            )
        except (KeyError, TypeError) as error:
            raise ConceptError(f"A stored concept is incomplete: {error}. Learn it again.") from error


def is_embedding(name: str) -> bool:
    """Whether a stored tensor of that name is an embedding of the token."""
    return name == OLD_EMBEDDING or name.startswith("embeddings.")


def _embeddings(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if OLD_EMBEDDING in tensors:
        return {OLD_TABLE: tensors[OLD_EMBEDDING][None]}
    return _below("embeddings.", tensors)


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


_PLAIN_FIELDS = (
    "id",
    "name",
    "token",
    "template",
    "created",
    "seconds",
    "picture_count",
    "versions",
)


def concept_id(position: int, name: str) -> str:
    """The id of the concept at a 1-based position: (2, "My Mug") -> "002-my-mug"."""
    return f"{position:03d}-{slug(name)[:40] or 'concept'}"


def same_base(one: str, other: str) -> bool:
    """Whether two fingerprints are of one base model: "<networks>.<rest>", see `models.description.fingerprint`. An
    older one is of the networks alone, and is taken for any rest."""
    if one == other or "." in one and "." in other:
        return one == other
    return one.split(".")[0] == other.split(".")[0]


@dataclass(frozen=True)
class Timeline:
    """The learned concepts in order of arrival, of one method on one base model. Never changed in place."""

    id: str
    name: str
    base_id: str
    method: MethodRow = CLORA
    concepts: tuple[LearnedConcept, ...] = ()

    @property
    def tokens(self) -> tuple[str, ...]:
        """The learned tokens, in order of arrival."""
        return tuple(concept.token for concept in self.concepts)

    def as_of(self, count: int) -> Timeline:
        """The timeline of its first `count` concepts, 0 = the base model; ConceptError out of range."""
        if not 0 <= count <= len(self.concepts):
            raise ConceptError(
                f"The timeline {self.name!r} has {len(self.concepts)} concepts; there is no point {count} in it."
            )
        return replace(self, concepts=self.concepts[:count])

    def then(self, learned: LearnedConcept) -> Timeline:
        """The timeline with one concept more. Raises ConceptError when its token is taken."""
        check_token(learned.token, self.tokens)
        return replace(self, concepts=(*self.concepts, learned))
