"""Render the corpus: ``python -m pretrain.corpus --out DIR --pictures 120000``.

Appends to ``pictures.rgb``, raw bytes of (128, 128, 3) a picture, until that many are there; a stopped run goes on
where it was, and training may read what is there already. Because everything is a function of the seed, nothing else
is written: scenes and captions are drawn again from the seed by :class:`Corpus`.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from pretrain.people import Person, draw_person
from pretrain.scenes import Scene, draw_scene, draw_sitter, drawing, stylise

SIZE = 128  # px
NAMED_PEOPLE = 300
FACES = Path(__file__).parent / "faces"
PICTURES = "pictures.rgb"


def names(count: int = NAMED_PEOPLE) -> list[str]:
    """``count`` invented one-word names, always the same ones."""
    rng = random.Random("names")
    starts = [
        "b",
        "br",
        "d",
        "dr",
        "f",
        "g",
        "j",
        "k",
        "kl",
        "l",
        "m",
        "n",
        "p",
        "r",
        "s",
        "t",
        "tr",
        "v",
        "w",
        "z",
    ]
    found: dict[str, None] = {}
    while len(found) < count:
        syllables = [rng.choice(starts) + rng.choice("aeiou") for _ in range(rng.choice([2, 2, 3]))]
        found["".join(syllables) + rng.choice(["", "n", "l", "r", "s", "m"])] = None
    return list(found)


def named_person(name: str) -> Person:
    """The one person who bears this name in the pretraining corpus."""
    return draw_person(random.Random(f"named/{name}"))


class Corpus:
    """The scenes of a corpus: ``corpus[i]`` is a function of (seed, split, i)."""

    def __init__(self, split: str, seed: int = 0) -> None:
        self.split, self.seed, self.names = split, seed, names()

    def __getitem__(self, index: int) -> Scene:
        rng = random.Random(f"{self.seed}/{self.split}/{index}")

        def sitter(named: float):  # type: ignore[no-untyped-def]
            if rng.random() < named:
                name = rng.choice(self.names)
                return draw_sitter(rng, named_person(name), name)
            return draw_sitter(rng, draw_person(rng, unseen=self.split == "held-out"))

        named = 0.0 if self.split == "held-out" else 0.48
        two = rng.random() < 0.15
        sitters = (sitter(named), sitter(named)) if two else (sitter(named),)
        return draw_scene(rng, sitters)


def render(scenes: Iterator[Scene], size: int = SIZE) -> Iterator[Image.Image]:
    """The scenes as RGB pictures of ``size`` x ``size``, drawn by facesjs and resvg in a Node process.

    Raises:
        RuntimeError: Node or its packages are missing; the message says what to run.
    """
    if not (FACES / "node_modules").exists():
        raise RuntimeError(
            f"the renderer's packages are missing: run `npm install --prefix {FACES}` (Node 18 or newer)"
        )
    waiting: list[str] = []  # styles of the scenes sent and not yet read, in order
    process = subprocess.Popen(
        ["node", str(FACES / "render.mjs"), str(size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin and process.stdout

    def feed() -> None:
        for scene in scenes:
            waiting.append(scene.words["style"])
            process.stdin.write((json.dumps(drawing(scene)) + "\n").encode())  # type: ignore[union-attr]
        process.stdin.close()  # type: ignore[union-attr]

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    while raw := process.stdout.read(size * size * 4):
        yield stylise(Image.frombytes("RGBA", (size, size), raw).convert("RGB"), waiting.pop(0))
    feeder.join()
    if process.wait():
        raise RuntimeError(f"the renderer stopped with exit code {process.returncode}")


def rendered(folder: Path) -> np.ndarray:
    """The pictures of a corpus that are rendered so far, (N, 128, 128, 3) uint8, read from disk when asked for."""
    one = SIZE * SIZE * 3
    count = (folder / PICTURES).stat().st_size // one
    return np.memmap(folder / PICTURES, np.uint8, "r", shape=(count, SIZE, SIZE, 3))


def main() -> None:
    parser = argparse.ArgumentParser(description="Render the pretraining corpus.")
    parser.add_argument("--out", type=Path, required=True, help=f"folder whose {PICTURES} is begun or gone on with")
    parser.add_argument("--pictures", type=int, default=60_000, help="how many there should be in the end")
    parser.add_argument("--split", choices=["train", "held-out"], default="train")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    corpus, path, one = Corpus(args.split), args.out / PICTURES, SIZE * SIZE * 3
    with open(path, "ab") as file:
        done = file.tell() // one
        file.truncate(done * one)  # a picture that was being written when the last run was stopped
        scenes = (corpus[index] for index in range(done, args.pictures))
        for picture in tqdm(render(scenes), total=args.pictures, initial=done, unit="picture", mininterval=5):
            file.write(np.asarray(picture).tobytes())


if __name__ == "__main__":
    main()
