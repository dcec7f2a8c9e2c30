"""Which addresses this page answers to, so that another website in a visitor's browser cannot use it.

A website may have its own name point to this machine (DNS rebinding): then its requests name that website as their
host. Or it may send requests to this page's address: then the browser names it as their origin. Both are refused. A
website cannot become a number, so numeric addresses are answered.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from functools import cache

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SHARED = ".gradio.live"  # names of Gradio's relay
REFUSED = (
    "C-LoRA Studio does not answer to this name, so that other websites cannot use it through your browser. Open it by "
    "the address that it printed, or start it with --allow-host {name}."
)


@cache
def names_of_this_machine() -> frozenset[str]:
    """What its owner may call it on the own network."""
    name = socket.gethostname().lower()
    return frozenset(("localhost", name, f"{name}.local"))


class OwnHosts:
    """ASGI middleware that answers requests for this machine's names, for ``names`` and for numbers, from the page
    itself.

    names: host names without ports that lead here through a proxy; one that begins with a dot stands for all below it.
    any_host: answer to every name and look at the origin alone, for a page that asks for a password, which a website
    does not know.
    """

    def __init__(self, app: ASGIApp, names: Collection[str] = (), any_host: bool = False) -> None:
        self._app, self._any_host = app, any_host
        self._names = tuple(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it with 403."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if not (self._any_host or self._ours(host)):
            refusal = REFUSED.format(name=_name(host) or "NAME")
        elif origin is not None and not self._from_here(origin, host):
            refusal = REFUSED.format(name=_name(origin.partition("://")[2]) or "NAME")
        else:
            await self._app(scope, receive, _unframed(send))
            return
        await PlainTextResponse(refusal, status_code=403)(scope, receive, send)

    def _ours(self, host: str) -> bool:
        return _name(host) in names_of_this_machine() or _is_number(_name(host)) or self._through_proxy(host)

    def _from_here(self, origin: str, host: str) -> bool:
        """Whether a request was sent by the page itself, as a proxy may call it; not by another port of this
        machine."""
        place = origin.partition("://")[2]
        return place.lower() == host.lower() or self._through_proxy(place)

    def _through_proxy(self, host: str) -> bool:
        name = _name(host)
        return any(name == known or (known.startswith(".") and name.endswith(known)) for known in self._names)


def _name(host: str) -> str:
    """The host without its port, in small letters: "[::1]:7860" -> "::1"."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().rstrip(".")


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _unframed(send: Send) -> Send:
    """Answers say that no other website may show the page inside its own, nor guess what a file is."""

    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("X-Frame-Options", "SAMEORIGIN")
            headers.setdefault("X-Content-Type-Options", "nosniff")
        await send(message)

    return with_headers
