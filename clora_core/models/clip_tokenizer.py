"""The tokenizer of CLIP, which all Stable Diffusion models read with: from the merges that lie in configs."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

from transformers import CLIPTokenizer

MERGES = Path(__file__).parent / "configs" / "clip_merges.txt.gz"
PRINTABLE = (*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1))
"""The bytes that stand for themselves; the others are written as the letters from 256 on."""


START, END = "<|startoftext|>", "<|endoftext|>"


def clip_tokenizer(pad_token: str = END) -> CLIPTokenizer:
    """It reads 77 pieces of 49,408 words.

    pad_token: "!" for Stable Diffusion 2.x and the second text encoder of SDXL.
    """
    lines = gzip.decompress(MERGES.read_bytes()).decode().splitlines()
    letters = [*map(chr, PRINTABLE), *(chr(256 + place) for place in range(256 - len(PRINTABLE)))]
    words = [*letters, *(letter + "</w>" for letter in letters), *(line.replace(" ", "") for line in lines)]
    vocab = {word: number for number, word in enumerate([*words, START, END])}
    merges: list[Any] = [tuple(line.split()) for line in lines]  # its hints say text, its tokenizer wants pairs
    return CLIPTokenizer(vocab=vocab, merges=merges, pad_token=pad_token, model_max_length=77)
