"""The name and password that visitors are asked for: where they are read from, and how often they can be guessed."""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import Mapping
from pathlib import Path

from fastapi import HTTPException

from clora_core.errors import SettingsError

VARIABLE = "CLORA_AUTH"
FIRST_WAIT, LONGEST_WAIT = 0.5, 2.0  # seconds before the next answer, after one wrong password and after many
MOST_WAITING = 10
Account = tuple[str, str]
"""Name and password."""


def name_and_password(text: str, where: str) -> Account:
    """Split NAME:PASSWORD. where: it stands, for the error. Raises SettingsError when one of them is missing."""
    name, _, password = text.strip().partition(":")
    if not (name and password):
        raise SettingsError(f"{where}: give NAME:PASSWORD, for example studio:a-long-password")
    return name, password


def chosen_account(typed: str | None, file: Path | None, environment: Mapping[str, str] = os.environ) -> Account | None:
    """The account of --auth, else of --auth-file, else of $CLORA_AUTH; None = none is asked for.

    Raises SettingsError when it is malformed or the file cannot be read.
    """
    if typed is not None:
        return name_and_password(typed, "--auth")
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise SettingsError(f"--auth-file {file} cannot be read: {error}.") from error
        return name_and_password(lines[0] if lines else "", f"--auth-file {file}")
    if environment.get(VARIABLE):
        return name_and_password(environment[VARIABLE], f"${VARIABLE}")
    return None


class Guard:
    """Compares what visitors type. All are looked at one after the other, and after wrong ones with a wait, whoever
    typed them: half a million guesses take twelve days, and one who knows the password waits 20 seconds at most."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._wait, self._waiting, self._in_turn = 0.0, 0, asyncio.Lock()

    async def right(self, name: str, password: str) -> bool:
        """Whether both are right. Raises HTTPException (429) when too many wait already."""
        if self._waiting >= MOST_WAITING:
            raise HTTPException(429, "Too many are trying to log in. Try again in a few minutes.")
        self._waiting += 1
        try:
            async with self._in_turn:
                await asyncio.sleep(self._wait)
                right = hmac.compare_digest(f"{name}:{password}".encode(), ":".join(self._account).encode())
                self._wait = 0.0 if right else min(LONGEST_WAIT, max(FIRST_WAIT, 2 * self._wait))
                return right
        finally:
            self._waiting -= 1
