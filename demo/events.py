"""How a handler is bound to an event, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import gradio as gr
from gradio.blocks import Block

Handler = TypeVar("Handler", bound=Callable[..., Any])

Changes = dict[Block, Any]
"""What a handler returns: the components that change, each with its new value. Where none does: ``unchanged()``."""

QUEUED: MappingProxyType[str, Any] = MappingProxyType(
    {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
)
"""For handlers that answer at once and may refuse: no spinner, not in the API, and none waits for another or for a
drawing. They go through the queue, for Gradio shows the errors of no other handler."""

QUIET: MappingProxyType[str, Any] = MappingProxyType(
    {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
)
"""For handlers that never refuse: they do without the queue."""


def never_refuses(handler: Handler) -> Handler:
    """Mark a handler that can answer whatever it is asked: only such a one may be bound with ``QUIET``."""
    handler.__dict__["never_refuses"] = True
    return handler


def unchanged() -> Changes:
    """No component changes. Gradio takes an empty dict for a value."""
    return gr.skip()  # type: ignore[no-any-return]


def whenever(
    changes: Sequence[Callable[..., Any]], handler: Handler, inputs: Any, outputs: Any, **how: Any
) -> gr.events.Dependency:
    """Run ``handler`` after the last of many changes: never twice at once, and once more for what came meanwhile.

    Gradio's own ``always_last`` does that by playing the whole event again, with everything else that is bound to it.
    Two such handlers on one event call each other without end, and the page is busy for good. So the event itself only
    passes on, and the handler follows.
    """
    passed = gr.on(changes, None, js="() => []", trigger_mode="multiple", **QUIET)
    follows: gr.events.Dependency = passed.then(handler, inputs, outputs, trigger_mode="always_last", **how)
    return follows
