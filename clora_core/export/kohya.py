"""A LoRA file in kohya's spelling, which ComfyUI, A1111, Forge, InvokeAI and diffusers all read.

    lora_up = [A_1 ... A_n] (D1, R)    lora_down = [B_1; ...; B_n] (R, D2)    R = sum_t r_t    alpha = R

so that lora_up lora_down alpha / R = sum_t A_t B_t: the stack of pairs is one LoRA, and concept t has the ranks
[r_1 + ... + r_{t-1}, r_1 + ... + r_t).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional

from clora_core.concepts import LearnedConcept, Timeline
from clora_core.export.parts import Part, stem_of
from clora_core.models.description import BaseModel
from clora_core.models.stable_diffusion import StableDiffusion
from clora_core.models.stable_diffusion_xl import StableDiffusionXL

BLOCK = re.compile(r"(down|mid|up)_blocks?\.(?:(\d+)\.)?attentions\.(\d+)\.(.*)")
V2_WIDTH = 1024  # D2 of Stable Diffusion 2.x; 1.x has 768


@dataclass(frozen=True)
class Family:
    """Which Stable Diffusion a file is for. version: in kohya's word.  architecture: in the model specification's.
    parts_a_block: of SDXL, whose layers kohya's scripts name as its first repository did; None = as diffusers does."""

    version: str
    architecture: str
    parts_a_block: int | None = None

    @property
    def is_v2(self) -> bool:
        """Stable Diffusion 2.x."""
        return self.version.startswith("sd_v2")

    @property
    def is_xl(self) -> bool:
        """SDXL."""
        return self.parts_a_block is not None

    def layer(self, name: str) -> str:
        """A layer by kohya's name, from diffusers' one.

        In SDXL blocks are numbered through: "down_blocks.1.attentions.0.x" -> "lora_unet_input_blocks_4_1_x".
        """
        found = BLOCK.fullmatch(name)
        if self.parts_a_block and found:
            side, block, number, rest = found.groups()
            place = int(block or 0) * self.parts_a_block + int(number)
            start = {"down": f"input_blocks.{1 + place}", "mid": "middle_block", "up": f"output_blocks.{place}"}[side]
            name = f"{start}.1.{rest}"
        return f"lora_unet_{name.replace('.', '_')}"


def family_of(backbone: StableDiffusion) -> Family:
    """By its kind, the width of its text and what it predicts."""
    if isinstance(backbone, StableDiffusionXL):
        parts = backbone.pipe.unet.config.layers_per_block + 1
        return Family("sdxl_base_v1-0", "stable-diffusion-xl-v1-base", parts)
    predicts_v = backbone.noise_scheduler.config.prediction_type == "v_prediction"
    if next(iter(backbone.matrices.values())).in_features != V2_WIDTH:
        return Family("sd_v1_v" if predicts_v else "sd_v1", "stable-diffusion-v1")
    if predicts_v:
        return Family("sd_v2_v", "stable-diffusion-v2-768-v")
    return Family("sd_v2", "stable-diffusion-v2-512")


def lora_tensors(summed: tuple[LearnedConcept, ...], family: Family, dtype: torch.dtype) -> dict[str, Tensor]:
    """The pairs of the concepts, stacked in their order, by kohya's names."""
    tensors = {}
    for layer, (a, b) in {layer: pair for concept in summed for layer, pair in concept.factors.items()}.items():
        pairs = [_wide(concept.factors.get(layer) or _nothing(a, b), _rank_of(concept)) for concept in summed]
        up, down = torch.cat([a for a, _ in pairs], 1), torch.cat([b for _, b in pairs], 0)  # (D1, R), (R, D2)
        name = family.layer(layer)
        tensors[f"{name}.lora_up.weight"] = up.to(dtype).contiguous()
        tensors[f"{name}.lora_down.weight"] = down.to(dtype).contiguous()
        tensors[f"{name}.alpha"] = torch.tensor(float(down.shape[0]))
    return tensors


def _rank_of(concept: LearnedConcept) -> int:
    """The highest of its layers: what came from elsewhere may have many."""
    return max((len(b) for _, b in concept.factors.values()), default=0)


