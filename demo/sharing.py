"""What a page refuses that others can reach without a password: whatever takes something away."""

from __future__ import annotations

import os

from clora_core.errors import StoreError

LOOPBACK = ("", "localhost", "127.0.0.1", "::1")
NOT_HERE = (
    "Others can reach this page without a password, so nothing is taken back here. "
    "Start it with --auth NAME:PASSWORD to allow that."
)

NO_SETTINGS = (
    "Others can reach this page without a password, so its model and its home stay as they are. "
    "Start it with --auth NAME:PASSWORD to change them here."
)


def open_to_others(share: bool, host: str, space: bool) -> bool:
    """Whether others can reach the page. share: through a public link.  host: the address it listens on, "" for
    this machine.  space: it runs as a Hugging Face Space."""
    return share or space or host not in LOOPBACK


def reach_directly(*hosts: str) -> None:
    """Have this programme ask these hosts without the proxy that $http_proxy may name."""
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), *hosts)))


def refuse_unless(may_remove: bool, why: str = NOT_HERE) -> None:
    """Raise StoreError where nothing may be taken away."""
    if not may_remove:
        raise StoreError(why)
