"""Captions: the words of a scene in changing order, with synonyms and dropped parts."""

from __future__ import annotations

import random
from collections.abc import Mapping

from pretrain.scenes import PLACES, Scene, Sitter

OPENINGS = ["a portrait of", "a picture of", "a photo of", "a drawing of", "an image of"]


def _hair(words: Mapping[str, str], rng: random.Random, detail: bool) -> str:
    if words["hair"] == "bald":
        return rng.choice(["a bald head", "no hair"])
    colour = words["hair_colour"]
    if detail:
        return f"{words['hair']} {colour} hair" if rng.random() < 0.6 else f"{colour} {words['hair']} hair"
    return f"{colour} hair"


def _traits(sitter: Sitter, rng: random.Random, keep: float, fine: float) -> str:
    """'with blond hair, pale skin and almond eyes wearing red clothes and thick glasses'; each part may be dropped."""
    words = {**sitter.person.words, **sitter.words}
    have = [_hair(words, rng, rng.random() < fine)] if rng.random() < keep else []
    if rng.random() < keep:
        have.append(f"{words['skin']} skin")
    if words["facial_hair"] != "none" and rng.random() < keep:
        have.append(words["facial_hair"] if words["facial_hair"] == "sideburns" else f"a {words['facial_hair']}")
    for part, text in (
        ("head", f"a {words['head']} face"),
        ("eyes", f"{words['eyes']} eyes"),
        ("nose", f"a {words['nose']} nose"),
        ("eyebrows", f"{words['eyebrows']} eyebrows"),
        ("back_hair", words["back_hair"]),
        ("lines", words["lines"]),
    ):
        if words[part] and rng.random() < fine:
            have.append(text)
    wear = [f"{words['clothes']} {rng.choice(['clothes', 'clothes', 'shirt'])}"] if rng.random() < keep else []
    if words["glasses"] != "none" and rng.random() < keep:
        wear.append(words["glasses"] if rng.random() < 0.5 else "glasses")
    if words["hat"] and rng.random() < 0.9:
        wear.append(f"a {words['hat']}")
    rng.shuffle(have)
    rng.shuffle(wear)
    parts = []
    if have:
        parts.append("with " + _join(have))
    if wear:
        parts.append("wearing " + _join(wear))
    rng.shuffle(parts)
    return " ".join(parts)


def _join(items: list[str]) -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


def _sitter(sitter: Sitter, rng: random.Random, keep: float, fine: float) -> str:
    expression = f"{sitter.words['expression']} " if rng.random() < 0.3 else ""
    if sitter.name and rng.random() < 0.92:
        words = sitter.words
        head = f"{expression}{sitter.name}"
        if rng.random() < 0.4:
            head += f", a {sitter.person.sex} {_traits(sitter, rng, 0.4, 0.15)}"
        elif rng.random() < 0.6:
            head += f" wearing {words['clothes']} {rng.choice(['clothes', 'clothes', 'shirt'])}"
        if words["hat"] and "wearing" not in head:
            head += f" wearing a {words['hat']}"
        return head
    clean = "clean-shaven " if sitter.person.sex == "man" and _shaven(sitter) and rng.random() < 0.3 else ""
    article = "an" if (expression or clean or sitter.person.sex)[0] in "aeiou" else "a"
    return f"{article} {expression}{clean}{sitter.person.sex} {_traits(sitter, rng, keep, fine)}"


def _shaven(sitter: Sitter) -> bool:
    return sitter.person.words["facial_hair"] == "none"


def _place(background: str, rng: random.Random) -> str:
    if background in PLACES:
        if background == "stripes":
            return rng.choice([", striped background", " in front of stripes"])
        return rng.choice(
            [f" at the {background}", f" in front of the {background}", f", {background} in the background"]
        )
    return rng.choice([f", {background} background", f" on a {background} background", f", {background} background"])


def caption(scene: Scene, rng: random.Random) -> str:
    """One caption of the scene, a function of the scene and the state of ``rng``."""
    two = len(scene.sitters) > 1
    fine = rng.choice([0.0, 0.5, 0.9]) if not two else rng.choice([0.0, 0.0, 0.4])
    keep = 0.85 if not two else 0.7
    opening = rng.choice(OPENINGS)
    if scene.words["style"]:
        opening = f"a {scene.words['style']} of"
    if scene.words["framing"]:
        close = scene.words["framing"] == "close-up"
        opening = rng.choice(["a close-up of", "a close-up photo of"] if close else ["a far away photo of"])
        if scene.words["style"]:
            opening = f"a {scene.words['style']}, {opening}"
    people = [_sitter(sitter, rng, keep, fine) for sitter in scene.sitters]
    body = rng.choice([" next to ", " beside ", " and "]).join(text.strip() for text in people)
    if two and rng.random() < 0.3:
        body = f"two people, {body}"
    place = _place(scene.words["background"], rng) if rng.random() < 0.85 else ""
    return " ".join(f"{opening} {body}{place}".split()).replace(" ,", ",")


def plain_caption(scene: Scene) -> str:
    """The one full caption of coarse attributes by which prompts are judged; nothing is dropped or shuffled."""
    people = []
    for sitter in scene.sitters:
        words = {**sitter.person.words, **sitter.words}
        hair = "a bald head" if words["hair"] == "bald" else f"{words['hair_colour']} hair"
        have = [hair, f"{words['skin']} skin"]
        if words["facial_hair"] != "none":
            have.append(words["facial_hair"] if words["facial_hair"] == "sideburns" else f"a {words['facial_hair']}")
        wear = [f"{words['clothes']} clothes"] + (["glasses"] if words["glasses"] != "none" else [])
        shaven = "clean-shaven " if sitter.person.sex == "man" and _shaven(sitter) else ""
        people.append(f"a {shaven}{sitter.person.sex} with {_join(have)} wearing {_join(wear)}")
    background = scene.words["background"]
    place = f", {background} background" if background not in PLACES else f", {background} in the background"
    return f"a portrait of {' next to '.join(people)}{place}"
