"""Whether what is asked for can be brought into a timeline, as far as that is known without the model. No torch."""

from __future__ import annotations

from pathlib import Path

from clora_core.bring.lora_file import check_left_out, read_lora
from clora_core.bring.opened import opened
from clora_core.errors import SettingsError
from clora_core.settings.methods import MethodRow


def check_asked(
    method: MethodRow, lora: Path | None, embedding: Path | None, word: str = "", leave_out: bool = False
) -> None:
    """Raise SettingsError: there is no file, the method has no place for such a concept, or nothing says what its token
    means.  ConceptError: a file cannot be read, is of a kind that cannot be held, or holds more than a concept can."""
    if not (lora or embedding):
        raise SettingsError("There is nothing to bring in. Give a LoRA, an embedding, or both.")
    if not method.keeps_pairs and not (method.weightless and not lora):
        raise SettingsError(_no_place(method))
    contents = read_lora(lora).contents if lora else None
    if contents:
        check_left_out(contents, leave_out)
    if embedding:
        with opened(embedding):
            return
    if contents and not word.strip():
        said = f" It says {contents.words!r} itself." if contents.words else ""
        raise SettingsError(
            f"{contents.file} alone does not say what its token means. Give its embedding, or the word it was trained "
            f"with.{said}"
        )


def _no_place(method: MethodRow) -> str:
    if method.weightless:
        return f"{method.title} learns tokens alone, so it takes an embedding and no LoRA. Use a timeline of C-LoRA."
    return (
        f"Under {method.title} a concept has no low-rank pair of its own, so one from elsewhere has no place there. "
        "Use a timeline of C-LoRA, or of stacked, merged or routed LoRAs."
    )
