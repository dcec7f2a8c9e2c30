"""From pictures to what the loop eats: augmented views, their masks and prompts, and their latents.

Augmentation is Custom Diffusion's random resizing: a view is drawn smaller on a grey canvas, closer, or as it
is, and the prompt says so ("a far away photo of <rex>"), so that framing is not learned as part of the
concept. The mask marks where the picture is, less what its owner masked out; Eq. 1 counts nothing else. A caption
extends the prompt of its picture. The views of a concept are made and encoded once, before the loop.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F

from clora_core.concepts import Concept, TrainConfig, captioned, filled
from clora_core.errors import ConceptError
from clora_core.models.backbone import Backbone
from clora_core.seeds import generator_for
from clora_core.settings.memory import AT_ONCE

FAR_AWAY_SCALES = (1 / 3, 1.0)  # of the canvas, as in Custom Diffusion
FAR_AWAY_BELOW = 0.6  # smaller than this, the prompt says "far away"
CLOSE_UP_SCALES = (1.2, 1.4)
GREY = (127, 127, 127)


Sizes = tuple[int, int, int, int, int, int]
"""In pixels, what SDXL is told of a picture: height and width as it was, top and left of what is seen of it once it is
scaled, height and width of what is seen."""


@dataclass(frozen=True)
class View:
    """One augmented picture: image (side, side) RGB, valid (side, side) bool, prompt with the token in it, sizes."""

    image: Image.Image
    valid: np.ndarray
    prompt: str
    sizes: Sizes


def framed(template: str, framing: str) -> str:
    """The template with a framing word: ("a photo of {}", "far away") -> "a far away photo of {}"."""
    if not framing:
        return template
    if template.startswith("a "):
        return f"a {framing} {template[2:]}"
    return f"{template}, {framing}"


def longest_prompt(concept: Concept, config: TrainConfig, caption: str = "") -> str:
    """The longest prompt that a picture with this caption is learned with."""
    template = captioned(with_object_word(concept, config).template, caption, concept.token)
    return filled(framed(template, "far away"), concept.token)


def with_object_word(concept: Concept, config: TrainConfig) -> Concept:
    """The concept with the object word, where there is one, in its template: "a photo of {} dog"."""
    word = config.object_word.strip()
    return replace(concept, template=filled(concept.template, f"{{}} {word}")) if word else concept


def plain_view(image: Image.Image, prompt: str) -> View:
    """A square picture as it is, all of it valid."""
    width, height = image.size
    return View(image, np.ones((height, width), dtype=bool), prompt, (height, width, 0, 0, height, width))


def make_views(
    images: Sequence[Image.Image],
    concept: Concept,
    config: TrainConfig,
    captions: Sequence[str] = (),
    masks: Sequence[Image.Image | None] = (),
) -> list[View]:
    """`config.augment_copies` views of each picture, a function of what is given.

    The first view of a picture is its centred square; of the others `augment_share` are resized, two in
    three of them smaller and one in three closer, and the rest are squares cut somewhere else.
    captions, masks: one for each picture, see `CheckedPicture`; () = none at all.
    """
    views = []
    for number, image in enumerate(images):
        template = captioned(concept.template, captions[number] if captions else "", concept.token)
        for copy in range(config.augment_copies):
            rng = random.Random(f"{config.seed}/view/{number}/{copy}")
            mask = masks[number] if masks else None
            canvas, valid, framing, sizes = _view(image, mask, config, rng if copy else None)
            views.append(View(canvas, valid, filled(framed(template, framing), concept.token), sizes))
    return views


def _view(
    image: Image.Image, mask: Image.Image | None, config: TrainConfig, rng: random.Random | None
) -> tuple[Image.Image, np.ndarray, str, Sizes]:
    """One view: canvas (side, side), what of it is valid (side, side), its framing word, its sizes."""
    side, scale = config.resolution, 1.0
    if rng and rng.random() < config.augment_share:
        smaller = rng.random() < 2 / 3
        scale = rng.uniform(*(FAR_AWAY_SCALES if smaller else CLOSE_UP_SCALES))
    box = _square(image.size, rng)
    mirrored = bool(rng and config.flip and rng.random() < 0.5)
    inner = max(1, round(side * scale))
    spare = side - inner  # negative when the view is closer than the picture
    left, top = (rng.randint(min(0, spare), max(0, spare)) for _ in range(2)) if rng else (0, 0)

    def placed(picture: Image.Image, canvas: Image.Image, resample: Image.Resampling) -> Image.Image:
        square = picture.crop(box)
        square = ImageOps.mirror(square) if mirrored else square
        canvas.paste(square.resize((inner, inner), resample), (left, top))
        return canvas

    canvas = placed(image, Image.new("RGB", (side, side), GREY), Image.Resampling.LANCZOS)
    valid = np.zeros((side, side), dtype=bool)
    valid[max(0, top) : top + inner, max(0, left) : left + inner] = True
    if mask is not None:
        valid &= np.asarray(placed(mask, Image.new("L", (side, side)), Image.Resampling.NEAREST)) > 0
    framing = "far away" if scale < FAR_AWAY_BELOW else "close-up" if scale > 1.0 else ""
    width, height = image.size
    edges = (box[1], width - box[2] if mirrored else box[0])  # above and left of the square
    cut = [max(0, round(edge * inner / (box[2] - box[0])) - at) for edge, at in zip(edges, (top, left), strict=True)]
    return canvas, valid, framing, (height, width, cut[0], cut[1], side, side)


def _square(size: tuple[int, int], rng: random.Random | None) -> tuple[int, int, int, int]:
    """The box of the largest square of a picture: the middle one, or with `rng` any."""
    side, (width, height) = min(size), size
    where = rng.random() if rng else 0.5
    left, top = round((width - side) * where), round((height - side) * where)
    return left, top, left + side, top + side


def latent_mask(valid: Tensor, factor: int) -> Tensor:
    """Pixel masks (N, 1, H, W) -> latent masks (N, 1, H/factor, W/factor), 1.0 where a cell is valid.

    A cell counts when all its pixels do, less one cell along each border inside the canvas, where the VAE
    has mixed picture and grey.
    """
    smallest = -F.max_pool2d(-valid.float(), factor)
    return -F.max_pool2d(-smallest, kernel_size=3, stride=1, padding=1)


@dataclass(frozen=True, eq=False)
class LatentDataset:
    """A concept's views as the loop takes them: latents (N, C, h, w) fp32, masks (N, 1, h, w), N prompts, sizes (N, 6)
    int64, see `Sizes`."""

    latents: Tensor
    masks: Tensor
    prompts: tuple[str, ...]
    sizes: Tensor

    def batch(self, seed: int, step: int, size: int) -> tuple[Tensor, Tensor, list[str], Tensor]:
        """The batch of a 1-based step, a function of (seed, step): latents (B, ...), masks, B prompts, sizes (B, 6).

        The views are walked through in a new random order each round, so all are seen equally often.
        """
        picked = list(self._walk(seed, (step - 1) * size, size))
        index = torch.tensor(picked, device=self.latents.device)
        prompts = [self.prompts[place] for place in picked]
        return self.latents[index], self.masks[index], prompts, self.sizes[index]

    def _walk(self, seed: int, start: int, size: int) -> Iterator[int]:
        count, orders = len(self.prompts), dict[int, list[int]]()
        for position in range(start, start + size):
            lap, place = divmod(position, count)
            if lap not in orders:
                orders[lap] = torch.randperm(count, generator=generator_for(seed, "order", lap)).tolist()
            yield orders[lap][place]


def encode_views(
    backbone: Backbone,
    views: Sequence[View],
    on_encode: Callable[[int, int], None] | None = None,
    at_once: int = AT_ONCE,
) -> LatentDataset:
    """The views as latents. The token must be installed.

    on_encode: is called before each batch with how many views are encoded, and how many there are.  at_once: views in
    such a batch.

    Raises ConceptError when a prompt is so long that the token falls off its end.
    """
    _check_prompts(backbone, views)
    images, encoded = [view.image for view in views], list[Tensor]()
    for first in range(0, len(images), at_once):
        if on_encode:
            on_encode(first, len(images))
        encoded.append(backbone.to_latents(images[first : first + at_once]))
    latents = torch.cat(encoded)
    valid = torch.from_numpy(np.stack([view.valid for view in views]))[:, None]
    masks = latent_mask(valid, valid.shape[-1] // latents.shape[-1]).to(latents.device)
    sizes = torch.tensor([view.sizes for view in views], device=latents.device)
    return LatentDataset(latents, masks, tuple(view.prompt for view in views), sizes)


def _check_prompts(backbone: Backbone, views: Sequence[View]) -> None:
    for prompt in sorted({view.prompt for view in views}):
        for table in backbone.tables.values():
            if (length := table.length(prompt)) > table.max_length:
                raise ConceptError(
                    f"The training prompt {prompt!r} is {length} tokens long; the base model reads "
                    f"{table.max_length}. Shorten the template or the caption."
                )
