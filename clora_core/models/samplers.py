"""The names that people know samplers by."""

from __future__ import annotations

from diffusers import SchedulerMixin

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


def sampler_name(scheduler: SchedulerMixin) -> str:
    """What people call diffusers' scheduler, e.g. "DPM++ 2M Karras"."""
    kind = type(scheduler).__name__
    name = SAMPLERS.get(kind, kind.removesuffix("Scheduler"))
    if "sde" in str(scheduler.config.get("algorithm_type", "")):
        name += " SDE"
    return name + (" Karras" if scheduler.config.get("use_karras_sigmas") else "")
