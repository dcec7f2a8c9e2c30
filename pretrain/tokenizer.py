"""The embedded model's own byte-level BPE, in ``CLIPTokenizer`` format, and the list of words that captions teach."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from pretrain.captions import caption
from pretrain.corpus import Corpus
from pretrain.model import TOKENS

START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"
VOCABULARY = 3000


def corpus_captions(count: int = 40_000) -> list[str]:
    """Captions of the first ``count`` training scenes."""
    corpus = Corpus("train")
    return [caption(corpus[index], random.Random(f"tokenizer/{index}")) for index in range(count)]


def build_tokenizer(captions: list[str]) -> CLIPTokenizer:
    """A lower-casing BPE trained on the captions; every byte has a piece, so any typed word can be encoded."""
    bpe = Tokenizer(models.BPE(end_of_word_suffix=WORD_END, unk_token=END))
    bpe.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(r" ", "removed"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=alphabet, end_of_word_suffix=WORD_END, show_progress=False
    )
    bpe.train_from_iterator((re.sub(r"([,.])", r" \1", text) for text in captions), trainer)
    import json

    learned = json.loads(bpe.to_str())["model"]
    pieces = [*alphabet, *(letter + WORD_END for letter in alphabet)]
    pieces += [piece for piece in sorted(learned["vocab"], key=learned["vocab"].get) if piece not in set(pieces)]
    vocabulary = {piece: index for index, piece in enumerate([*pieces, START, END])}
    merges: Any = [tuple(merge) for merge in learned["merges"]]  # annotated as strings, read as pairs
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=TOKENS)


def known_words(captions: list[str], at_least: int = 5) -> list[str]:
    """The words seen at least ``at_least`` times in the captions, sorted."""
    counts = Counter(word for text in captions for word in re.findall(r"[a-z][a-z'-]*", text.lower()))
    return sorted(word for word, count in counts.items() if count >= at_least)


def save_tokenizer(folder: Path) -> CLIPTokenizer:
    """Train on the corpus' captions and save."""
    tokenizer = build_tokenizer(corpus_captions())
    tokenizer.save_pretrained(folder)
    return tokenizer
