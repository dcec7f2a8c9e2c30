"""Samplers: the names that people know them by, and how many steps they take."""

from __future__ import annotations

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


def sampler_name(scheduler: SchedulerMixin) -> str:
    """What people call diffusers' scheduler, e.g. "DPM++ 2M Karras"."""
    kind = type(scheduler).__name__
    name = SAMPLERS.get(kind, kind.removesuffix("Scheduler"))
    if "sde" in str(scheduler.config.get("algorithm_type", "")):
        name += " SDE"
    return name + (" Karras" if scheduler.config.get("use_karras_sigmas") else "")


def check_steps(scheduler: SchedulerMixin, steps: int) -> None:
    """Raise SettingsError when the scheduler cannot take so many steps: where it begins at an offset, the first lies
    beyond the timesteps it was trained on (diffusers issue 10003)."""
    total = scheduler.config.num_train_timesteps
    scheduler.set_timesteps(steps)
    if len(scheduler.timesteps) and float(scheduler.timesteps.max()) >= total:
        most = total - scheduler.config.get("steps_offset", 0)
        raise SettingsError(f"The base model's sampler cannot take {steps} steps. Use {most} or fewer.")
