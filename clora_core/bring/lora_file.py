"""What a LoRA file of another programme holds, by its keys: what a timeline can hold, and what it cannot.

Read from the header alone, without torch. The keys are those of kohya's scripts, LyCORIS's LoCon, diffusers and peft.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from clora_core.answers import LoraContents, what_is_left
from clora_core.bring.opened import opened
from clora_core.errors import ConceptError

HELD = re.compile(r"(?P<layer>.*attn2[._](?:processor\.)?to_(?:[kvq]|out(?:[._]0)?))(?P<end>[._].*)")
"""Cross-attention: what can be adapted here."""
ENDS = {
    "down": (".lora_down.weight", "_lora.down.weight", ".lora.down.weight", ".lora_A.weight"),
    "up": (".lora_up.weight", "_lora.up.weight", ".lora.up.weight", ".lora_B.weight"),
    "alpha": (".alpha",),
}
SIDES = {end: side for side, ends in ENDS.items() for end in ends}
OTHERS = {
    "dora_scale": "a DoRA",
    "lora_magnitude_vector": "a DoRA",
    "hada_": "a LoHa",
    "lokr_": "a LoKr",
    "oft_": "an OFT",
    "lora_mid": "a LoCon in Tucker's form",
    "diff": "a difference of whole weights",
}
"""What is no pair of low rank, by a part of its keys."""
KINDS = {  # a layer is of the first whose pattern its name holds
    "of the text encoder": r"^(lora_te|text_encoder|te\d?[._])",
    "of self-attention": r"attn1",
    "of feed-forward layers": r"ff[._]net",
    "of convolutions": r"conv|resnets|samplers|in_layers|out_layers|skip|[._]op$",
}
REST = "of other layers"
LAYER_ENDS = re.compile(r"([._]lora[._A-Z].*|\.(alpha|dora_scale|diff.*|hada_.*|lokr_.*|oft_.*|weight|bias|scalar))$")
EMBEDDINGS = frozenset({"emb_params", "clip_l", "clip_g"})
METADATA = "lora_adapter_metadata"  # what peft noted of it, as diffusers keeps it


@dataclass(frozen=True)
class LoraFile:
    """held: by layer, the key of its "down", "up" and, where it has one, "alpha".  contents: for people."""

    path: Path
    held: Mapping[str, Mapping[str, str]]
    contents: LoraContents
    metadata: Mapping[str, str]


def read_lora(path: Path) -> LoraFile:
    """What the file holds. Raises ConceptError: it cannot be read, is no LoRA, or has nothing that can be held here."""
    with opened(path) as file:
        shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118  it is no dict
        metadata = dict(file.metadata() or {})
    held: dict[str, dict[str, str]] = {}
    rest: dict[str, str] = {}  # by layer, one of its keys
    for key in shapes:
        found = HELD.fullmatch(key)
        if found is None:
            rest.setdefault(_layer(key), key)
        elif found["end"] in SIDES:
            held.setdefault(found["layer"], {})[SIDES[found["end"]]] = key
        else:
            raise ConceptError(_no_pair(path, key))
    if not held:
        raise ConceptError(_nothing_held(path, list(shapes)))
    for keys in held.values():
        if not {"down", "up"} <= keys.keys():
            raise ConceptError(f"{path.name} has only half of a pair: {next(iter(keys.values()))}. Download it again.")
    ranks = {_rank(path, shapes, keys) for keys in held.values()}
    kinds: dict[str, int] = {}
    for layer in sorted(rest):
        kinds[_kind(layer)] = kinds.get(_kind(layer), 0) + 1
    contents = LoraContents(
        path.name,
        len(held),
        (min(ranks), max(ranks)),
        kinds,
        next(iter(sorted(rest.values())), ""),
        _words(metadata),
        metadata.get("modelspec.architecture", "") or metadata.get("ss_base_model_version", ""),
    )
    return LoraFile(path, held, contents, metadata)


def check_left_out(contents: LoraContents, leave_out: bool) -> None:
    """Raise ConceptError where the file holds what a timeline cannot, and nobody chose to leave that out."""
    if contents.left_out and not leave_out:
        raise ConceptError(
            f"{contents.file} changes more than a concept can hold: {what_is_left(contents.left_out)} (such as "
            f"{contents.left_out_key}). Without those it draws other pictures. Choose to leave them out "
            f"(--leave-out, or the box on the page), or leave the file."
        )


def _rank(path: Path, shapes: Mapping[str, tuple[int, ...]], keys: Mapping[str, str]) -> int:
    """Of one pair. Raises ConceptError: it has none, or its halves do not fit each other."""
    down, up = shapes[keys["down"]], shapes[keys["up"]]
    if len(down) < 2 or len(up) < 2 or down[0] != up[1]:
        raise ConceptError(f"{path.name} is damaged: {keys['down']} does not fit {keys['up']}. Download it again.")
    if 0 in (*down, *up):
        raise ConceptError(f"{path.name} has the rank 0 in {keys['down']}: there is nothing in it.")
    return down[0]


def _layer(key: str) -> str:
    """What a key is of: kohya's names have no dot."""
    if key.startswith("lora_"):
        return key.partition(".")[0]
    return LAYER_ENDS.sub("", key)


def _kind(layer: str) -> str:
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, layer)), REST)


def _what(key: str) -> str:
    """What a key that belongs to no pair is of; "" = not known."""
    return next((what for part, what in OTHERS.items() if part in key), "")


def _no_pair(path: Path, key: str) -> str:
    what = _what(key)
    is_what = f"is {what}, and no plain LoRA" if what else "holds what belongs to no plain LoRA"
    return f"{path.name} {is_what} ({key}). Only pairs of low rank can be brought in."


def _nothing_held(path: Path, keys: list[str]) -> str:
    if not keys:
        return f"{path.name} holds nothing. Download it again."
    if set(keys) <= EMBEDDINGS:
        return f"{path.name} is an embedding, and no LoRA. Give it as the embedding (--embedding, or its field)."
    known = [key for key in keys if _what(key)]
    if known:
        return _no_pair(path, known[0])
    if any(LAYER_ENDS.search(key) and "lora" in key for key in keys):
        return (
            f"{path.name} changes nothing in cross-attention (it has {keys[0]}), so nothing of it can be "
            "held here. It is for a model of another kind, or changes other layers only."
        )
    return f"{path.name} is no LoRA: it has {keys[0]}."


def _words(metadata: Mapping[str, str]) -> str:
    """The words it was trained with, as far as it says: its trigger phrase, else the name of kohya's folder; "" for
    ours, which have embeddings."""
    if "clora.version" in metadata:
        return ""
    if phrase := metadata.get("modelspec.trigger_phrase", "").strip():
        return phrase
    with suppress(ValueError, TypeError, AttributeError):
        folder = next(iter(json.loads(metadata.get("ss_tag_frequency", "{}"))), "")
        return re.sub(r"^\d+_", "", folder).strip()
    return ""
