"""A scene: who is in the picture, what they wear, what is behind them, how it is framed and in which style."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageChops, ImageFilter, ImageOps

from pretrain.people import Person

MOUTHS = {
    "smile": "smiling", "smile2": "smiling", "smile3": "laughing", "smile-closed": "smiling", "straight": "serious",
    "closed": "sad", "angry": "angry", "mouth": "talking", "mouth3": "talking", "side": "smirking",
}  # fmt: skip
JERSEYS = ["baseball", "baseball2", "football", "football2", "football4", "hockey2", "hockey3", "hockey4"]
CLOTHES = {
    "red": "#d8262c", "orange": "#f07f1a", "yellow": "#f5d327", "green": "#2e9e4a", "blue": "#2356c7",
    "purple": "#7a35b0", "pink": "#f27ab5", "black": "#26262b", "white": "#f6f6f4",
}  # fmt: skip
BACKGROUNDS = {
    "red": "#e05555", "orange": "#f5a35c", "yellow": "#f5e08a", "green": "#7cc47f", "blue": "#6fa8e8",
    "purple": "#a98bd6", "pink": "#f5b5d0", "grey": "#b9bcc2", "white": "#fbfbfb",
}  # fmt: skip
PLACES = {
    "beach": '<rect width="100" height="100" fill="#9fd8f7"/><circle cx="{a}" cy="16" r="8" fill="#ffe36e"/>'
    '<rect y="45" width="100" height="25" fill="#2f8fd0"/><rect y="68" width="100" height="32" fill="#f0d9a0"/>',
    "forest": '<rect width="100" height="100" fill="#cfeccb"/>'
    + "".join(
        f'<rect x="{x + 6}" y="40" width="5" height="60" fill="#6b4a2b"/><path d="M{x} 62L{x + 8.5} {y}l8.5 {62 - y}z" fill="#2c7a3f"/>'
        for x, y in ((-6, 8), (14, 20), (32, 4), (52, 16), (70, 6), (88, 18))
    ),
    "city": '<rect width="100" height="100" fill="#dce6ef"/>'
    + "".join(
        f'<rect x="{x}" y="{y}" width="15" height="100" fill="{c}"/><path d="M{x + 4} {y + 6}v60M{x + 10} {y + 6}v60" '
        'stroke="#f7e9a0" stroke-width="3" stroke-dasharray="4 5"/>'
        for x, y, c in ((-3, 30, "#7d8ba0"), (13, 12, "#5f6d84"), (70, 20, "#68768c"), (86, 38, "#8794a8"), (30, 44, "#93a0b3"), (55, 40, "#9aa7b8"))
    ),
    "night sky": '<rect width="100" height="100" fill="#141c44"/><circle cx="{a}" cy="18" r="7" fill="#f4f0d0"/>'
    + "".join(f'<circle cx="{x}" cy="{y}" r="1.2" fill="#fff"/>' for x, y in ((8, 12), (22, 40), (35, 8), (60, 14), (72, 44), (92, 30), (88, 62), (10, 70))),
    "mountains": '<rect width="100" height="100" fill="#bfe0f5"/><path d="M-10 100L22 18 60 100z" fill="#73839b"/>'
    '<path d="M40 100L78 26 112 100z" fill="#5d6c84"/><path d="M22 18l-8 20 8-5 9 7zM78 26l-9 18 9-4 9 5z" fill="#fff"/>',
    "stripes": '<rect width="100" height="100" fill="#fff"/>'
    + "".join(f'<rect x="{x}" width="10" height="100" fill="#e77b7b"/>' for x in range(0, 100, 20)),
}  # fmt: skip
# view of one person on facesjs' canvas (x y w h), whose body ends at y = 600
FRAMINGS = {"": (-20, 110, 440), "close-up": (45, 165, 310), "far away": (-140, -80, 680)}
STYLES = ["pencil sketch", "black and white photo", "pixel art", "watercolour"]


@dataclass(frozen=True)
class Sitter:
    """One person in one picture: the person and what changes from picture to picture."""

    person: Person
    name: str | None  # set if this person is one of the named ones
    look: dict[str, Any]  # mouth, brow angle, jersey, team colours, accessory as facesjs wants them
    words: dict[str, str]  # clothes, expression, hat


@dataclass(frozen=True)
class Scene:
    """Everything a picture shows; :func:`drawing` is what the renderer reads, captions are made from the words."""

    sitters: tuple[Sitter, ...]
    background: str  # svg elements in a 100 x 100 box
    words: dict[str, str]  # background, framing, style
    view: tuple[float, float, float]  # x, y, side on facesjs' canvas (one sitter)


def _jitter(rng: random.Random, colour: str, by: int = 8) -> str:
    channels = (int(colour[i : i + 2], 16) + rng.randint(-by, by) for i in (1, 3, 5))
    return "#" + "".join(f"{min(255, max(0, value)):02x}" for value in channels)


def draw_sitter(rng: random.Random, person: Person, name: str | None = None, *, hats: bool = True) -> Sitter:
    """The person in random clothes with a random expression, now and then with a hat."""
    clothes, mouth = rng.choice([*CLOTHES]), rng.choice([*MOUTHS])
    hat = rng.choice(["hat", "santa-hat", "headband"]) if hats and rng.random() < 0.07 else "none"
    trim = "#ffffff" if clothes != "white" else "#8a8f99"
    look = {
        "mouth": {"id": mouth, "flip": rng.random() < 0.5},
        "brow_angle": rng.randint(-10, 14),
        "jersey": {"id": rng.choice(JERSEYS)},
        "teamColors": [_jitter(rng, CLOTHES[clothes]), trim, "#30343c"],
        "accessories": {"id": hat},
    }
    words = {"clothes": clothes, "expression": MOUTHS[mouth]}
    words["hat"] = {"hat": "cap", "santa-hat": "santa hat", "none": ""}.get(hat, hat)
    return Sitter(person, name, look, words)


def draw_background(rng: random.Random, *, places: float = 0.2) -> tuple[str, str]:
    """(svg, word) of a plain colour or, with probability ``places``, of a simple drawn place."""
    if rng.random() < places:
        place = rng.choice([*PLACES])
        return PLACES[place].replace("{a}", str(rng.choice([10, 84]))), place
    colour = rng.choice([*BACKGROUNDS])
    return f'<rect width="100" height="100" fill="{_jitter(rng, BACKGROUNDS[colour])}"/>', colour


def draw_scene(rng: random.Random, sitters: tuple[Sitter, ...], *, plain: bool = False) -> Scene:
    """A scene around one or two sitters; ``plain`` keeps to the ordinary framing and style."""
    background, word = draw_background(rng, places=0.1 if plain else 0.2)
    framing = "" if plain or len(sitters) > 1 else rng.choices([*FRAMINGS], [0.84, 0.08, 0.08])[0]
    style = "" if plain or rng.random() > 0.08 else rng.choice(STYLES)
    x, y, ordinary = FRAMINGS[framing]
    side = ordinary * rng.uniform(0.96, 1.06)
    view = (x + rng.uniform(-14, 14), 600 - side if framing == "far away" else y + rng.uniform(-10, 10), side)
    return Scene(sitters, background, {"background": word, "framing": framing, "style": style}, view)


def drawing(scene: Scene) -> dict[str, Any]:
    """The scene as the JSON line that ``faces/render.mjs`` draws."""
    people = []
    for index, sitter in enumerate(scene.sitters):
        look = sitter.look
        face = {**sitter.person.face, "teamColors": look["teamColors"], "mouth": look["mouth"]}
        face |= {"jersey": look["jersey"], "accessories": look["accessories"]}
        face["eyebrow"] = {**face["eyebrow"], "angle": look["brow_angle"]}
        if len(scene.sitters) == 1:
            x, y, side = scene.view
            people.append({"face": face, "view": f"{x} {y} {side} {side}", "box": [0, 0, 100, 100]})
        else:
            people.append({"face": face, "view": "15 -20 370 620", "box": [index * 48 - 1, 12, 54, 88]})
    return {"background": scene.background, "people": people}


def stylise(picture: Image.Image, style: str) -> Image.Image:
    """The picture (RGB) in one of :data:`STYLES`, by image filters."""
    if style == "black and white photo":
        return ImageOps.grayscale(picture).convert("RGB")
    if style == "pencil sketch":
        grey = ImageOps.grayscale(picture)
        blurred = ImageOps.invert(grey).filter(ImageFilter.GaussianBlur(3))
        return ImageChops.add(grey, blurred).convert("RGB")  # colour dodge, the soft way
    if style == "pixel art":
        small = picture.resize((32, 32), Image.Resampling.BOX)
        return small.quantize(24).convert("RGB").resize(picture.size, Image.Resampling.NEAREST)
    if style == "watercolour":
        soft = picture.filter(ImageFilter.ModeFilter(5)).filter(ImageFilter.GaussianBlur(0.8))
        return ImageOps.autocontrast(Image.blend(soft, Image.new("RGB", picture.size, "#fdf6ea"), 0.25))
    return picture
