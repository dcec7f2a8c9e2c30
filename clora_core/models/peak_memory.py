"""How much memory this programme has taken."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from pathlib import Path


def reset_peak_memory(device: str | None) -> None:
    """Begin to measure the peak memory, where the device or the system can tell."""
    import torch

    gc.collect()  # the cell before may have left its model
    if torch.cuda.is_available() and device != "cpu":
        torch.cuda.init()  # a worker that has just begun has not
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with suppress(OSError, AttributeError, TypeError):  # another system or C library
            ctypes.CDLL(None).malloc_trim(0)  # what the cell before freed, glibc keeps
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # VmHWM starts anew, see proc(5)


def peak_memory_mb(device: str | None) -> int | None:
    """The peak since ``reset_peak_memory``: of the GPU's allocator, on a CPU of the whole process (Linux; else
    None)."""
    import torch

    if torch.cuda.is_available() and device != "cpu":
        return round(torch.cuda.max_memory_allocated(device) / 1e6)
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) * 1024 / 1e6)
    return None
