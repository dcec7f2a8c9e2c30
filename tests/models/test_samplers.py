"""Samplers by the names that people know them by."""

from __future__ import annotations

import pytest
from diffusers import DPMSolverMultistepScheduler, EulerDiscreteScheduler

from clora_core.concepts import Timeline
from clora_core.drawing.generate import generate
from clora_core.errors import SettingsError
from clora_core.models.samplers import sampler_name, scheduler_named
from clora_core.settings.drawing import SAMPLERS


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_name_is_that_of_its_scheduler_and_draws(backbone, settings, name: str) -> None:
    own = backbone.pipe.scheduler
    assert sampler_name(scheduler_named(name, own)) == name
    steps: list[int] = []
    chosen = settings.updated({"sampler": name, "steps": 4})
    (picture,) = generate(backbone, Timeline("t", "T", ""), "a photo", chosen, lambda done, total: steps.append(done))
    assert picture.size == (settings.width, settings.height) and backbone.pipe.scheduler is own
    assert steps == sorted(steps) and steps[-1] == 4


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_takes_what_the_model_predicts(name: str) -> None:
    """Stable Diffusion 2.x at 768 px, and models like it, predict the velocity."""
    own = DPMSolverMultistepScheduler(prediction_type="v_prediction", beta_schedule="scaled_linear")
    chosen = scheduler_named(name, own).config
    assert (chosen.prediction_type, chosen.beta_schedule) == ("v_prediction", "scaled_linear")


def test_the_models_own_stays_as_it_is() -> None:
    own = DPMSolverMultistepScheduler(algorithm_type="sde-dpmsolver++", use_karras_sigmas=True, solver_order=3)
    assert scheduler_named("", own) is own and scheduler_named("DPM++ 2M SDE Karras", own) is own
    plain = scheduler_named("DPM++ 2M", own)
    assert (plain.config.algorithm_type, plain.config.use_karras_sigmas) == ("dpmsolver++", False)
    assert isinstance(scheduler_named("Euler", own), EulerDiscreteScheduler)
    with pytest.raises(SettingsError, match="Magic"):
        scheduler_named("Magic", own)


def test_a_step_that_takes_two_counts_as_one(backbone, settings) -> None:
    """Heun looks at every noise level twice."""
    steps: list[tuple[int, int]] = []
    chosen = settings.updated({"sampler": "Heun", "steps": 5})
    generate(backbone, Timeline("t", "T", ""), "a photo", chosen, lambda *at: steps.append(at))
    assert steps[-1] == (5, 5) and len(steps) == 9
