"""``bench train``: a step as it is done here, beside one as example scripts do it, pair by pair in one run.

The reference learns the same numbers of the same model on the same pictures, with the same batch, precision and
optimizer. It does in every step what diffusers' example scripts do there: the pictures go through the VAE, and every
prompt through the text encoders. Here pictures are encoded once, before the first step, and alike prompts once a step.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from clora_core.bench.tables import table
from clora_core.concepts import Concept, Timeline, TrainConfig, filled
from clora_core.data.dataset import make_views
from clora_core.jobs.pace import noise_picture
from clora_core.learning.losses import diffusion_loss, diffusion_target
from clora_core.learning.noise import draw_noise
from clora_core.learning.optimizer import make_optimizer
from clora_core.learning.trainer import train_concept
from clora_core.methods import class_of
from clora_core.models.backbone import Backbone
from clora_core.models.peak_memory import peak_memory_mb, reset_peak_memory
from clora_core.models.precision import make_accelerator, resolved_precision
from clora_core.seeds import generator_for
from clora_core.studio.progress import Say

PICTURES = 4
EMPTY = Timeline("bench", "Bench", "")
CONCEPT = Concept("Noise", "<noise>", tuple(Path(f"noise-{number}.png") for number in range(PICTURES)))


def measure_train(
    backbone: Backbone, config: TrainConfig, pairs: int, steps: int, say: Say
) -> Iterator[dict[str, Any]]:
    """A row a pair: median seconds of ``steps`` steps on either side, and the peak memory of each in MB.

    config: of the first concept.  Each side does a step that does not count before the first pair.
    """
    config = config.updated({"steps": (pairs + 1) * steps + 1, "preview_every_seconds": 0.0, "prior_pictures": 0})
    began = time.perf_counter()
    with train_concept(backbone, CONCEPT, EMPTY, config, opening=noise_picture) as training:
        next(training)  # also encodes the pictures
        ready, device = time.perf_counter() - began, str(backbone.device)
        reference = _reference(backbone, config)
        next(reference)
        about = _about(backbone, config, training.fit.savings.words())
        for pair in range(pairs):
            say(f"pair {pair + 1} of {pairs}")
            row: dict[str, Any] = {"pair": pair, **about, "ready_seconds": round(ready, 2)}
            timed: dict[str, list[float]] = {"ours": [], "reference": []}
            for _ in range(steps):  # in turns, so that whatever else the machine does slows both alike
                for side, loop in (("ours", training), ("reference", reference)):
                    reset_peak_memory(device)
                    timed[side].append(_timed(loop, backbone))
                    row[f"{side}_mb"] = max(peak_memory_mb(device) or 0, row.get(f"{side}_mb", 0)) or None
            yield row | {f"{side}_seconds": round(statistics.median(each), 4) for side, each in timed.items()}
        reference.close()


def _timed(loop: Iterator[Any], backbone: Backbone) -> float:
    wait: Callable[[], None] = torch.cuda.synchronize if backbone.device.type == "cuda" else lambda: None
    wait()
    began = time.perf_counter()
    next(loop)
    wait()
    return time.perf_counter() - began


def _reference(backbone: Backbone, config: TrainConfig) -> Generator[None]:
    """One step after the other, as the example scripts do them."""
    config = config.updated({"precision": resolved_precision(config.precision, backbone.device, backbone.dtype)})
    method, noise_scheduler = class_of(config.method)(config), backbone.noise_scheduler
    method.install(backbone, EMPTY, "", reserve=CONCEPT.token)
    parameters = list(method.begin_concept(backbone, CONCEPT, EMPTY))
    accelerator = make_accelerator(backbone.device, config.precision)
    optimizer = accelerator.prepare(make_optimizer(parameters, method))
    pictures = [noise_picture(path, config.resolution).image for path in CONCEPT.pictures]
    views = make_views([picture for picture in pictures if picture], CONCEPT, config)
    prompt, step = filled(CONCEPT.template, CONCEPT.token), 0
    while True:
        step += 1
        method.install(backbone, EMPTY, "", reserve=CONCEPT.token)
        order = torch.randperm(len(views), generator=generator_for(config.seed, "order", step))
        batch = [views[int(place)] for place in (order.repeat(config.batch_size))[: config.batch_size]]
        with method.attached():
            x0 = backbone.to_latents([view.image for view in batch])
            noise, t = draw_noise(x0, noise_scheduler, config.seed, step)
            xt = noise_scheduler.add_noise(x0, noise, t)
            with accelerator.autocast():
                prompts = [f"{prompt}{' ' * row}" for row in range(len(batch))]  # read one by one, also where alike
                prediction = backbone.predict(xt, t, backbone.encode(prompts))
            target = diffusion_target(noise_scheduler, x0, noise, t)
            accelerator.backward(diffusion_loss(prediction, target, torch.ones_like(x0[:, :1])))
        accelerator.clip_grad_norm_(parameters, config.gradient_clip or float("inf"))
        optimizer.step()
        optimizer.zero_grad()
        yield


def _about(backbone: Backbone, config: TrainConfig, savings: str) -> dict[str, Any]:
    """What was measured, and on what."""
    return {
        "method": config.method.name,
        "resolution": config.resolution,
        "batch": config.batch_size,
        "precision": resolved_precision(config.precision, backbone.device, backbone.dtype),
        "savings": savings,
        "device": backbone.device.type,
        "machine": _machine(backbone.device),
        "threads": torch.get_num_threads(),
        "versions": {library: version(library) for library in ("torch", "diffusers", "transformers", "accelerate")},
    }


def _machine(device: torch.device) -> str:
    """The card's name, else the processor's."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def train_report(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The rows, and what they say as a table."""
    ours, reference = (statistics.median(row[f"{side}_seconds"] for row in rows) for side in ("ours", "reference"))
    times = [row["reference_seconds"] / row["ours_seconds"] for row in rows]
    shown = [
        ["here", f"{ours:.3f} s", _mb(rows, "ours_mb")],
        ["reference", f"{reference:.3f} s", _mb(rows, "reference_mb")],
    ]
    said = f"{statistics.median(times):.2f} times as fast ({min(times):.2f} to {max(times):.2f} over {len(rows)} pairs)"
    return {"text": f"{table([rows[0]['model'], 'a step', 'peak memory'], shown)}\n{said}", "rows": list(rows)}


def _mb(rows: Sequence[dict[str, Any]], key: str) -> str:
    found = [row[key] for row in rows if row[key] is not None]
    return f"{max(found)} MB" if found else "-"
