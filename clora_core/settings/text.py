"""Text that people type, as far as it can be stored: one check for every door it comes in by."""

from __future__ import annotations

from clora_core.errors import SettingsError


def check_text(text: str, what: str) -> None:
    """Raise SettingsError where `text` holds what no file can keep: half of a character (a lone surrogate, as broken
    programs paste it) or NUL.

    what: how the text is called in the message, e.g. "prompt".
    """
    wrong = next((letter for letter in text if letter == "\0" or "\ud800" <= letter <= "\udfff"), None)
    if wrong is not None:
        raise SettingsError(
            f"The {what} holds a character that cannot be stored (U+{ord(wrong):04X}). Delete it, or type it anew."
        )
