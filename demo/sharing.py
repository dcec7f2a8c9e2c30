"""Who can reach a page, and what it refuses to those who need no password: whatever takes something away."""

from __future__ import annotations

import os

import gradio as gr

from clora_core.errors import SettingsError, StoreError

LOOPBACK = ("", "localhost", "127.0.0.1", "::1")
NOT_HERE = (
    "Others can reach this page without a password, so nothing is taken back here. "
    "Start it with --auth NAME:PASSWORD to allow that."
)

NOT_YOURS = (
    "Others can reach this page without a password, so a lesson is paused, moved, stopped and started over only in the "
    "tab of the browser in which it was begun. With --auth NAME:PASSWORD everybody who knows it can."
)

NO_SETTINGS = (
    "Others can reach this page without a password, so its model and its home stay as they are. "
    "Start it with --auth NAME:PASSWORD to change them here."
)


def open_to_others(share: bool, host: str, space: bool) -> bool:
    """Whether others can reach the page. share: through a public link.  host: the address it listens on, "" for
    this machine.  space: it runs as a Hugging Face Space."""
    return share or space or host not in LOOPBACK


def on_a_space() -> bool:
    """Whether this programme runs as a Hugging Face Space, which its owner has made public or private there."""
    return "SPACE_ID" in os.environ


def refuse_without_password(others: bool, told: bool) -> None:
    """Raise SettingsError for a page that others can reach, unless its owner has ``told`` who may."""
    if others and not told:
        raise SettingsError(
            "Others could reach this page and use it. Give --auth NAME:PASSWORD or --auth-file FILE to ask them for a "
            "password, or --without-password to let everybody in."
        )


def reach_directly(*hosts: str) -> None:
    """Have this programme ask these hosts without the proxy that $http_proxy may name."""
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), *hosts)))


def refuse_unless(may_remove: bool, why: str = NOT_HERE) -> None:
    """Raise StoreError where nothing may be taken away."""
    if not may_remove:
        raise StoreError(why)


class Owners:
    """In which tab of a browser each lesson was begun, as long as this programme runs. It counts where ``may_remove``
    is False."""

    def __init__(self, may_remove: bool) -> None:
        self._may_remove = may_remove
        self._tabs: dict[str, str | None] = {}

    def note(self, job_id: str, request: gr.Request) -> None:
        """The visitor of this request has begun a lesson."""
        self._tabs[job_id] = request.session_hash

    def refuse_others(self, job_id: str, request: gr.Request) -> None:
        """Raise StoreError where the lesson is somebody else's."""
        tab = self._tabs.get(job_id)
        if not (self._may_remove or (tab and tab == request.session_hash)):
            raise StoreError(NOT_YOURS)