def _nothing(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The pair, of rank 0, of a concept that did not adapt a layer which others did. a, b: another concept's pair
    there."""
    return a.new_zeros(len(a), 0), b.new_zeros(0, b.shape[1])


def _wide(pair: tuple[Tensor, Tensor], rank: int) -> tuple[Tensor, Tensor]:
    """The pair with zeros up to this rank: alike ranks in all layers are what others read."""
    a, b = pair
    missing = rank - len(b)
    return functional.pad(a, (0, missing)), functional.pad(b, (0, 0, 0, missing))


def rank_slices(summed: tuple[LearnedConcept, ...]) -> dict[str, tuple[int, int]]:
    """By token, where a concept's pair stands in the stack: ranks [start, end)."""
    slices, start = {}, 0
    for concept in summed:
        end = start + _rank_of(concept)
        slices[concept.token], start = (start, end), end
    return slices


def lora_metadata(
    part: Part, timeline: Timeline, base: BaseModel, family: Family, tensors: Mapping[str, Tensor]
) -> dict[str, str]:
    """What the file says of itself: for kohya's readers (ss_), the model specification (modelspec.), and us (clora.):
    the order of concepts, their settings, and each one's ranks."""
    last = part.summed[-1]
    down = next(tensor for name, tensor in tensors.items() if name.endswith(".lora_down.weight"))  # (R, D2)
    rank, digest = str(len(down)), tensor_digest(tensors)
    whole = len(down) == sum(map(_rank_of, part.summed))
    slices = rank_slices(part.summed) if whole else {}  # one that was reduced has nobody's own ranks
    triggers = {stem_of(concept.token): concept.picture_count for concept in part.drawn}
    order = ", ".join(concept.token for concept in timeline.concepts)
    concepts = [
        {
            "name": concept.name,
            "token": concept.token,
            "template": concept.template,
            "embedding": f"{stem_of(concept.token)}.safetensors",
            "ranks": slices.get(concept.token),
            **({"brought": asdict(concept.brought)} if concept.brought else {"settings": concept.config.to_json()}),
        }
        for concept in timeline.concepts
    ]
    return {
        "format": "pt",
        "ss_output_name": part.name,
        "ss_network_module": "networks.lora",
        "ss_network_dim": rank,
        "ss_network_alpha": rank,
        "ss_base_model_version": family.version,
        "ss_v2": str(family.is_v2),
        "ss_sd_model_name": base.name,
        "ss_resolution": str((last.config.resolution, last.config.resolution)),
        "ss_num_train_images": str(sum(concept.picture_count for concept in timeline.concepts)),
        "ss_steps": str(sum(concept.config.steps for concept in timeline.concepts if not concept.brought)),
        "ss_seed": str(last.config.seed),
        "ss_tag_frequency": json.dumps({part.name: triggers}),
        "ss_training_comment": f"{timeline.method.title}, in this order: {order}",
        "sshs_model_hash": digest,
        **specification(part.name, "lora", family),
        "modelspec.hash_sha256": f"0x{digest}",
        "modelspec.description": f"{timeline.method.title}: {timeline.method.sentence}",
        "modelspec.date": last.created,
        "modelspec.trigger_phrase": " ".join(triggers),
        "modelspec.usage_hint": "Use it with the embeddings of its tokens, at strength 1.",
        "clora.version": "1",
        "clora.timeline": timeline.name,
        "clora.method": timeline.method.name,
        "clora.base_id": timeline.base_id,
        "clora.concepts": json.dumps(concepts),
    }


def specification(title: str, kind: str, family: Family) -> dict[str, str]:
    """What the model specification (Stability-AI/ModelSpec) demands. kind: "lora" or "textual-inversion"."""
    return {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": f"{family.architecture}/{kind}",
        "modelspec.implementation": "diffusers",
        "modelspec.title": title,
    }


def tensor_digest(tensors: Mapping[str, Tensor]) -> str:
    """sha256 of a safetensors file without its header: what A1111 and kohya know a LoRA by."""
    data = save(dict(tensors))
    header = 8 + int.from_bytes(data[:8], "little")
    return hashlib.sha256(data[header:]).hexdigest()
