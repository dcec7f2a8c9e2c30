"""What another programme has learned as a concept: pairs of its LoRA, and an embedding of its token."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from torch import Tensor

from clora_core.bring.embedding_file import read_embedding
from clora_core.bring.lora_file import check_left_out, read_lora
from clora_core.bring.opened import digest
from clora_core.bring.pairs import read_pairs
from clora_core.concepts import Brought, Concept, LearnedConcept
from clora_core.errors import ModelError
from clora_core.models.backbone import Backbone
from clora_core.models.description import BaseModel
from clora_core.models.stable_diffusion import StableDiffusion
from clora_core.settings.fields import labelled
from clora_core.settings.methods import LowRankOptions, MethodRow

LIBRARIES = ("torch", "diffusers", "peft", "safetensors")


def brought_concept(
    backbone: Backbone,
    base: BaseModel,
    method: MethodRow,
    concept: Concept,
    lora: Path | None,
    embedding: Path | None,
    word: str = "",
    leave_out: bool = False,
) -> LearnedConcept:
    """The concept that these files hold, for a timeline of `method`, as far as `check_asked` lets pass.

    Without an embedding the token means `word`: the mean of its pieces in each token table.

    Raises ConceptError: a file cannot be read, is of a kind that cannot be held, or is not for this base model; or the
    LoRA holds more than a concept can, and `leave_out` is not set.  ModelError: the base model is no Stable Diffusion.
    """
    if not isinstance(backbone, StableDiffusion):
        raise ModelError(f"{base.name} is no Stable Diffusion 1.x, 2.x or XL, and only those take LoRAs so far.")
    factors: dict[str, tuple[Tensor, Tensor]] = {}
    left_out: dict[str, int] = {}
    if lora:
        found = read_lora(lora)
        check_left_out(found.contents, leave_out)
        factors, left_out = read_pairs(found, backbone), dict(found.contents.left_out)
    if embedding:
        embeddings = read_embedding(embedding, backbone.tables)
    else:
        embeddings = {name: table.word_start(word) for name, table in backbone.tables.items()}
    files = {file.name: digest(file) for file in (lora, embedding) if file}
    return LearnedConcept(
        name=concept.name,
        token=concept.token,
        template=concept.template,
        factors=factors,
        deltas={},
        embeddings=embeddings,
        memory={},
        curve=(),
        config=base.train_with({"method": method.name, **_shape(factors, method)}),
        picture_count=0,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=0.0,
        versions={library: version(library) for library in LIBRARIES},
        id="",
        brought=Brought(files, left_out, "" if embedding else word),
    )


def _shape(factors: Mapping[str, tuple[Tensor, Tensor]], method: MethodRow) -> dict[str, str | int]:
    """Rank and what is adapted, as settings of the method: the highest rank, as far as it may be set."""
    if not factors or not issubclass(method.options, LowRankOptions):
        return {}
    most = labelled(method.options)["rank"].metadata["maximum"]
    rank = min(max(len(b) for _, b in factors.values()), most)
    ends = {name.rpartition(".to_")[2] for name in factors}
    return {"rank": rank, "adapts": "qkvo" if "out.0" in ends else "qkv" if "q" in ends else "kv"}
