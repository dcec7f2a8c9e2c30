"""Our errors -> ``gr.Error``, in one place.

A ``StudioError`` carries a sentence for the user, so it becomes a red notice with that sentence and no
traceback. Anything else is a bug: it passes through and shows its traceback in the terminal.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import wraps
from html import escape
from typing import Any

import gradio as gr

from clora_core.errors import ConceptError, PictureError, SettingsError, StudioError

TITLES: tuple[tuple[type[StudioError], str], ...] = (
    (PictureError, "Pictures"),
    (ConceptError, "Name or token"),
    (SettingsError, "Settings"),
)


def as_notice(error: StudioError, html: bool = True) -> gr.Error:
    """The red notice for one of our errors. html: for the page, which would take <rex> for a tag."""
    title = next((title for kind, title in TITLES if isinstance(error, kind)), "That did not work")
    return gr.Error(escape(str(error)) if html else str(error), title=title, print_exception=False)


def told(handler: Callable[..., Any], html: bool = True) -> Callable[..., Any]:
    """Wrap an event handler (plain or generator) so that our errors reach the user as a notice."""
    if inspect.isgeneratorfunction(handler):

        @wraps(handler)
        def generator(*args: Any, **kwargs: Any) -> Iterator[Any]:
            try:
                yield from handler(*args, **kwargs)
            except StudioError as error:
                raise as_notice(error, html) from error

        return generator

    @wraps(handler)
    def plain(*args: Any, **kwargs: Any) -> Any:
        try:
            return handler(*args, **kwargs)
        except StudioError as error:
            raise as_notice(error, html) from error

    return plain
