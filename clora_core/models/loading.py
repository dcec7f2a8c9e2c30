"""Loading a base model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clora_core.errors import ModelError
from clora_core.models.description import check_family, file_of, folder_of, variant_of
from clora_core.models.single_file import load_single_file

if TYPE_CHECKING:
    import torch

    from clora_core.models.backbone import Backbone


def load_backbone(model: str | Path, device: str | None = None, precision: str | None = None) -> Backbone:
    """The model, frozen, silent, without safety checker. A pipeline you have already becomes one by
    `StableDiffusion(pipe)`.

    model: folder, .safetensors file or Hub id.  device: "cpu", "cuda", "mps", ...; None takes the best there is.
    precision: of the weights, "fp32", "bf16" or "fp16"; None is fp32 on CPU and mps, else bf16 (fp16 on
    older GPUs). Raises ModelError when it cannot be found, read or used, with what to do.
    """
    import torch
    from diffusers.utils import logging
    from safetensors import SafetensorError
    from transformers.utils import logging as text_logging

    from clora_core.models.precision import DTYPES

    file = file_of(model)
    folder = file.configs if file else folder_of(str(model))
    device = device or best_device()
    precision = precision or _precision_for(torch, device)
    if precision not in DTYPES:
        raise ModelError(f"Unknown precision {precision!r}. Choose one of {', '.join(DTYPES)}.")
    dtype = DTYPES[precision]
    try:
        with _quiet(logging), _quiet(text_logging):
            pipe: Any = load_single_file(file, dtype) if file else _load_parts(str(model), folder, dtype)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        remedy = (
            "Give the model's folder in diffusers layout, or download the file again."
            if file
            else "Check the name and the connection, or download it again."
        )
        raise ModelError(f"The model {model} could not be loaded: {error} {remedy}") from error
    index = {**pipe.config, "_class_name": type(pipe).__name__}  # of a model that was only now fetched from the Hub
    check_family(str(model), index, lambda part: getattr(pipe, part).config)
    family = _family_of(pipe)
    try:
        pipe.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"The model does not run on {device!r}: {error} Try the device cpu.") from error
    return family(pipe)


def _load_parts(model: str, folder: Path | None, dtype: torch.dtype) -> Any:
    """The pipeline of a folder or Hub id, without its safety checker."""
    from diffusers import AutoPipelineForText2Image

    has_checker = "safety_checker" in AutoPipelineForText2Image.load_config(model)
    without = {"safety_checker": None, "requires_safety_checker": False} if has_checker else {}
    variant = variant_of(folder) if folder else None
    return AutoPipelineForText2Image.from_pretrained(model, dtype=dtype, variant=variant, **without)


def _family_of(pipe: Any) -> Callable[[Any], Backbone]:
    from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

    from clora_core.models.stable_diffusion import StableDiffusion
    from clora_core.models.stable_diffusion_xl import StableDiffusionXL

    families = {StableDiffusionPipeline: StableDiffusion, StableDiffusionXLPipeline: StableDiffusionXL}
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
    from diffusers import UNet2DConditionModel

    file = file_of(model)
    config: Any = UNet2DConditionModel.load_config(file.configs if file else model, subfolder="unet")
    with torch.device("meta"):
        unet: Any = UNet2DConditionModel.from_config(config)
    return int(unet.num_parameters())


def best_device() -> str:
    """What is used when no device is asked for: a GPU where there is one."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _precision_for(torch: Any, device: str) -> str:
    if not device.startswith("cuda"):
        return "fp32"
    from clora_core.models.precision import bf16_in_hardware

    return "bf16" if torch.cuda.is_available() and bf16_in_hardware(torch.device(device)) else "fp16"
