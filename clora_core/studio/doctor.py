"""What this machine can do: each thing that was looked at, what was found, and what helps where something is wrong."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from packaging.version import Version

from clora_core.disk import ASSETS
from clora_core.errors import StudioError

State = Literal["good", "note", "bad"]
DISTRIBUTION = "clora-studio"
REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements.txt"  # of a checkout
INSTALL = "python -m pip install -r requirements.txt"
OPTIONAL = {"pillow-heif": ("HEIC pictures of phones", "heic"), "mcp": ("assistants", "mcp")}
SAFE_PILLOW = Version("13.0")
HUB_SECONDS = 5.0
LITTLE_DISK = 2e9  # bytes: a model of today's sizes, or a few hundred concepts


@dataclass(frozen=True)
class Finding:
    """One line of the answer. state: "note" = works, with a limit.  remedy: what to do; "" where nothing is wrong."""

    what: str
    found: str
    state: State = "good"
    remedy: str = ""


def examine(
    home: Path, model: str | None = None, device: str | None = None, precision: str | None = None
) -> Iterator[Finding]:
    """Look at one thing after the other, the quick ones first. Raises nothing: what fails is a finding.

    home: where timelines live.  model: folder, file or Hub id; None = the embedded one.  device: None = the best.
    precision: of the model's weights; None = by device.
    """
    looks: dict[str, Callable[[], Iterator[Finding]]] = {
        "Python": _python,
        "packages": _packages,
        "home": lambda: _disk(home),
        "device": lambda: _machine(device),
        "model": lambda: _model(model or str(ASSETS / "base"), device, precision),
        "Hub": _hub,
    }
    for what, look in looks.items():
        try:
            yield from look()
        except (OSError, ImportError, RuntimeError, ValueError, StudioError) as error:
            yield Finding(what, " ".join(str(error).split()), "bad", "See what the error says.")


def _python() -> Iterator[Finding]:
    yield Finding("Python", f"{platform.python_version()} on {platform.platform()}")


def _packages() -> Iterator[Finding]:
    """What must be installed, as one finding, and each that is missing or of another version."""
    wrong = 0
    for needed in _required():
        try:
            found = version(needed.name)
        except PackageNotFoundError:
            wrong += 1
            yield Finding(needed.name, "is not installed", "bad", INSTALL)
            continue
        if found not in needed.specifier:
            wrong += 1
            yield Finding(needed.name, f"{found}, where {needed.specifier} is needed", "bad", INSTALL)
    if not wrong:
        told = ", ".join(f"{name} {version(name)}" for name in ("torch", "diffusers", "transformers", "peft", "gradio"))
        yield Finding("packages", told)
    for name, (what, extra) in OPTIONAL.items():
        try:
            yield Finding(name, f"{version(name)}, for {what}")
        except PackageNotFoundError:
            remedy = f"If you want them: python -m pip install '{DISTRIBUTION}[{extra}]', or {name} alone."
            yield Finding(name, f"is not installed: no {what}", "note", remedy)
    if Version(version("pillow")) < SAFE_PILLOW:
        yield Finding(
            "Pillow",
            f"{version('pillow')} has holes that 13.0 has closed; Gradio does not allow 13.0 yet",
            "note",
            "Open pictures only from people you trust, and update when Gradio can.",
        )


def _required() -> Iterator[Requirement]:
    if REQUIREMENTS.is_file():
        lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    else:
        lines = requires(DISTRIBUTION) or []
    for line in lines:
        if line.strip() and not line.startswith("#"):
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                yield needed


def _disk(home: Path) -> Iterator[Finding]:
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if not there.is_dir() or not os.access(there, os.W_OK):
        yield Finding("home", f"{home} cannot be written", "bad", "Choose another with --home, or set CLORA_HOME.")
    elif free < LITTLE_DISK:
        yield Finding("home", f"{home}, {_gb(free)} free", "note", "Free some space, or empty the trash: clora trash.")
    else:
        yield Finding("home", f"{home}, {_gb(free)} free")


def _machine(device: str | None) -> Iterator[Finding]:
    """Memory and processor, and the device that is used."""
    import psutil
    import torch

    from clora_core.models.loading import best_device
    from clora_core.models.precision import bf16_in_hardware

    memory = psutil.virtual_memory()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Finding("processor", f"{cores} cores; {_gb(memory.available)} of {_gb(memory.total)} of memory are free")
    chosen = torch.device(device or best_device())
    fast = "bf16 in hardware" if bf16_in_hardware(chosen) else "no bf16 in hardware"
    if chosen.type == "cuda":
        free, total = torch.cuda.mem_get_info(chosen)
        name = torch.cuda.get_device_name(chosen)
        yield Finding("device", f"{chosen}: {name}, {_gb(free)} of {_gb(total)} free, {fast}")
    elif chosen.type == "cpu":
        remedy = "The embedded model needs no GPU. Stable Diffusion takes seconds a step here: you want one."
        yield Finding("device", f"cpu, {fast}", "note", remedy)
    else:
        yield Finding("device", str(chosen))


def _model(model: str, device: str | None, precision: str | None) -> Iterator[Finding]:
    """Whether it can be used, whether its denoiser's weights fit, and if they do, whether learning does."""
    from clora_core.models.description import read_base

    try:
        base = read_base(model)
    except StudioError as error:
        yield Finding("model", " ".join(str(error).split()), "bad", "Give another with --model.")
        return
    if not base.id:
        remedy = "It is downloaded when it is first used. Without a network, give a folder or a .safetensors file."
        yield Finding("model", f"{model} is not on this machine, or not whole", "note", remedy)
        return
    import psutil
    import torch

    from clora_core.models.loading import best_device, denoiser_parameters

    on_card = (device or best_device()).startswith("cuda")
    room = torch.cuda.mem_get_info()[1] if on_card else psutil.virtual_memory().total
    weights = denoiser_parameters(model) * (2 if on_card else 4)  # bf16 on a card, fp32 elsewhere
    said = f"{base.name}, {base.resolution} px; the denoiser's weights take {_gb(weights)} of {_gb(room)}"
    if weights > room:
        yield Finding("model", said, "bad", "It does not fit. Use a smaller model, or a larger card.")
        return
    yield Finding("model", said)
    from clora_core.jobs.check import Loaded
    from clora_core.jobs.pace import fit_of
    from clora_core.models.loading import load_backbone

    fit = fit_of(Loaded(load_backbone(model, device, precision), base))
    if fit.fits:
        yield Finding("learning", fit.words())
    else:
        smaller = "--precision fp8, a lower --resolution or a larger card" if on_card else "a lower --resolution"
        yield Finding("learning", fit.words(), "bad", f"Try {smaller}.")


def _hub() -> Iterator[Finding]:
    """Whether models can be downloaded."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        yield Finding("Hub", "switched off by HF_HUB_OFFLINE", "note", "Unset it to download models.")
        return
    try:
        get_session().head(constants.ENDPOINT, timeout=HUB_SECONDS)
    except Exception as error:  # noqa: BLE001  whatever client the Hub's library has
        yield Finding(
            "Hub",
            f"{constants.ENDPOINT} does not answer ({type(error).__name__})",
            "note",
            "What is on this machine works. To download: check the connection, or set HTTPS_PROXY or HF_ENDPOINT.",
        )
        return
    yield Finding("Hub", f"{constants.ENDPOINT} answers")


def _gb(count: float) -> str:
    return f"{count / 1e9:.1f} GB"
