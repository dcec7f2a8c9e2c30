"""What ``bench forgetting`` compares: methods, and C-LoRA less one of its parts."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from clora_core.bench.cells import Cell
from clora_core.errors import SettingsError
from clora_core.models.description import BaseModel
from clora_core.settings.methods import BUILT_IN, CLORA

ABLATIONS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "clora-word-token": ("C-LoRA, token starts at a word", "token_start"),
        "clora-object-word": ("C-LoRA, object word kept in the prompt", "object_word"),
    }
)
"""C-LoRA less one part each: its title, and the setting that is the model's object word; less Eq. 3 it is "stacked"."""


def arm_title(arm: str) -> str:
    """What people call an arm; a method of somebody else's goes by its name, for a line does not say its title."""
    return ABLATIONS[arm][0] if arm in ABLATIONS else BUILT_IN.title(arm)


def cells_of(arms: Sequence[str], orders: int, seeds: int, base: BaseModel) -> list[Cell]:
    """All cells, those of every arm's first order and seed first, so that a first comparison is early there.

    Raises SettingsError for an unknown arm, for an ablation that needs a word the model does not say (asked.json), and
    when there would be no cell.
    """
    if orders < 1 or seeds < 1 or not arms:
        raise SettingsError("A comparison needs at least one method, one order and one seed.")
    known = (*base.methods.names, *ABLATIONS)
    if unknown := [arm for arm in arms if arm not in known]:
        raise SettingsError(f"Unknown method {', '.join(unknown)}. Known: {', '.join(known)}.")
    changes = {arm: _changes(arm, base) for arm in arms}
    rounds = itertools.product(range(orders), range(seeds), changes)
    return [Cell(arm, changes[arm], order, seed) for order, seed, arm in rounds]


def _changes(arm: str, base: BaseModel) -> dict[str, str]:
    if arm not in ABLATIONS:
        return {"method": arm}
    if not base.asked:
        raise SettingsError(f"{arm} needs a word for what is taught, and {base.name} has no asked.json that says one.")
    return {"method": CLORA.name, ABLATIONS[arm][1]: base.asked.object_word}
