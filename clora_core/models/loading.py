"""Loading a base model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clora_core.errors import ModelError
from clora_core.models.description import (
    check_family,
    check_words,
    denoiser_in,
    fetched,
    file_of,
    folder_of,
    variant_of,
)
from clora_core.models.single_file import load_single_file

if TYPE_CHECKING:
    import torch

    from clora_core.models.backbone import Backbone
    from clora_core.models.pipeline import PipelineBackbone

NARROW = "fp8"


def load_backbone(model: str | Path, device: str | None = None, precision: str | None = None) -> Backbone:
    """The model, frozen, silent, without safety checker. A pipeline you have already becomes one by
    `StableDiffusion(pipe)`.

    model: folder, .safetensors file or Hub id.  device: "cpu", "cuda", "mps", ...; None takes the best there is.
    precision: of the weights, "fp32", "bf16", "fp16" or, on a GPU, "fp8" (`PipelineBackbone.store_in_8_bits`); None is
    fp32 on CPU and mps, else bf16 (fp16 on older GPUs). Raises ModelError when it cannot be found, read or used, with
    what to do.
    """
    from diffusers.utils import logging
    from safetensors import SafetensorError
    from transformers.utils import logging as text_logging

    file, folder = file_of(model), folder_of(str(model))
    device = device or best_device()
    dtype = dtype_for(device, precision)
    folder = folder or fetched(str(model))
    if not file:
        check_words(folder)
    try:
        with _quiet(logging), _quiet(text_logging):
            pipe: Any = load_single_file(file, dtype) if file else _load_parts(folder, dtype)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        remedy = (
            "Give the model's folder in diffusers layout, or download the file again." if file else "Download it again."
        )
        raise ModelError(f"The model {model} could not be loaded: {error} {remedy}") from error
    index = {**pipe.config, "_class_name": type(pipe).__name__}
    check_family(str(model), index, lambda part: getattr(pipe, part).config)
    return backbone_of(pipe, device, precision)


def backbone_of(pipe: Any, device: str, precision: str | None) -> PipelineBackbone:
    """The backbone of a pipeline whose numbers are of `dtype_for`. Raises ModelError: it does not run on the device."""
    family = _family_of(pipe)
    try:
        pipe.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"The model does not run on {device!r}: {error} Try the device cpu.") from error
    backbone = family(pipe)
    if precision == NARROW:
        backbone.store_in_8_bits()
    return backbone


def _load_parts(folder: Path, dtype: torch.dtype) -> Any:
    """The pipeline of a folder, without its safety checker."""
    from diffusers import AutoPipelineForText2Image

    has_checker = "safety_checker" in AutoPipelineForText2Image.load_config(folder)
    without = {"safety_checker": None, "requires_safety_checker": False} if has_checker else {}
    return AutoPipelineForText2Image.from_pretrained(folder, dtype=dtype, variant=variant_of(folder), **without)


def _family_of(pipe: Any) -> Callable[[Any], PipelineBackbone]:
    """What makes a backbone of a pipeline."""
    from diffusers import PixArtSigmaPipeline, StableDiffusionPipeline, StableDiffusionXLPipeline

    from clora_core.models.pixart_sigma import PixArtSigma
    from clora_core.models.stable_diffusion import StableDiffusion
    from clora_core.models.stable_diffusion_xl import StableDiffusionXL

    families: dict[type, Callable[[Any], PipelineBackbone]] = {
        StableDiffusionPipeline: StableDiffusion,
        StableDiffusionXLPipeline: StableDiffusionXL,
        PixArtSigmaPipeline: PixArtSigma,
    }
    return families[type(pipe)]  # what else there is, `check_family` has refused


@contextmanager
def _quiet(library: Any) -> Iterator[None]:
    """Without the library's bars for every part and shard; downloads keep theirs."""
    library.disable_progress_bar()
    try:
        yield
    finally:
        library.enable_progress_bar()


def denoiser_parameters(model: str | Path) -> int:
    """How many numbers the model's denoiser has, from its config alone."""
    import torch
    from diffusers import PixArtTransformer2DModel, UNet2DConditionModel

    folder = folder_of(str(model)) or fetched(str(model))
    part = denoiser_in(folder)
    kind: Any = UNet2DConditionModel if part == "unet" else PixArtTransformer2DModel
    config = kind.load_config(folder, subfolder=part)
    with torch.device("meta"):
        return int(kind.from_config(config).num_parameters())


def best_device() -> str:
    """What is used when no device is asked for: a GPU where there is one."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def dtype_for(device: str, precision: str | None) -> torch.dtype:
    """Of the numbers that are computed with; precision as in `load_backbone`. Raises ModelError for one that is not to
    be had."""
    from clora_core.models.precision import DTYPES

    if precision == NARROW and not device.startswith("cuda"):
        raise ModelError("The precision fp8 saves the memory of a graphics card, and there is none. Choose another.")
    computed = _precision_for(device) if precision in (None, "", NARROW) else precision
    if computed not in DTYPES:
        raise ModelError(f"Unknown precision {precision!r}. Choose one of {', '.join((*DTYPES, NARROW))}.")
    return DTYPES[computed]


def _precision_for(device: str) -> str:
    """Of the weights, where none is asked for."""
    if not device.startswith("cuda"):
        return "fp32"
    import torch

    from clora_core.models.precision import bf16_in_hardware

    return "bf16" if torch.cuda.is_available() and bf16_in_hardware(torch.device(device)) else "fp16"
