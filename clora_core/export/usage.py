"""How exported files are used elsewhere: the text that lies beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from clora_core.concepts import Timeline, filled
from clora_core.export.kohya import Family
from clora_core.export.parts import Part, stem_of
from clora_core.models.description import BaseModel
from clora_core.models.hub import hub_model

Word = Callable[[str], str]


def usage(
    timeline: Timeline,
    base: BaseModel,
    family: Family,
    parts: Sequence[Part],
    difference: float,
    proved: bool,
    lost: float = 0.0,
) -> str:
    """The whole text. difference: of the pictures of the proof, of the range of a pixel.  lost: see `export.Files`."""
    has_loras = any(part.summed for part in parts)
    copied = [
        "ComfyUI: loras/ into models/loras, embeddings/ into models/embeddings.",
        "A1111 and Forge: loras/ into models/Lora, embeddings/ into embeddings.",
        "InvokeAI: add every file in the model manager.",
    ]
    sections = [
        *_head(timeline, base, difference, proved, lost),
        "\n".join(copied),
        "Prompts. The strength of a LoRA is 1."
        if has_loras
        else "Prompts. Only tokens were learned: there is no LoRA.",
        _prompts("ComfyUI", parts, lambda stem: f"embedding:{stem}", "with loras/{}.safetensors in a node Load LoRA"),
        _prompts("A1111 and Forge", parts, lambda stem: stem, "with <lora:{}:1> in the prompt"),
        _prompts("InvokeAI", parts, lambda stem: f"<{stem}>", "with the LoRA {} switched on"),
        "In A1111 and Forge every word that is the name of an embedding's file means its token.",
        _diffusers(base, family, parts),
    ]
    if len(parts) > 1:
        sections.append("Each concept has a file of its own. For two in one picture switch both on.")
    return "\n\n".join(sections) + "\n"


def diffusers_usage(
    timeline: Timeline,
    base: BaseModel,
    family: Family,
    parts: Sequence[Part],
    difference: float,
    proved: bool,
    lost: float = 0.0,
) -> str:
    """The whole text of files in peft's spelling, for diffusers alone. difference, lost: as in `usage`."""
    others = "Other programmes may not read this spelling. For them export as LoRA and embeddings instead."
    return (
        "\n\n".join([*_head(timeline, base, difference, proved, lost), _diffusers(base, family, parts), others]) + "\n"
    )


def _head(timeline: Timeline, base: BaseModel, difference: float, proved: bool, lost: float) -> list[str]:
    """What the files are, and whether they are proved, or what a lower rank has cost."""
    read = "read by diffusers' own loaders, the files"
    if proved:
        proof = f"Proved: {read} draw what the Studio draws"
    elif lost:
        proof = f"Reduced: {read} draw other pictures than the Studio"
    else:
        proof = f"NOT PROVED: {read} do not draw what the Studio draws"
    at_this_rank = f"\nAt this rank {lost:.1%} of the weights is lost, by their norm." if lost else ""
    return [
        f"{timeline.name}, as of concept {len(timeline.concepts)}, learned with {timeline.method.title}",
        f"For the base model {base.name}, and no other (fingerprint {base.id}).\n"
        f"{proof} (a seeded picture, largest difference of a pixel {difference:.1e} of its range).{at_this_rank}",
    ]


def _prompts(programme: str, parts: Sequence[Part], word: Word, with_lora: str) -> str:
    """Each concept's own prompt, below the LoRA to draw it with. word: what stands for a token, by its file's stem."""
    lines = []
    for part in parts:
        lines.append(f"{programme}, {with_lora.format(part.name)}:" if part.summed else f"{programme}:")
        lines += [f"  {filled(concept.template, word(stem_of(concept.token)))}" for concept in part.drawn]
    return "\n".join(lines)


def _diffusers(base: BaseModel, family: Family, parts: Sequence[Part]) -> str:
    part = parts[-1]
    drawn = [(f"embeddings/{stem_of(concept.token)}.safetensors", concept.token) for concept in part.drawn]
    kind = "StableDiffusionXLPipeline" if family.is_xl else "StableDiffusionPipeline"
    lines = [
        "import torch",
        f"from diffusers import {kind}",
        *(["from safetensors.torch import load_file"] if family.is_xl else []),
        f"pipe = {kind}.{_opened(base)}",
        *([f'pipe.load_lora_weights("loras", weight_name="{part.name}.safetensors")'] if part.summed else []),
    ]
    if family.is_xl:
        readers = (("clip_l", ""), ("clip_g", "_2"))
        lines += [
            f'pipe.load_textual_inversion(load_file("{file}")["{name}"], token="{token}", '
            f"text_encoder=pipe.text_encoder{number}, tokenizer=pipe.tokenizer{number})"
            for file, token in drawn
            for name, number in readers
        ]
        lines.append("pipe.text_encoder_2.text_model.eos_token_id = pipe.tokenizer_2.eos_token_id  # the prompt's end")
    else:
        lines += [f'pipe.load_textual_inversion("{file}", token="{token}")' for file, token in drawn]
    lines.append(
        f"pipe({filled(part.drawn[-1].template, part.drawn[-1].token)!r}, "
        'generator=torch.Generator("cpu").manual_seed(0)).images[0].save("picture.png")'
    )
    return "\n".join(["diffusers, in Python:", *(f"  {line}" for line in lines)])


def _opened(base: BaseModel) -> str:
    """How diffusers opens the base model, just as it is here."""
    if Path(base.path).is_file():
        return f"from_single_file({base.path!r})"
    hub = hub_model(base.source)
    return f"from_pretrained({hub.id!r}, revision={hub.revision!r})" if hub else f"from_pretrained({base.path!r})"
