"""Samplers: the names that people know them by, diffusers' schedulers by these names, and how many steps they take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import diffusers
from diffusers import SchedulerMixin

from clora_core.errors import SettingsError

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
SDE, KARRAS = " SDE", " Karras"  # what a name ends in, in this order
MORE: Mapping[str, dict[str, Any]] = {  # what a sampler of that name needs besides what the base model says
    "DPM++ 2M": {"algorithm_type": "dpmsolver++"},
    "DPM++ 2S": {"algorithm_type": "dpmsolver++"},
    "PLMS": {"skip_prk_steps": True},
}


def sampler_name(scheduler: SchedulerMixin) -> str:
    """What people call diffusers' scheduler, e.g. "DPM++ 2M Karras"."""
    kind = type(scheduler).__name__
    name = SAMPLERS.get(kind, kind.removesuffix("Scheduler"))
    if "sde" in str(scheduler.config.get("algorithm_type", "")):
        name += SDE
    return name + (KARRAS if scheduler.config.get("use_karras_sigmas") else "")


def scheduler_named(name: str, own: SchedulerMixin) -> SchedulerMixin:
    """The scheduler that people call `name`, on the noise of the base model's `own`; "" and its own name are `own`.

    Raises SettingsError for a name that is not known.
    """
    if name in ("", sampler_name(own)):
        return own
    plain = name.removesuffix(KARRAS).removesuffix(SDE)
    kind = next((kind for kind, known in SAMPLERS.items() if known == plain), None)
    if kind is None:
        raise SettingsError(f"There is no sampler {name!r}. Choose another one.")
    options = {**MORE.get(plain, {}), "use_karras_sigmas": name.endswith(KARRAS)}
    if SDE in name:
        options["algorithm_type"] = "sde-dpmsolver++"
    scheduler: SchedulerMixin = getattr(diffusers, kind).from_config(own.config, **options)
    return scheduler


def check_steps(scheduler: SchedulerMixin, steps: int) -> None:
    """Raise SettingsError when the scheduler cannot take so many steps: where it begins at an offset, the first lies
    beyond the timesteps it was trained on (diffusers issue 10003)."""
    total = scheduler.config.num_train_timesteps
    scheduler.set_timesteps(steps)
    if len(scheduler.timesteps) and float(scheduler.timesteps.max()) >= total:
        most = total - scheduler.config.get("steps_offset", 0)
        raise SettingsError(f"The base model's sampler cannot take {steps} steps. Use {most} or fewer.")
