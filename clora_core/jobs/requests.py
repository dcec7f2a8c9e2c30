"""What may be asked for, as values: ``Studio`` takes them, job.json keeps them, the worker reads them.

Whoever makes one has already checked its parts: a ``Concept`` and the settings refuse what is wrong with them when they
are made. ``Studio`` checks them against the timeline and the model, once; after that they are believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import PlainSerializer, PlainValidator, TypeAdapter, ValidationError, ValidationInfo

from clora_core.concepts import Concept
from clora_core.errors import MissingMethodError, SettingsError, StoreError, StudioError
from clora_core.settings.drawing import SamplingConfig
from clora_core.settings.grid import Axis
from clora_core.settings.learning import TrainConfig
from clora_core.settings.methods import BUILT_IN, Methods
from clora_core.settings.strength import check_strengths
from clora_core.settings.text import check_text

ExportFormat = Literal["kohya", "peft", "diffusers"]


# settings read and write themselves: they know which names they had before
def _config(values: Mapping[str, Any], info: ValidationInfo) -> TrainConfig:
    methods: Methods = info.context  # type: ignore[assignment]  # `from_json` gives it
    return TrainConfig.from_json(values, methods)


Learning = Annotated[TrainConfig, PlainValidator(_config), PlainSerializer(TrainConfig.to_json)]
Drawing = Annotated[SamplingConfig, PlainValidator(SamplingConfig.from_dict), PlainSerializer(SamplingConfig.to_json)]


class Request:
    """Common to the requests: to JSON and back, by their types."""

    def to_json(self) -> dict[str, Any]:
        """A dict of plain JSON values."""
        values: dict[str, Any] = self._converter().dump_python(self, mode="json")
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any], methods: Methods = BUILT_IN) -> Self:
        """The inverse of ``to_json``; what is missing keeps its default. Raises StoreError saying what is wrong,
        MissingMethodError for a method that is not one of ``methods``."""
        try:
            request: Self = cls._converter().validate_python(values, context=methods)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "request"
            raise StoreError(f"What was asked for cannot be read ({place}: {first['msg']}).") from error
        except MissingMethodError:
            raise
        except (StudioError, TypeError) as error:  # a concept or settings that refuse, or that are none
            raise StoreError(f"What was asked for cannot be read ({str(error).rstrip('.')}).") from error
        return request

    @classmethod
    @cache
    def _converter(cls) -> TypeAdapter[Any]:
        return TypeAdapter(cls)


@dataclass(frozen=True)
class LearnRequest(Request):
    """Learn ``concept`` at the end of a timeline.

    keep_pictures: they are stored with the concept, else deleted when the job ends.
    comparison: id of the comparison that this is a part of; "" = none.
    show_real: one small picture of them is kept with the concept, to be shown beside what is drawn.
    even_diverged: it stays in the timeline even when it diverged, where what a method does is to be seen.
    place: how many concepts the timeline must have when its turn comes, for what is queued before its past is learned.

    In a job's folder ``concept.pictures`` are names below ``Job.uploads``.
    """

    kind: ClassVar[str] = "learn"
    timeline_id: str
    concept: Concept
    config: Learning
    keep_pictures: bool = False
    comparison: str = ""
    place: int | None = None
    show_real: bool = False
    even_diverged: bool = False


@dataclass(frozen=True)
class DrawRequest(Request):
    """Draw pictures of ``prompt``.

    as_of: with the first so many concepts only (0 = base model); None = all.
    strengths: by token, how much of what a concept learned counts; see ``clora_core.drawing.strength``.
    axes: for a grid, what varies from left to right, and from top to bottom; () = plain pictures.
    """

    kind: ClassVar[str] = "draw"
    timeline_id: str
    prompt: str
    settings: Drawing
    as_of: int | None = None
    strengths: Mapping[str, float] = field(default_factory=dict)
    axes: tuple[Axis, ...] = ()

    def __post_init__(self) -> None:
        """Raises SettingsError for a text that cannot be stored, or a strength out of bounds."""
        check_text(self.prompt, "prompt")
        object.__setattr__(self, "strengths", check_strengths(self.strengths))


@dataclass(frozen=True)
class ExportRequest(Request):
    """Write the model as of its first ``as_of`` concepts (None = all) as files for other programmes.

    dtype: of the numbers.  folder: a new one to be written; None = one in the home, and a zip beside it.  format:
    "kohya" = LoRAs and embeddings; "peft" = the same in peft's keys; "diffusers" = a whole model.  rank: what LoRAs are
    reduced to; 0 = nothing is lost.
    """

    kind: ClassVar[str] = "export"
    timeline_id: str
    as_of: int | None = None
    dtype: Literal["fp32", "fp16"] = "fp32"
    folder: Path | None = None
    format: ExportFormat = "kohya"
    rank: int = 0

    def __post_init__(self) -> None:
        """Raises SettingsError for a rank below 0."""
        if self.rank < 0:
            raise SettingsError(f"The rank {self.rank} is none. Give 1 or more, or 0 to keep all.")


@dataclass(frozen=True)
class BringRequest(Request):
    """Bring what another programme has learned to the end of a timeline, as a concept.

    concept: name, token and template; no pictures.  lora, embedding: .safetensors files, one of them at least.  word:
    what the token means where there is no embedding.  leave_out: bring a LoRA without what a concept cannot hold.
    """

    kind: ClassVar[str] = "bring"
    timeline_id: str
    concept: Concept
    lora: Path | None = None
    embedding: Path | None = None
    word: str = ""
    leave_out: bool = False

    def __post_init__(self) -> None:
        """Raises SettingsError for text that cannot be stored."""
        check_text(self.word, "word")


@dataclass(frozen=True)
class CompareRequest(Request):
    """Learn a timeline's concepts again under each of ``methods``, in new timelines.

    pictures: by token, those of concepts for which none are at hand.
    """

    timeline_id: str
    methods: tuple[str, ...]
    pictures: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
