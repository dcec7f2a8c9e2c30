"""Number formats of the arithmetic while learning, and accelerate's state for them."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from clora_core.errors import SettingsError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


def bf16_in_hardware(device: torch.device) -> bool:
    """bf16 is computed in hardware there (AMX on a CPU), not emulated."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def resolved_precision(precision: str, device: torch.device, weights: torch.dtype) -> str:
    """What "auto" means on this device for a model in this number format: its own where that is a short one, else
    bf16 where it is computed in hardware, else fp32.

    Raises SettingsError for fp32 with a model that is not in fp32, and for fp16 on a CPU.
    """
    if precision == "fp16" and device.type == "cpu":
        raise SettingsError("The precision fp16 needs a GPU. On this CPU use bf16 or fp32.")
    if precision == "fp32" and weights != torch.float32:
        raise SettingsError(
            f"The model is loaded in {NAMES[weights]}, so it cannot learn in fp32. Start the programme with "
            "--precision fp32, or learn with the precision auto."
        )
    if precision != "auto":
        return precision
    if weights != torch.float32:
        return NAMES[weights]
    return "bf16" if bf16_in_hardware(device) else "fp32"


def make_accelerator(device: torch.device, precision: str) -> Accelerator:
    """accelerate on the model's device in the given precision; raises SettingsError where it cannot.

    accelerate keeps device and precision for the whole process, but each concept may be learned in another
    precision, so its state is made anew.
    """
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        mixed = "no" if precision == "fp32" else precision
        return Accelerator(mixed_precision=mixed, cpu=device.type == "cpu")
    except ValueError as error:
        raise SettingsError(f"The precision {precision} does not work on {device}: {error}") from error
