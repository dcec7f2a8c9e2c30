"""What a timeline is as LoRA files: which pairs count when each of its concepts is drawn.

The method says it by what it installs: where every prompt draws with the same pairs there is one file, where the
prompt decides there is one a concept, and where weights are no sum of pairs there is none.
"""

from __future__ import annotations

from dataclasses import dataclass

from clora_core.concepts import LearnedConcept, Timeline, filled
from clora_core.errors import SettingsError
from clora_core.methods import class_of
from clora_core.models.backbone import Backbone
from clora_core.settings.methods import MethodRow

NOTHING = "No concept is learned at this point, so there is nothing to export."


def whole_weights(method: MethodRow) -> str:
    """Why a method that changes weights by more than pairs A B cannot be exported as LoRAs, as a sentence."""
    return f"{method.title} changes whole weights, and a LoRA file holds low-rank pairs only. Export the whole model."


def only_here(method: MethodRow) -> str:
    """Why a method that acts at tokens alone cannot be exported as LoRAs or as a model, as a sentence."""
    return (
        f"{method.title} act where a token stands, and no LoRA and no plain model does. Export the timeline itself, "
        "for a C-LoRA Studio elsewhere."
    )


def no_loras(base: str) -> str:
    """Why LoRAs of a family are not written, as a sentence. base: the model's name."""
    return (
        f"diffusers reads no LoRAs and no embeddings into {base}, so nothing could prove such files. Export the whole "
        "model."
    )


@dataclass(frozen=True)
class Part:
    """One LoRA file. name: its stem.  drawn: the concepts to be drawn with it.  summed: those whose pairs it holds, in
    order; () where tokens alone were learned, and no file is needed."""

    name: str
    drawn: tuple[LearnedConcept, ...]
    summed: tuple[LearnedConcept, ...]

    @property
    def prompt(self) -> str:
        """One prompt with every token of `drawn`."""
        return filled(self.drawn[-1].template, " ".join(concept.token for concept in self.drawn))


def stem_of(token: str) -> str:
    """The name of a token's file: "<rex>" -> "rex"."""
    return token[1:-1]


def parts_of(backbone: Backbone, timeline: Timeline) -> list[Part]:
    """The LoRA files of the model as it is at the end of `timeline`; leaves its last concept's weights installed.

    Raises SettingsError when there is no concept, or the method changes weights by more than pairs A B, or by those at
    tokens alone.
    """
    if not timeline.concepts:
        raise SettingsError(NOTHING)
    if timeline.method.gated:
        raise SettingsError(only_here(timeline.method))
    found: dict[tuple[LearnedConcept, ...], list[LearnedConcept]] = {}
    for concept in timeline.concepts:
        class_of(timeline.method).install(backbone, timeline, filled(concept.template, concept.token))
        summed = backbone.installation.summed
        if summed is None:
            raise SettingsError(whole_weights(timeline.method))
        found.setdefault(tuple(each for each in summed if each.factors), []).append(concept)
    ends = [str(len(timeline.concepts))] if len(found) == 1 else [stem_of(drawn[0].token) for drawn in found.values()]
    return [
        Part(f"{timeline.id}-{end}", tuple(drawn), summed)
        for end, (summed, drawn) in zip(ends, found.items(), strict=True)
    ]
