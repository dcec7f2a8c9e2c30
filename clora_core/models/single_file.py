"""A base model as one .safetensors file, as A1111, Forge and ComfyUI keep it: which family it is, and loading it.

The file has the weights; the shape they have, and the tokenizer, lie in configs. Describing it loads neither torch nor
diffusers, and nothing is ever downloaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from clora_core.errors import ModelError

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline

CONFIGS = Path(__file__).parent / "configs"
UNET, VAE = "model.diffusion_model.", "first_stage_model."
SECOND, REFINER = "conditioner.embedders.1.model.", "conditioner.embedders.0.model."
FAMILIES = {  # folder of configs, by what the names of its text encoder's weights begin with
    SECOND: "stable-diffusion-xl",
    "cond_stage_model.model.": "stable-diffusion-v2",
    "cond_stage_model.transformer.": "stable-diffusion-v1",
}
PADS = {"stable-diffusion-v2": {"tokenizer": "!"}, "stable-diffusion-xl": {"tokenizer_2": "!"}}
SMALL_V2 = 512  # pixels, of the Stable Diffusion 2.x that predicts noise
PARAMETERIZATION = re.compile(r"^\s*parameterization:\s*[\"']?(\w+)", re.MULTILINE)
VELOCITY, NOISE = "v_prediction", "epsilon"
PREDICTS = {"v": VELOCITY, "v_prediction": VELOCITY, "eps": NOISE, "epsilon": NOISE}


@dataclass(frozen=True)
class SingleFile:
    """What a file says of itself. configs: folder in diffusers layout, without weights.  scheduler: what its scheduler
    differs in from that in the configs.  side: of its pictures in pixels; None = as the configs say."""

    path: Path
    configs: Path
    scheduler: Mapping[str, Any]
    side: int | None


def read_single_file(path: Path) -> SingleFile:
    """Find out what a file is, from the names in it; loads nothing. Raises ModelError for what is no base model."""
    if path.suffix != ".safetensors":
        raise ModelError(
            f"{path.name} is no .safetensors file. Other formats can hold code that runs when they are opened, so they "
            "are not read. Get the model as .safetensors, or in diffusers layout."
        )
    try:
        with safe_open(path, "numpy") as file:
            names, said = frozenset(file.keys()), file.metadata() or {}
            conv_in = f"{UNET}input_blocks.0.0.weight"
            reads = file.get_slice(conv_in).get_shape()[1] if conv_in in names else 0
    except (SafetensorError, OSError) as error:
        raise ModelError(f"The model file {path} cannot be read: {error}. Download it again.") from error
    family = _family_of(path.name, names)
    if reads != 4:
        raise ModelError(
            f"The model {path.name} is no plain text-to-image model: its U-Net reads {reads} channels where pictures "
            "have 4, as inpainting models do. Use the model it was made from."
        )
    predicts = _prediction(path, names, said)
    scheduler: dict[str, Any] = {"prediction_type": predicts} if predicts else {}
    if "ztsnr" in names:
        scheduler |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    is_small = family == "stable-diffusion-v2" and predicts == NOISE
    return SingleFile(path, CONFIGS / family, scheduler, SMALL_V2 if is_small else None)


def _family_of(name: str, names: frozenset[str]) -> str:
    """The folder of its configs. Raises ModelError, with what the file is."""

    def has(start: str) -> bool:
        return any(each.startswith(start) for each in names)

    if any(each.startswith(("lora_unet_", "lora_te")) or ".lora_" in each for each in names):
        raise ModelError(f"{name} is a LoRA. Give the base model that it was made for.")
    if "emb_params" in names or names == {"clip_l", "clip_g"}:
        raise ModelError(f"{name} is the embedding of a token. Give a base model.")
    if has(REFINER) and not has(SECOND):
        raise ModelError(f"The model {name} is SDXL's refiner, which draws nothing alone. Use the base model.")
    if not has(UNET):
        raise ModelError(
            f"{name} is no Stable Diffusion 1.x, 2.x or XL in the layout of A1111 and ComfyUI. Use one, or give the "
            "model's folder in diffusers layout."
        )
    family = next((family for start, family in FAMILIES.items() if has(start)), None)
    missing = [what for what, there in (("text encoder", family), ("VAE", has(VAE))) if not there]
    if family is None or missing:
        raise ModelError(
            f"The file {name} has no {' and no '.join(missing)}, so it is no whole model. Get the full checkpoint, or "
            "its folder in diffusers layout."
        )
    return family


def _prediction(path: Path, names: frozenset[str], said: Mapping[str, str]) -> str | None:
    """What the file predicts, if that is said: in the .yaml beside it, as A1111 has them, or in the file itself."""
    beside = path.with_suffix(".yaml")
    if beside.is_file():
        found = PARAMETERIZATION.search(beside.read_text(encoding="utf-8", errors="replace"))
        return PREDICTS.get(found[1] if found else NOISE)
    if "v_pred" in names:
        return VELOCITY
    return PREDICTS.get(said.get("modelspec.prediction_type", ""))


def load_single_file(file: SingleFile, dtype: torch.dtype) -> DiffusionPipeline:
    """The pipeline, on the CPU. Raises ModelError where the file lacks weights, and what diffusers raises."""
    import diffusers

    from clora_core.models.clip_tokenizer import END, clip_tokenizer

    index = diffusers.DiffusionPipeline.load_config(file.configs)
    pads = PADS.get(file.configs.name, {})
    parts = [part for part in index if part.startswith("tokenizer")]
    tokenizers = {part: clip_tokenizer(pads.get(part, END)) for part in parts}
    pipe: Any = getattr(diffusers, index["_class_name"]).from_single_file(
        str(file.path), config=str(file.configs), local_files_only=True, dtype=dtype, **tokenizers
    )
    for name, part in pipe.components.items():
        if any(weight.is_meta for weight in getattr(part, "parameters", tuple)()):
            raise ModelError(f"The file {file.path.name} lacks weights of its {name}. Download it again.")
    pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, **file.scheduler)
    return pipe
