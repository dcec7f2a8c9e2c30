"""Text that people type, as far as it can be stored: one check for every door it comes in by."""

from __future__ import annotations

from clora_core.errors import SettingsError

MAX_LENGTH = 5000  # characters; models read a few hundred, and every open page is sent them


def check_text(text: str, what: str) -> None:
    """Raise SettingsError where `text` is none, is longer than MAX_LENGTH, or holds what no file can keep: half of a
    character (a lone surrogate, as broken programs paste it) or NUL.

    what: how the text is called in the message, e.g. "prompt".
    """
    if not isinstance(text, str):
        raise SettingsError(f"The {what} must be text, got {str(text)[:100]!r}.")
    if len(text) > MAX_LENGTH:
        raise SettingsError(f"The {what} has {len(text)} characters. Keep it to {MAX_LENGTH} or fewer.")
    wrong = next((letter for letter in text if letter == "\0" or "\ud800" <= letter <= "\udfff"), None)
    if wrong is not None:
        raise SettingsError(
            f"The {what} holds a character that cannot be stored (U+{ord(wrong):04X}). Delete it, or type it anew."
        )
