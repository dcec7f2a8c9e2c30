"""A timeline as a whole model in diffusers' layout: what was learned is in its weights, its tokens in its tokenizer."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from clora_core.concepts import SamplingConfig, Timeline, filled
from clora_core.errors import SettingsError
from clora_core.export.parts import NOTHING, only_here
from clora_core.export.prove import Picture, drawn
from clora_core.methods import class_of
from clora_core.models.description import BaseModel
from clora_core.models.pipeline import PipelineBackbone
from clora_core.models.precision import DTYPES
from clora_core.models.tokens import TokenTable

FOLDER = "model"
NO_RANK = "A whole model has no rank to be reduced to. Export LoRAs, or leave the rank out."


class Merged:
    """model/, which opens as any model does. See `export.Files`.

    Of every method that draws all prompts with the same weights, whole weights included.
    """

    lost = 0.0

    def __init__(
        self, backbone: PipelineBackbone, timeline: Timeline, base: BaseModel, dtype: str, rank: int = 0
    ) -> None:
        """Raises SettingsError: nothing is learned, each prompt has weights of its own, or a rank is asked for."""
        if rank:
            raise SettingsError(NO_RANK)
        if not timeline.concepts:
            raise SettingsError(NOTHING)
        if timeline.method.gated:
            raise SettingsError(only_here(timeline.method))
        self._backbone: PipelineBackbone | None = backbone
        self._timeline, self._base, self._dtype = timeline, base, DTYPES[dtype]
        self._always, last = backbone.always, timeline.concepts[-1]
        self.prompts: tuple[str, ...] = (filled(last.template, " ".join(timeline.tokens)),)
        method, weights = class_of(timeline.method), []
        for concept in timeline.concepts:
            method.install(backbone, timeline, filled(concept.template, concept.token))
            weights.append(backbone.installation.deltas)
        if any(other is not weights[0] for other in weights):
            raise SettingsError(
                f"{timeline.method.title} draws each concept with weights of its own, and a model has one set. Export "
                "it as LoRAs: they can be switched."
            )

    def write(self, place: Path) -> None:
        backbone, self._backbone = self._backbone, None
        assert backbone is not None
        class_of(self._timeline.method).install(backbone, self._timeline, self.prompts[0])
        folder, pipe = place / FOLDER, backbone.pipe
        pipe.save_config(folder)  # model_index.json
        instead: dict[Any, Any] = {}  # by what the pipeline has: what is saved in its place
        for name, (tokenizer, text_encoder) in backbone.readers().items():
            instead[tokenizer] = backbone.tables[name].tokenizer
            instead[text_encoder] = _with_words(text_encoder, backbone.tables[name])
        for name, part in pipe.components.items():
            if part is None:
                continue
            part = instead.get(part, part)
            if isinstance(part, nn.Module) and part.dtype != self._dtype:
                part = copy.deepcopy(part).to(self._dtype)
            part.save_pretrained(folder / name)

    def model(self, place: Path) -> str:
        return str(place / FOLDER)

    def draw(self, fresh: PipelineBackbone, settings: SamplingConfig) -> dict[str, Picture]:
        negative = settings.negative_prompt
        return {prompt: drawn(fresh, settings, prompt=prompt, negative_prompt=negative) for prompt in self.prompts}

    def usage(self, difference: float, proved: bool) -> str:
        said = "Proved" if proved else "NOT PROVED"
        concepts = [filled(concept.template, concept.token) for concept in self._timeline.concepts]
        others = " For ComfyUI, A1111 and Forge take the LoRAs instead." if self._base.takes_loras else ""
        always = "".join(f", {name}={value!r}" for name, value in self._always.items())
        lines = [
            f"{self._timeline.name}, as of concept {len(concepts)}, learned with {self._timeline.method.title}",
            f"A whole model, made from {self._base.name}; its licence holds for this one, too.",
            f"{said}: loaded from these files it draws what the Studio draws (a seeded picture, largest difference of "
            f"a pixel {difference:.1e} of its range).",
            f"Programmes that read folders in diffusers' layout open model/ as it is.{others}",
            "diffusers, in Python:\n"
            "  from diffusers import AutoPipelineForText2Image\n"
            '  pipe = AutoPipelineForText2Image.from_pretrained("model")\n'
            f'  pipe({concepts[-1]!r}{always}).images[0].save("picture.png")',
            "\n".join(["Prompts:", *(f"  {prompt}" for prompt in concepts)]),
        ]
        return "\n\n".join(lines) + "\n"


def _with_words(text_encoder: PreTrainedModel, table: TokenTable) -> PreTrainedModel:
    """A copy whose config knows the tokens in place."""
    made = copy.deepcopy(text_encoder)
    made.config.vocab_size = len(table.embedding.weight)
    made.config.eos_token_id = table.tokenizer.eos_token_id  # else the end is read at a learned token
    return made
