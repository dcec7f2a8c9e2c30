"""Sample people and their held-out pictures: ``python -m pretrain.sample_people --assets DIR --held-out DIR``.

All are combinations of parts that pretraining never saw. They come as pairs that share sex, skin and hair colour and
differ in the finer features, so that a method has to learn faces and not colours. The ten of ``--set sample`` ship with
the app and are the benchmark's; settings are chosen on the ten of ``--set tuning``, which the benchmark does not use.
Nobody had looked at the ten of ``--set fresh`` before the benchmark's claim was tried on them.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path

from pretrain.corpus import names, render
from pretrain.people import Person, draw_person
from pretrain.scenes import Scene, draw_scene, draw_sitter

Pair = tuple[str, str, str, str]  # two names, sex, skin
SETS: dict[str, list[Pair]] = {
    "sample": [
        ("Ada", "Esme", "woman", "pale"),
        ("Bruno", "Hugo", "man", "tan"),
        ("Chika", "Imani", "woman", "dark"),
        ("Dario", "Jonas", "man", "pale"),
        ("Farid", "Theo", "man", "brown"),
    ],
    "tuning": [
        ("Kwame", "Otis", "man", "dark"),
        ("Lena", "Petra", "woman", "tan"),
        ("Boris", "Rufus", "man", "pale"),
        ("Amara", "Yara", "woman", "dark"),
        ("Milos", "Sven", "man", "tan"),
    ],
    "fresh": [
        ("Greta", "Nora", "woman", "pale"),
        ("Pablo", "Tomas", "man", "tan"),
        ("Kofi", "Winston", "man", "dark"),
        ("Leila", "Zahra", "woman", "brown"),
        ("Ivo", "Rasmus", "man", "pale"),
    ],
}
PICTURES = 8


def look_alike(rng: random.Random, first: Person) -> Person:
    """Another unseen person of the same sex, skin and hair colour; every finer part is drawn anew."""
    while True:
        second = draw_person(rng, unseen=True)
        colours = ("skin", "hair_colour", "glasses")
        if second.sex == first.sex and all(second.words[key] == first.words[key] for key in colours):
            return second


def sample_people(which: str = "sample") -> dict[str, Person]:
    """Name to person, always the same, in the order in which they are taught: by name, so that pairs stand apart."""
    people: dict[str, Person] = {}
    for number, (first, second, sex, skin) in enumerate(SETS[which]):
        rng = random.Random(f"{which}/{number}")
        while True:
            person = draw_person(rng, unseen=True)
            if person.sex == sex and person.words["skin"] == skin and person.words["hair_colour"] != "none":
                break
        people[first], people[second] = person, look_alike(rng, person)
    clash = {name.lower() for name in people} & set(names())
    assert not clash, f"sample names used in pretraining: {clash}"
    return {name: people[name] for name in sorted(people)}


def portraits(person: Person, key: str, count: int) -> Iterator[Scene]:
    """``count`` ordinary scenes of the person; clothes, mouth, brows and background vary with ``key``."""
    rng = random.Random(key)
    for _ in range(count):
        yield draw_scene(rng, (draw_sitter(rng, person, hats=False),), plain=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Render sample people.")
    parser.add_argument("--set", choices=[*SETS], default="sample", dest="which")
    parser.add_argument("--assets", type=Path, required=True, help="folder of the sample concepts")
    parser.add_argument("--held-out", type=Path, required=True, help="folder of their held-out pictures")
    args = parser.parse_args()
    for name, person in sample_people(args.which).items():
        for folder, purpose in ((args.assets, "teach"), (args.held_out, "held-out")):
            target = folder / name.lower()
            target.mkdir(parents=True, exist_ok=True)
            for index, picture in enumerate(render(portraits(person, f"{purpose}/{name}", PICTURES)), start=1):
                picture.save(target / f"{index:02d}.png", optimize=True)
        concept = {"name": name, "token": f"<{name.lower()}>", "words": person.words}
        (args.assets / name.lower() / "concept.json").write_text(json.dumps(concept, indent=2) + "\n")


if __name__ == "__main__":
    main()
