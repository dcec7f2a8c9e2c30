"""``accelerate launch -m clora_core learn ...``: several processes learn one concept, each a share of every batch.

The first has the home and says what happens. Each other learns the same, silently, in a copy that is thrown away.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clora_core.disk import home_folder

NOT_COPIED = ("pictures", "exports")  # folders of a home that nothing is learned from


@contextmanager
def shared_home(asked: Path | None, device: str | None) -> Iterator[Path | None]:
    """The home that this process works in: the one ``asked`` for, or a copy. device: None = the best there is."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield asked
        return
    from accelerate import PartialState

    from clora_core.models.loading import best_device

    state = PartialState(cpu=(device or best_device()) == "cpu")
    if state.is_main_process:
        state.wait_for_everyone()  # until the others have copied it
        yield asked
        state.wait_for_everyone()  # none has still to hear from this one
        return
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  for as long as the process lives
    with tempfile.TemporaryDirectory(prefix="clora-process-") as folder:
        home, copy = home_folder(asked), Path(folder) / "home"
        if home.is_dir():
            shutil.copytree(home, copy, ignore=lambda path, _: NOT_COPIED if Path(path) == home else ())
        state.wait_for_everyone()
        yield copy
        state.wait_for_everyone()
