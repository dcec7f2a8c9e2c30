"""Cartoon people: which parts there are, the words for them, and how a person is drawn at random.

A *person* is one fixed combination of facial parts; mouth, brow angle, clothes and background are not part of it
and change from picture to picture. Part names are those of facesjs 5.0.3.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import Any

HEADS = {
    "female1": "pointed",
    "female2": "jowly",
    "female3": "tapered",
    "head1": "oval",
    "head10": "cleft",
    "head11": "hexagonal",
    "head12": "broad",
    "head13": "round",
    "head14": "plain",
    "head15": "blocky",
    "head16": "square",
    "head17": "boxy",
    "head18": "rugged",
    "head2": "slim",
    "head3": "angular",
    "head4": "narrow",
    "head5": "wide",
    "head6": "long",
    "head7": "chiselled",
    "head8": "dimpled",
    "head9": "egg-shaped",
}
EYES = {
    "eye1": "dome", "eye10": "small", "eye11": "half-moon", "eye12": "heavy", "eye13": "dreamy", "eye14": "sultry",
    "eye15": "arched", "eye16": "flat", "eye17": "stern", "eye18": "kind", "eye19": "tired", "eye2": "button",
    "eye3": "owl", "eye4": "almond", "eye5": "cat", "eye6": "soft", "eye7": "slit", "eye8": "big", "eye9": "fish",
    "female1": "doll", "female10": "fluttering", "female11": "pearl", "female12": "startled", "female13": "smoky",
    "female14": "fox", "female15": "dark", "female16": "sly", "female2": "lashed", "female3": "moon",
    "female4": "winged", "female5": "tiger", "female6": "gentle", "female7": "deep", "female8": "calm",
    "female9": "bead",
}  # fmt: skip
NOSES = {
    "honker": "long", "nose1": "wavy", "nose10": "tiny", "nose11": "bulbous", "nose12": "broad", "nose13": "round",
    "nose14": "button", "nose2": "hooked", "nose3": "pointed", "nose4": "sharp", "nose5": "wide", "nose6": "strong",
    "nose7": "straight", "nose8": "snub", "nose9": "narrow", "pinocchio": "beak", "small": "small",
}  # fmt: skip
EYEBROWS = {
    "eyebrow1": "thick", "eyebrow10": "heavy", "eyebrow11": "wedge", "eyebrow12": "jagged", "eyebrow13": "slanted",
    "eyebrow14": "rounded", "eyebrow15": "slim", "eyebrow16": "short", "eyebrow17": "peaked", "eyebrow18": "sloping",
    "eyebrow19": "flat", "eyebrow2": "level", "eyebrow20": "neat", "eyebrow3": "thin", "eyebrow4": "angled",
    "eyebrow5": "arched", "eyebrow6": "straight", "eyebrow7": "curved", "eyebrow8": "bushy", "eyebrow9": "lifted",
    "female1": "elegant", "female10": "notched", "female2": "fine", "female3": "sleek", "female4": "dotted",
    "female5": "high", "female6": "soft", "female7": "feathered", "female8": "sparse", "female9": "painted",
}  # fmt: skip
HAIR_MEN = {
    "afro": "afro", "afro2": "wild afro", "bald": "bald", "blowoutFade": "blowout", "cornrows": "cornrows",
    "crop": "cropped", "curly": "curly", "curly2": "frizzy", "curlyFade1": "faded curls", "dreads": "dreadlocks",
    "emo": "swept", "faux-hawk": "mohawk", "hair": "receding", "high": "flat-top", "juice": "tall",
    "longHair": "shoulder-length", "messy-short": "choppy", "messy": "messy", "middle-part": "middle-parted",
    "parted": "side-parted", "shaggy1": "shaggy", "shaggy2": "tousled", "short-bald": "balding",
    "short-fade": "buzzed", "short": "short", "short3": "fluffy", "shortBangs": "fringed", "spike": "spiky",
    "spike3": "ruffled", "tall-fade": "high-fade",
}  # fmt: skip
HAIR_WOMEN = {
    "female1": "bobbed", "female10": "flowing", "female11": "braided", "female12": "draped", "female2": "pigtailed",
    "female3": "loose", "female4": "pixie", "female5": "chin-length", "female6": "mushroom", "female7": "straight",
    "female8": "pinned-up", "female9": "sleek", "afro": "afro", "curly3": "curly", "shaggy2": "tousled",
    "short2": "short", "parted": "side-parted",
}  # fmt: skip
BACK_HAIR = {"none": "", "female1": "curls", "female2": "long back hair", "female4": "wavy back hair",
             "female5": "rolling locks", "longHair": "a mane"}  # fmt: skip
FACIAL_HAIR = {
    "none": "none",
    **dict.fromkeys(["beard-point", "beard1", "beard2", "beard3", "honest-abe-stache", "loganGoatee2Stache"], "beard"),
    **dict.fromkeys(["fullgoatee", "fullgoatee3", "fullgoatee4", "goatee1-stache", "goatee6", "wilt"], "goatee"),
    **dict.fromkeys(["mustache1", "harley1"], "moustache"),
    **dict.fromkeys(["mutton", "muttonStache", "logan"], "sideburns"),
}
GLASSES = {"none": "none", "glasses1-primary": "thick glasses", "glasses2-black": "thin glasses"}
EARS = {"ear1": "plain", "ear2": "folded", "ear3": "round"}

HAIR_COLOURS = {
    "black": ["#1c1a18", "#0f0902"], "brown": ["#5a3825", "#6b4226"], "blond": ["#e9c67b", "#dfb75f"],
    "red": ["#b5421f", "#c4511f"], "grey": ["#9a9a9a", "#b3b3b3"], "blue": ["#2f5fd0", "#3f79e0"],
    "pink": ["#e86fb0", "#f08cc4"],
}  # fmt: skip
SKINS = {"pale": ["#f7ddd0", "#f2d6cb"], "tan": ["#dfa477", "#e2ab7f"], "brown": ["#a06a48", "#98623f"],
         "dark": ["#5c3a2e", "#4f3026"]}  # fmt: skip


@dataclass(frozen=True)
class Person:
    """One identity: everything that stays the same in every picture of this person."""

    sex: str  # "man" or "woman"
    face: dict[str, Any]  # FaceConfig of facesjs, less mouth, brow angle and clothes
    words: dict[str, str]  # attribute -> word, the ground truth that captions and classifiers use


def held_out(face: dict[str, Any]) -> bool:
    """Whether this combination of head, eyes, nose and hair is kept out of pretraining (one in ten, by hash)."""
    key = "/".join(face[part]["id"] for part in ("head", "eye", "nose", "hair"))
    return hashlib.sha256(key.encode()).digest()[0] % 10 == 0


def _draw(rng: random.Random, sex: str) -> Person:
    man = sex == "man"
    other = "female" if man else "eye1"  # parts named female* go to women
    eyes = [eye for eye in EYES if not eye.startswith("female")] if man else [e for e in EYES if e.startswith("female")]
    brows = [b for b in EYEBROWS if b.startswith("female") != man]
    heads = (
        [h for h in HEADS if not h.startswith(other)] if man else [*HEADS][:3] + ["head1", "head2", "head5", "head14"]
    )
    hairs = HAIR_MEN if man else HAIR_WOMEN
    hair, head, eye, brow = rng.choice([*hairs]), rng.choice(heads), rng.choice(eyes), rng.choice(brows)
    nose, ear = rng.choice([*NOSES]), rng.choice([*EARS])
    back = rng.choice([*BACK_HAIR][1:]) if not man and rng.random() < 0.6 else "none"
    facial = rng.choice(sorted(FACIAL_HAIR)) if man and rng.random() < 0.55 else "none"
    glasses = rng.choice([*GLASSES][1:]) if rng.random() < 0.2 else "none"
    skin, colour = rng.choice([*SKINS]), rng.choices([*HAIR_COLOURS], [4, 4, 4, 3, 3, 1.5, 1.5])[0]
    lines = rng.choice(["none", "none", "none", "freckles1", "blush", "forehead2", "chin1"])
    face = {
        "fatness": round(rng.uniform(0, 1 if man else 0.5), 2),
        "hairBg": {"id": back},
        "body": {"id": rng.choice(["body", "body2", "body4"]), "color": rng.choice(SKINS[skin]),
                 "size": round(rng.uniform(*((0.95, 1.05) if man else (0.8, 0.9))), 2)},
        "ear": {"id": ear, "size": round(rng.uniform(0.6, 1.4 if man else 1.0), 2)},
        "head": {"id": head, "shave": "rgba(0,0,0,0)"},
        "eyeLine": {"id": rng.choice(["none", "none", "line1", "line4"])},
        "smileLine": {"id": rng.choice(["none", "line1", "line2"]) if man else "none", "size": 1},
        "miscLine": {"id": lines},
        "facialHair": {"id": facial},
        "eye": {"id": eye, "angle": rng.randint(-8, 12)},
        "eyebrow": {"id": brow},
        "hair": {"id": hair, "color": rng.choice(HAIR_COLOURS[colour]), "flip": rng.random() < 0.5},
        "nose": {"id": nose, "flip": rng.random() < 0.5, "size": round(rng.uniform(0.6, 1.2 if man else 1.0), 2)},
        "glasses": {"id": glasses},
    }  # fmt: skip
    words = {
        "hair_colour": "none" if hair == "bald" else colour, "hair": hairs[hair], "skin": skin,
        "facial_hair": FACIAL_HAIR[facial], "glasses": GLASSES[glasses], "head": HEADS[head], "eyes": EYES[eye],
        "nose": NOSES[nose], "eyebrows": EYEBROWS[brow], "back_hair": BACK_HAIR[back],
        "lines": {"freckles1": "freckles", "blush": "rosy cheeks"}.get(lines, ""),
    }  # fmt: skip
    return Person(sex, face, words)


def draw_person(rng: random.Random, *, unseen: bool = False) -> Person:
    """A random person whose parts are of the pretraining half, or of the held-out one if ``unseen``."""
    while True:
        person = _draw(rng, rng.choice(["man", "woman"]))
        if held_out(person.face) == unseen:
            return person
