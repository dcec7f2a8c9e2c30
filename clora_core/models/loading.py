"""Loading a base model as diffusers' own pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clora_core.errors import ModelError, SettingsError
from clora_core.models.description import folder_of

SAMPLERS = {
    "DPMSolverMultistepScheduler": "DPM++ 2M",
    "DPMSolverSinglestepScheduler": "DPM++ 2S",
    "DDIMScheduler": "DDIM",
    "DDPMScheduler": "DDPM",
    "PNDMScheduler": "PLMS",
    "LMSDiscreteScheduler": "LMS",
    "EulerDiscreteScheduler": "Euler",
    "EulerAncestralDiscreteScheduler": "Euler a",
    "HeunDiscreteScheduler": "Heun",
    "UniPCMultistepScheduler": "UniPC",
}


def load_pipeline(model: str | Path, device: str | None = None, precision: str | None = None) -> Any:
    """The model as diffusers' own text-to-image pipeline, frozen, silent, without safety checker.

    model: folder or Hub id.  device: "cpu", "cuda", "mps", ...; None takes the best there is.
    precision: of the weights, "fp32", "bf16" or "fp16"; None is fp32 on CPU and mps, else bf16 (fp16 on
    older GPUs). Raises ModelError when it cannot be found, read or used, with what to do.
    """
    import torch
    from diffusers import AutoPipelineForText2Image
    from diffusers.utils import logging
    from safetensors import SafetensorError
    from transformers.utils import logging as text_logging

    from clora_core.models.precision import DTYPES

    folder_of(str(model))
    device = device or best_device()
    precision = precision or _precision_for(torch, device)
    if precision not in DTYPES:
        raise ModelError(f"Unknown precision {precision!r}. Choose one of {', '.join(DTYPES)}.")
    try:
        with _quiet(logging), _quiet(text_logging):
            pipe: Any = AutoPipelineForText2Image.from_pretrained(  # type: ignore[no-untyped-call]
                str(model), dtype=DTYPES[precision], safety_checker=None, requires_safety_checker=False
            )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"The model {model} could not be loaded: {error} Check the name and the connection, or download it again."
        ) from error
    if getattr(pipe, "unet", None) is None or getattr(pipe, "text_encoder_2", None) is not None:
        raise ModelError(
            f"The model {model} is a {type(pipe).__name__}. Use a Stable Diffusion 1.x or 2.x model, or one "
            "built alike."
        )
    try:
        pipe.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"The model does not run on {device!r}: {error} Try the device cpu.") from error
    for part in (pipe.unet, pipe.vae, pipe.text_encoder):
        part.requires_grad_(False)
    for part in (pipe.unet, pipe.vae):
        part.to(memory_format=torch.channels_last)  # the layout in which convolutions are fastest
    pipe.set_progress_bar_config(disable=True)
    return pipe


@contextmanager
def _quiet(library: Any) -> Iterator[None]:
    """Without the library's bars for every part and shard; downloads keep theirs."""
    library.disable_progress_bar()
    try:
        yield
    finally:
        library.enable_progress_bar()


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


def check_size(pipe: Any, **sides: int) -> None:
    """Raise SettingsError when a side in pixels, by its name, is no multiple of what U-Net and VAE halve it by, or of
    the 8 that diffusers wants."""
    grid = max(8, pipe.vae_scale_factor * 2 ** (len(pipe.unet.config.block_out_channels) - 1))
    for name, side in sides.items():
        if side % grid:
            raise SettingsError(f"The {name} {side} does not fit this model: use a multiple of {grid}.")


def sampler_name(pipe: Any) -> str:
    """The pipeline's sampler as people call it, e.g. "DPM++ 2M Karras"."""
    kind = type(pipe.scheduler).__name__
    name = SAMPLERS.get(kind, kind.removesuffix("Scheduler"))
    if "sde" in str(pipe.scheduler.config.get("algorithm_type", "")):
        name += " SDE"
    return name + (" Karras" if pipe.scheduler.config.get("use_karras_sigmas") else "")
