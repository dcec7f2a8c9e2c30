"""How a programme is told to end: SIGTERM, of a service or a container, and SIGHUP, of a closed terminal, end it as
Ctrl+C does, so that what is being learned leaves a checkpoint."""

from __future__ import annotations

import signal
import threading


def end_as_by_ctrl_c() -> None:
    """Have both signals raise KeyboardInterrupt in the main thread. One that somebody ignores, as nohup does, stays
    ignored. Nothing happens in another thread."""
    if threading.current_thread() is not threading.main_thread():
        return
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
