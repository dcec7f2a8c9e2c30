"""Which names and origins the page answers to, who is asked for a password, and how fast one can be guessed."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import httpx
import pytest
from fastapi import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

import app
from clora_core.errors import SettingsError
from demo import password
from demo.hosts import SHARED, OwnHosts, names_of_this_machine
from demo.password import Guard, chosen_account
from demo.sharing import refuse_without_password

HERE = "127.0.0.1:7860"


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("the page")(scope, receive, send)


def answer(host: str, origin: str | None = None, method: str = "POST", **options: object) -> httpx.Response:
    """What a page says to a request that a browser sends with these headers."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=OwnHosts(page, **options))  # type: ignore[arg-type]
        headers = {"Host": host} | ({"Origin": origin} if origin is not None else {})
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, "/", headers=headers)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("host", "origin", "code"),
    [
        (HERE, None, 200),
        (HERE, f"http://{HERE}", 200),
        ("localhost:7860", "http://localhost:7860", 200),
        ("[::1]:7860", "http://[::1]:7860", 200),
        ("192.168.1.5:7860", "http://192.168.1.5:7860", 200),
        (f"{sorted(names_of_this_machine())[0]}:7860", None, 200),
        ("rebound.example:7860", "http://rebound.example:7860", 403),  # DNS rebinding: the same origin, another name
        ("rebound.example:7860", None, 403),
        ("127.0.0.1.example.com", None, 403),
        ("localhost.example.com", None, 403),
        ("", None, 403),
        (HERE, "http://evil.example", 403),
        (HERE, "http://127.0.0.1:9999", 403),  # another programme's page on this machine
        (HERE, "null", 403),
        ("192.168.1.5:7860", "http://evil.example", 403),
    ],
)
def test_other_websites_are_refused(host: str, origin: str | None, code: int) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        found = answer(host, origin, method)
        assert found.status_code == code
        assert (found.text == "the page") == (code == 200)
        assert "access-control-allow-origin" not in found.headers


def test_a_proxys_name_is_answered_where_it_was_said() -> None:
    assert answer("studio.example", "https://studio.example").status_code == 403
    assert answer("studio.example", "https://studio.example", names=["studio.example"]).status_code == 200
    assert answer(HERE, "https://studio.example", names=["Studio.example"]).status_code == 200
    assert answer("abc.gradio.live", "https://abc.gradio.live", names=[SHARED]).status_code == 200
    assert answer("evilgradio.live", names=[SHARED]).status_code == 403


def test_with_a_password_any_name_is_answered_but_no_other_website() -> None:
    assert answer("studio.example", "https://studio.example", any_host=True).status_code == 200
    assert answer("studio.example", "https://evil.example", any_host=True).status_code == 403


def test_no_other_website_shows_the_page_inside_its_own() -> None:
    headers = answer(HERE).headers
    assert headers["x-frame-options"] == "SAMEORIGIN" and headers["x-content-type-options"] == "nosniff"


def test_others_are_let_in_only_when_that_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for flags in (["--host", "0.0.0.0"], ["--share"]):
        with pytest.raises(SystemExit) as left:
            app.main([*flags, "--home", str(tmp_path / "home")])
        assert left.value.code == 2 and "--without-password to let everybody in" in capsys.readouterr().err
    refuse_without_password(others=False, told=False)
    refuse_without_password(others=True, told=True)


def test_a_password_comes_from_the_command_a_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "account"
    file.write_text("ann:from:file\nmore\n", encoding="utf-8")
    variable = {password.VARIABLE: "ann:variable"}
    assert chosen_account("ann:typed", file, variable) == ("ann", "typed")
    assert chosen_account(None, file, variable) == ("ann", "from:file")
    assert chosen_account(None, None, variable) == ("ann", "variable")
    assert chosen_account(None, None, {}) is None
    file.write_text("", encoding="utf-8")
    for typed, path in ((None, file), (None, tmp_path / "none"), (":x", None), ("", None)):
        with pytest.raises(SettingsError, match="--auth"):
            chosen_account(typed, path, {})


def test_passwords_are_guessed_slowly_by_all_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(password, "FIRST_WAIT", 0.02)
    monkeypatch.setattr(password, "LONGEST_WAIT", 0.08)
    monkeypatch.setattr(password, "MOST_WAITING", 5)

    async def guess() -> None:
        guard = Guard(("ann", "secret"))
        began = time.monotonic()
        assert await guard.right("ann", "secret")
        assert time.monotonic() - began < 0.02  # nobody who knows it waits
        answers = await asyncio.gather(
            *(guard.right("ann", f"wrong {number}") for number in range(4)), guard.right("ann", "secret")
        )
        assert answers == [False, False, False, False, True]
        assert time.monotonic() - began >= 0.02 + 0.04 + 0.08 + 0.08
        assert await guard.right("ann", "secret")
        results = await asyncio.gather(*(guard.right("ä", "ö") for _ in range(9)), return_exceptions=True)
        assert sum(isinstance(result, HTTPException) and result.status_code == 429 for result in results) == 4

    asyncio.run(guess())
