"""How many matrices other programmes find by the names we write, at full size, by their naming rules.

The rules are written down in docs/timelines.md with where they stand. Here they are applied to the layers of the real
models: which blocks have cross-attention, as the original repositories and diffusers number them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from clora_core.export.kohya import Family

SIDES = ("to_k", "to_v")
V1 = (
    (*((f"down_blocks.{b}.attentions.{n}", 1) for b in range(3) for n in range(2)), ("mid_block.attentions.0", 1))
) + (tuple((f"up_blocks.{b}.attentions.{n}", 1) for b in range(1, 4) for n in range(3)))
XL = (
    *((f"down_blocks.1.attentions.{n}", 2) for n in range(2)),
    *((f"down_blocks.2.attentions.{n}", 10) for n in range(2)),
    ("mid_block.attentions.0", 10),
    *((f"up_blocks.0.attentions.{n}", 10) for n in range(3)),
    *((f"up_blocks.1.attentions.{n}", 2) for n in range(3)),
)
# the same layers in the models' own repositories
V1_OWN = (
    *((f"input_blocks.{i}.1", 1) for i in (1, 2, 4, 5, 7, 8)),
    ("middle_block.1", 1),
    *((f"output_blocks.{i}.1", 1) for i in range(3, 12)),
)
XL_OWN = (
    *((f"input_blocks.{i}.1", depth) for i, depth in ((4, 2), (5, 2), (7, 10), (8, 10))),
    ("middle_block.1", 10),
    *((f"output_blocks.{i}.1", depth) for i, depth in ((0, 10), (1, 10), (2, 10), (3, 2), (4, 2), (5, 2))),
)
FAMILIES = {
    "sd_v1": (Family("sd_v1", ""), V1, V1_OWN, 32),
    "sd_v2": (Family("sd_v2", ""), V1, V1_OWN, 32),
    "sdxl": (Family("sdxl_base_v1-0", "", parts_a_block=3), XL, XL_OWN, 140),
}


def matrices(layers: tuple[tuple[str, int], ...]) -> Iterator[str]:
    for layer, depth in layers:
        for i in range(depth):
            yield from (f"{layer}.transformer_blocks.{i}.attn2.{side}" for side in SIDES)


def flat(names: Iterator[str], prefix: str) -> set[str]:
    return {f"{prefix}_{name.replace('.', '_')}" for name in names}


def comfyui(name: str, diffusers: set[str], own: set[str]) -> bool:
    """Every weight has its own name and diffusers' one, dots as underscores, behind lora_unet_. Forge has that, too."""
    return name in flat(iter(diffusers), "lora_unet") | flat(iter(own), "lora_unet")


def a1111(name: str, diffusers: set[str], own: set[str]) -> bool:
    """diffusers' blocks of three parts are numbered through; where that is no layer, lora_unet is diffusion_model."""
    layers = flat(iter(own), "diffusion_model")
    down = re.fullmatch(r"lora_unet_down_blocks_(\d+)_attentions_(\d+)_(.+)", name)
    up = re.fullmatch(r"lora_unet_up_blocks_(\d+)_attentions_(\d+)_(.+)", name)
    mid = re.fullmatch(r"lora_unet_mid_block_attentions_\d+_(.+)", name)
    found = ""
    if down:
        found = f"diffusion_model_input_blocks_{1 + 3 * int(down[1]) + int(down[2])}_1_{down[3]}"
    elif mid:
        found = f"diffusion_model_middle_block_1_{mid[1]}"
    elif up:
        found = f"diffusion_model_output_blocks_{3 * int(up[1]) + int(up[2])}_1_{up[3]}"
    return found in layers or name.replace("lora_unet", "diffusion_model") in layers


def invokeai(name: str, diffusers: set[str], own: set[str]) -> bool:
    """diffusers' names behind lora_unet_; in SDXL the original blocks are translated to those."""
    return name in flat(iter(diffusers), "lora_unet") or (len(diffusers) > 32 and name in flat(iter(own), "lora_unet"))


@pytest.mark.parametrize("programme", [comfyui, a1111, invokeai], ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_matrix_is_found(family: str, programme) -> None:
    ours, diffusers, own, count = FAMILIES[family]
    names, theirs = set(matrices(diffusers)), set(matrices(own))
    assert len(names) == len(theirs) == count
    assert sum(programme(ours.layer(name), names, theirs) for name in names) == count


@pytest.mark.parametrize("programme", [comfyui, a1111, invokeai], ids=lambda rule: rule.__name__)
def test_pefts_keys_are_for_diffusers_alone(programme) -> None:
    _, diffusers, own, _ = FAMILIES["sd_v1"]
    names, theirs = set(matrices(diffusers)), set(matrices(own))
    assert not any(programme(f"unet.{name}", names, theirs) for name in names)


def test_a_name_of_another_block_is_not_found() -> None:
    """The rules can say no."""
    _, diffusers, own, _ = FAMILIES["sd_v1"]
    names, theirs = set(matrices(diffusers)), set(matrices(own))
    wrong = "lora_unet_down_blocks_3_attentions_0_transformer_blocks_0_attn2_to_k"
    assert not any(programme(wrong, names, theirs) for programme in (comfyui, a1111, invokeai))
