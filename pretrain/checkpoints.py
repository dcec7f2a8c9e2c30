"""What a stage of the training writes, so that it can be stopped at any moment and go on from there."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from diffusers.training_utils import EMAModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from pretrain.optimiser import MuonAdamW


class Checkpoint:
    """Model, EMA and optimiser of one stage on disk, as ``<stage>.safetensors``, written atomically."""

    def __init__(self, folder: Path, stage: str, model: nn.Module, optimiser: MuonAdamW, ema: EMAModel):
        self.path = folder / f"{stage}.safetensors"
        self.model, self.optimiser, self.ema = model, optimiser, ema

    def save(self, samples: int) -> None:
        """Everything after ``samples`` samples, which may be in batches of another size later on."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        names = self.optimiser.parameters
        tensors |= {f"ema.{name}": mean for name, mean in zip(names, self.ema.shadow_params, strict=True)}
        for name, parameter in names.items():
            for key, value in self.optimiser.state_of(parameter).items():
                tensors[f"optimiser.{name}.{key}"] = value
        partial = self.path.with_suffix(".partial")
        copies = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
        save_file(copies, partial, metadata={"samples": str(samples), "ema": str(self.ema.optimization_step)})
        partial.replace(self.path)

    def load(self) -> int:
        """The samples seen so far, 0 if there is no checkpoint."""
        if not self.path.exists():
            return 0
        tensors = load_file(self.path)
        pick = {name.split(".", 1)[1]: value for name, value in tensors.items() if name.startswith("model.")}
        self.model.load_state_dict(pick)
        for name, mean in zip(self.optimiser.parameters, self.ema.shadow_params, strict=True):
            mean.copy_(tensors[f"ema.{name}"])
        for path, value in tensors.items():
            kind, _, rest = path.partition(".")
            if kind == "optimiser":
                name, _, key = rest.rpartition(".")
                parameter = self.optimiser.parameters[name]
                state = self.optimiser.state_of(parameter)
                state[key] = value if key == "step" else value.to(parameter.device)
        with safe_open(self.path, "pt") as file:
            self.ema.optimization_step = int(file.metadata()["ema"])
            return int(file.metadata()["samples"])


class Log:
    """``<stage>.jsonl``, one line a measurement: samples seen, CPU minutes of this and all runs before, and figures."""

    def __init__(self, folder: Path, stage: str) -> None:
        self.path = folder / f"{stage}.jsonl"
        self.before = max([0.0, *(line["cpu_minutes"] for line in self.lines())])
        self.start = time.process_time()

    def lines(self) -> list[dict[str, Any]]:
        """All that is written so far; a line that was being written when a run was stopped is left out."""
        if not self.path.exists():
            return []
        whole = [text for text in self.path.read_text().split("\n")[:-1] if text.endswith("}")]
        return [json.loads(text) for text in whole]

    def write(self, samples: int, **figures: float) -> None:
        spent = self.before + (time.process_time() - self.start) / 60
        line = {"samples": samples, "cpu_minutes": round(spent, 2)}
        line |= {key: round(value, 5) for key, value in figures.items()}
        with open(self.path, "a") as file:
            file.write(json.dumps(line) + "\n")
        print(line, flush=True)


def keep_best(folder: Path, loss: float, save: Callable[[Path], None], count: int = 2) -> None:
    """``save`` into a folder ``best-<loss>`` if the loss is among the ``count`` lowest so far; others are deleted."""
    best = sorted(folder.glob("best-*"), key=lambda path: float(path.name.split("-")[1]))
    if len(best) >= count and loss >= float(best[count - 1].name.split("-")[1]):
        return
    target = folder / f"best-{loss:.5f}"
    save(target)
    for path in [path for path in best if path != target][count - 1 :]:
        shutil.rmtree(path)
