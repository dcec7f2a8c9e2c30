"""Learning one concept: the one loop.

    with train_concept(backbone, concept, timeline, config) as training:   # bad input is refused at once
        for step in training:                                          # one TrainStep after each update
            generate(backbone, timeline.then(training.snapshot()), ...)  # allowed: learning goes on as before
            if enough: break
        learned = training.finish()                                    # keep; close() discards

Between steps, after the end, after an error and after `close` the base model is a plain one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from inspect import GEN_CLOSED, getgeneratorstate
from math import inf, isfinite
from types import TracebackType
from typing import Any, TypeVar

import torch
from PIL import Image
from torch import Tensor

from clora_core.concepts import (
    Concept,
    LearnedConcept,
    Timeline,
    TrainConfig,
    TrainStep,
    check_token,
    concept_id,
    filled,
)
from clora_core.data.dataset import LatentDataset, encode_views, make_views, with_object_word
from clora_core.data.pictures import Opening, PictureSet, accepted, minimum_side, open_pictures
from clora_core.drawing.generate import generate
from clora_core.errors import SettingsError, TrainingError
from clora_core.learning.losses import diffusion_loss, diffusion_target
from clora_core.learning.noise import draw_noise
from clora_core.learning.optimizer import learning_rate_scale, make_optimizer
from clora_core.methods import Method, class_of
from clora_core.models.backbone import Backbone, check_size
from clora_core.models.footprint import footprint, planned
from clora_core.models.memory import give_back
from clora_core.models.precision import make_accelerator, resolved_precision
from clora_core.settings.drawing import SamplingConfig
from clora_core.settings.memory import Fit
from clora_core.settings.methods import ReplayOptions

Result = TypeVar("Result")
DRAWN_AT_ONCE = 16  # pictures that a method has the model draw to learn from
ADAMW_MOMENTS = ("exp_avg", "exp_avg_sq")
LIBRARIES = ("torch", "diffusers", "transformers", "accelerate")


@dataclass(frozen=True, eq=False)
class TrainState:
    """All that learning needs to go on after `step`: parameters and optimizer, and the curve so far.

    tensors: flat names -> CPU tensors, as safetensors takes them. `to_json` has the rest.
    """

    step: int
    tensors: dict[str, Tensor]
    curve: tuple[TrainStep, ...]

    def to_json(self) -> dict[str, Any]:
        """Step and curve as plain values."""
        return {"step": self.step, "curve": [asdict(step) for step in self.curve]}

    @classmethod
    def from_json(cls, values: dict[str, Any], tensors: dict[str, Tensor]) -> TrainState:
        """The inverse of `to_json` and `tensors`; raises TrainingError when it is not one."""
        try:
            return cls(values["step"], dict(tensors), tuple(TrainStep(**step) for step in values["curve"]))
        except (KeyError, TypeError) as error:
            raise TrainingError(f"The checkpoint is incomplete: {error}. Learn from the start.") from error


def train_concept(
    backbone: Backbone,
    concept: Concept,
    timeline: Timeline,
    config: TrainConfig,
    resume: TrainState | None = None,
    sampling: SamplingConfig | None = None,
    on_draw: Callable[[int, int], None] | None = None,
    clock: Callable[[], float] = time.time,
    opening: Opening | None = None,
    on_encode: Callable[[int, int], None] | None = None,
    on_short: Callable[[Fit], None] | None = None,
) -> Training:
    """Learn `concept` after the concepts of `timeline`: iterate over what is returned.

    backbone: the base model (`models.loading.load_backbone`).  resume: go on from a checkpoint made with
    the same concept, timeline and config.  sampling: how the model draws for methods that learn from its
    own pictures; on_draw is called after each of its steps, and what it raises ends the learning.  clock: seconds
    since 1970, for the date of the learned concept.  opening: see `open_pictures`.  on_encode: see `encode_views`; what
    it raises ends the learning, too.  on_short: is told what is done from now on, where memory did not suffice; the
    step is then done again.

    Raises at once PictureError, ConceptError (token taken), SettingsError (method, and see `checked_settings`);
    while stepping TrainingError at the first number that is not finite, before it reaches the parameters.
    """
    check_token(concept.token, timeline.tokens)
    if timeline.concepts and config.method != timeline.method:
        raise SettingsError(
            f"The timeline {timeline.name!r} is learned with {timeline.method.title}, not {config.method.title}. "
            "One timeline holds one method: start a new timeline for another."
        )
    config = checked_settings(backbone, config, timeline.concepts[-1].config if timeline.concepts else None)
    method = class_of(config.method)(config)
    pictures = accepted(open_pictures(concept.pictures, minimum_side(config.resolution), opening))
    concept = with_object_word(concept, config)
    side = {"width": config.resolution, "height": config.resolution}
    drawing = (sampling or SamplingConfig()).updated(side)
    telling = on_draw, on_encode, on_short
    return Training(backbone, concept, timeline, method, pictures, resume, drawing, clock, *telling)


def checked_settings(backbone: Backbone, config: TrainConfig, last: TrainConfig | None) -> TrainConfig:
    """`config` with its precision resolved on `backbone`. last: of the concept before, None for the first.

    Raises SettingsError: the resolution, the precision, or the rank after `last`.
    """
    check_size(backbone, resolution=config.resolution)
    if last:
        class_of(config.method).check(config, last)
    return config.updated({"precision": resolved_precision(config.precision, backbone.device, backbone.dtype)})


class Training(Iterator[TrainStep]):
    """One concept being learned; made by `train_concept`. A context manager that closes itself.

    footprint, fit: what it takes, whether that fits and with what, as estimated before the first step; the savings of
    ``fit`` are what is done now.
    """

    def __init__(
        self,
        backbone: Backbone,
        concept: Concept,
        timeline: Timeline,
        method: Method,
        pictures: PictureSet,
        resume: TrainState | None,
        sampling: SamplingConfig,
        clock: Callable[[], float],
        on_draw: Callable[[int, int], None] | None,
        on_encode: Callable[[int, int], None] | None,
        on_short: Callable[[Fit], None] | None,
    ) -> None:
        self._sampling, self._on_draw, self._on_encode, self._on_short = sampling, on_draw, on_encode, on_short
        self._backbone, self._concept, self._timeline = backbone, concept, timeline
        self._method, self._config, self._pictures, self._clock = method, method.config, pictures, clock
        self._accelerator = make_accelerator(backbone.device, self._config.precision)
        self._curve: list[TrainStep] = []
        self._memory: dict[str, Tensor] = {}
        self._dataset: LatentDataset | None = None
        self._drawn: LatentDataset | None = None  # what the model drew itself, learned along
        self._loop = self._steps()
        try:
            self._install()
            self._parameters = list(method.begin_concept(backbone, concept, timeline))
            self.token_start = method.token.value()  # by table, before any step
            self._optimizer = self._accelerator.prepare(make_optimizer(self._parameters, method))
            if resume:
                self._load(resume)
            replays = bool(timeline.concepts) and isinstance(self._config.options, ReplayOptions)
            along = replays or self._config.prior_pictures > 0
            with method.attached():
                prompt = filled(concept.template, concept.token)
                side, computing = self._config.resolution, self._accelerator.autocast
                self.footprint = footprint(backbone, prompt, side, self._parameters, computing, along)
            views = len(pictures.images) * self._config.augment_copies
            memory, batch = self._config.memory, self._config.batch_size
            self.fit = planned(self.footprint, memory, batch, backbone.device, views)
        except BaseException:
            self.close()
            raise

    # -- the loop --------------------------------------------------------------------------------

    def __next__(self) -> TrainStep:
        """Do one update; the first call also encodes the pictures. Raises StopIteration after the last."""
        return next(self._loop)

    def _steps(self) -> Generator[TrainStep, None, None]:
        """One update after the other (method.md section 1), each a function of (seed, step) and the state."""
        config, backbone = self._config, self._backbone
        try:
            began, spent = time.perf_counter(), self._curve[-1].seconds if self._curve else 0.0
            self._with_room(self._prepare_pictures)
            for step in range(len(self._curve) + 1, config.steps + 1):
                self._install()  # a picture may have been drawn since; free when none was
                values = self._added(step, *self._with_room(partial(self._gradients, step)))
                grad_norm = self._update(step)
                spent += time.perf_counter() - began
                self._curve.append(TrainStep(step, config.steps, *values, grad_norm, spent))
                yield self._curve[-1]
                began = time.perf_counter()  # what the caller did is not learning time
        finally:
            self._method.install(backbone, self._timeline.as_of(0), "")

    def _gradients(self, step: int) -> tuple[float, float]:
        """Loss and penalty of a step, as far as this process computes them; their gradients are left at the parameters.

        A batch that goes through the model in parts has the gradient of the whole within floating point: the loss is a
        mean over pictures.
        """
        config, batch, losses, penalty = self._config, self._config.batch_size, 0.0, 0.0
        self._optimizer.zero_grad()
        for part in self._parts():
            share = (part.stop - part.start) / batch
            with self._method.attached(), self._saving():
                loss = share * self._loss(self._dataset, config.seed, step, batch, part)  # Eq. 1
                total = loss
                if not part.start:
                    own = self._method.penalty()  # lambda * L_forget, Eq. 3
                    penalty, total = float(own.detach()), loss + own
                losses += float(loss.detach())
                if self._accelerator.num_processes == 1:
                    self._demand_finite(step, losses + penalty)
                if self._drawn:
                    drawn = self._loss(self._drawn, config.seed + 1, step, batch, part)
                    total = total + config.prior_weight * share * drawn
                self._accelerator.backward(total)
        return losses, penalty

    def _parts(self) -> Iterator[slice]:
        """What of a batch goes through the model here, one part after the other: of several processes (accelerate)
        each has its share."""
        batch, ours = self._config.batch_size, self._accelerator.process_index
        first, last = (batch * place // self._accelerator.num_processes for place in (ours, ours + 1))
        while first < last:
            together = self.fit.savings.at_once or last - first
            yield slice(first, min(first + together, last))
            first += together

    def _added(self, step: int, loss: float, penalty: float) -> tuple[float, float]:
        """Loss and penalty over all processes, whose gradients are added up, too."""
        if self._accelerator.num_processes == 1:
            return loss, penalty
        for parameter in self._parameters:
            own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = self._accelerator.reduce(own, "sum")
        values = torch.tensor([loss, penalty], dtype=torch.float64, device=self._backbone.device)
        loss, penalty = self._accelerator.reduce(values, "sum").tolist()
        self._demand_finite(step, loss + penalty)
        return loss, penalty

    @contextmanager
    def _saving(self) -> Iterator[None]:
        """While open, forward and backward passes take as little memory as `fit` says."""
        backbone, pinned = self._backbone, self._backbone.device.type == "cuda"
        backbone.keep_activations(not self.fit.savings.checkpointing)
        offload = torch.autograd.graph.save_on_cpu(pinned) if self.fit.savings.offload else nullcontext()
        try:
            with offload:
                yield
        finally:
            backbone.keep_activations(True)

    def _with_room(self, work: Callable[[], Result]) -> Result:
        """What `work` returns; where memory does not suffice it is done again with less, as long as there is a
        further saving. Raises torch.OutOfMemoryError when there is none."""
        while True:
            try:
                return work()
            except torch.OutOfMemoryError:
                further = self.fit.further(self._config.batch_size)
                if further is None:
                    raise
            give_back()  # here, where the error no longer holds what it was computing
            self.fit = further
            if self._on_short:
                self._on_short(self.fit)

    def _prepare_pictures(self) -> None:
        """Encode the concept's pictures, and those that the method wants the model to draw."""
        views = self._method.drawn_views(self._timeline, self._draw)
        self._install()
        given = self._pictures
        shown = make_views(given.images, self._concept, self._config, given.captions, given.masks)
        at_once = self.fit.encoded
        self._dataset = encode_views(self._backbone, shown, self._on_encode, at_once)
        self._drawn = encode_views(self._backbone, views, at_once=at_once) if views else None

    def _draw(self, timeline: Timeline, prompt: str, count: int, guidance: float | None = None) -> list[Image.Image]:
        images: list[Image.Image] = []
        sampling = self._sampling
        if guidance is not None:
            sampling = sampling.updated({"guidance_scale": guidance})
        for first in range(0, count, DRAWN_AT_ONCE):
            seed = (self._config.seed + first) % 2**32
            now = {"pictures": min(DRAWN_AT_ONCE, count - first), "seed": seed}
            images += generate(self._backbone, timeline, prompt, sampling.updated(now), self._on_draw)
        return images

    def _step_loss(self, step: int, pictures: int) -> Tensor:
        return self._loss(self._dataset, self._config.seed, step, pictures, slice(None))

    def _loss(self, dataset: LatentDataset | None, seed: int, step: int, pictures: int, part: slice) -> Tensor:
        """Eq. 1 on a part of the batch, noise and timesteps of a step, a function of (seed, step) and the weights."""
        assert dataset
        backbone, noise_scheduler = self._backbone, self._backbone.noise_scheduler
        x0, mask, prompts, sizes = dataset.batch(seed, step, pictures)
        noise, t = draw_noise(x0, noise_scheduler, seed, step, self._config.timestep_shift)
        x0, mask, sizes, noise, t = (each[part] for each in (x0, mask, sizes, noise, t))
        prompts = prompts[part]
        xt = noise_scheduler.add_noise(x0, noise, t)  # (B, C, h, w)
        with self._accelerator.autocast():
            prediction = backbone.predict(xt, t, replace(backbone.encode(prompts), sizes=sizes))
        return diffusion_loss(prediction, diffusion_target(noise_scheduler, x0, noise, t), mask)

    def _install(self) -> None:
        self._method.install(self._backbone, self._timeline, "", reserve=self._concept.token)

    def _update(self, step: int) -> float:
        """Clip, check and apply the gradients; returns their length before clipping."""
        limit = self._config.gradient_clip or inf
        grad_norm = float(self._accelerator.clip_grad_norm_(self._parameters, limit))
        if self._accelerator.scaler is None:  # fp16's scaler skips such a step by itself
            self._demand_finite(step, grad_norm)
        scale = learning_rate_scale(self._config, step)
        for group in self._optimizer.param_groups:
            group["lr"] = group["initial_lr"] * scale
        self._optimizer.step()
        self._optimizer.zero_grad()
        return grad_norm if isfinite(grad_norm) else 0.0  # a step that the scaler skipped

    def _demand_finite(self, step: int, value: float) -> None:
        if not isfinite(value):
            config = self._config
            weight = config.to_json().get("penalty_weight")
            penalty = f", lower the penalty weight (now {weight:g})" if weight else ""
            raise TrainingError(
                f"Learning {self._concept.token} stopped at step {step}: the loss became {value}. Halve the "
                f"learning rate (now {config.learning_rate:g}){penalty} or use another precision (now "
                f"{config.precision})."
            )

    # -- what has been learned -------------------------------------------------------------------

    def snapshot(self) -> LearnedConcept:
        """What has been learned so far, to draw with: `timeline.then(training.snapshot())`."""
        concept, position = self._concept, len(self._timeline.concepts) + 1
        return LearnedConcept(
            name=concept.name,
            token=concept.token,
            template=concept.template,
            factors=self._method.weights.factors(),
            deltas=self._method.weights.deltas(),
            embeddings=self._method.token.value(),
            memory=self._memory or self._memory_so_far(),
            curve=tuple(self._curve),
            config=self._config,
            picture_count=len(self._pictures.images),
            pictures_sha256=self._pictures.sha256,
            picture_hashes=self._pictures.hashes,
            created=datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="seconds"),
            seconds=self._curve[-1].seconds if self._curve else 0.0,
            versions={library: version(library) for library in LIBRARIES},
            id=concept_id(position, concept.name),
        )

    def _memory_so_far(self) -> dict[str, Tensor]:
        if getgeneratorstate(self._loop) == GEN_CLOSED:
            return {}
        self._install()  # a picture may have been drawn since, and the token must be known
        return self._method.memory_so_far(self._backbone)

    def finish(self) -> LearnedConcept:
        """End here, early or after the last step, and return the learned concept; the base model is left clean.

        Raises TrainingError when no step has been done.
        """
        if self._dataset is None or not self._curve:
            self.close()
            raise TrainingError(f"Nothing is learned of {self._concept.token} yet. Let it do one step.")
        try:
            self._install()
            with self._saving():
                self._memory = self._method.end_concept(self._backbone, self._dataset, self._step_loss)
        finally:
            self.close()
        return self.snapshot()

    def close(self) -> None:
        """End here and leave the base model clean; what was learned is dropped. Harmless when called again."""
        self._loop.close()
        self._method.install(self._backbone, self._timeline.as_of(0), "")

    def __enter__(self) -> Training:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- checkpoints -----------------------------------------------------------------------------

    def state(self) -> TrainState:
        """The checkpoint after the last step; going on from it gives the same bits on the CPU."""
        states = self._optimizer.state_dict()["state"]
        tensors = {}
        for number, parameter in enumerate(self._parameters):
            tensors[f"parameter.{number}"] = parameter.detach()
            tensors |= {f"{key}.{number}": states[number][key] for key in ("step", *ADAMW_MOMENTS) if number in states}
        copies = {name: value.to("cpu", copy=True) for name, value in tensors.items()}
        return TrainState(len(self._curve), copies, tuple(self._curve))

    def _load(self, state: TrainState) -> None:
        tensors = state.tensors
        try:
            with torch.no_grad():
                for number, parameter in enumerate(self._parameters):
                    parameter.copy_(tensors[f"parameter.{number}"])
            if state.step:
                moments = {  # a parameter has none before its first update: fp16's scaler skips steps
                    number: {"step": tensors[f"step.{number}"].clone()}
                    | {key: tensors[f"{key}.{number}"].reshape(parameter.shape).clone() for key in ADAMW_MOMENTS}
                    for number, parameter in enumerate(self._parameters)
                    if f"step.{number}" in tensors
                }
                groups = self._optimizer.state_dict()["param_groups"]
                self._optimizer.load_state_dict({"state": moments, "param_groups": groups})
        except (KeyError, RuntimeError) as error:
            raise TrainingError(
                f"The checkpoint at step {state.step} was made with other settings. Learn from the start."
            ) from error
        self._curve = list(state.curve)
