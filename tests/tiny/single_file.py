"""A pipeline as one file in the layout of A1111 and ComfyUI.

The layout is that of the first Stable Diffusion repositories; diffusers reads it, and writes it nowhere.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DiffusionPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextModel

Weights = dict[str, Tensor]


def save_single_file(
    pipe: DiffusionPipeline, path: Path, dtype: torch.dtype = torch.float32, ema: bool = False
) -> Path:
    """Write a pipeline as one file. ema: with running means beside the U-Net's weights, as the first ones had."""
    weights = {f"model.diffusion_model.{name}": value for name, value in unet_weights(pipe.unet).items()}
    if ema:
        flat = {name.removeprefix("model.").replace(".", ""): value for name, value in weights.items()}
        weights |= {f"model_ema.{name}": torch.zeros_like(value) for name, value in flat.items()}
    weights |= {f"first_stage_model.{name}": value for name, value in vae_weights(pipe.vae).items()}
    if hasattr(pipe, "text_encoder_2"):
        weights |= _clip(pipe.text_encoder, "conditioner.embedders.0.transformer.")
        weights |= _open_clip(pipe.text_encoder_2, "conditioner.embedders.1.model.")
    elif pipe.text_encoder.config.hidden_act == "gelu":
        weights |= _open_clip(pipe.text_encoder, "cond_stage_model.model.")
    else:
        weights |= _clip(pipe.text_encoder, "cond_stage_model.transformer.")
    save_file({name: value.to(dtype).contiguous() for name, value in weights.items()}, path)
    return path


RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
OUTSIDE = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
PLACE = re.compile(r"(down|up|mid)_blocks?\.(?:(\d+)\.)?(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)")


def unet_weights(unet: UNet2DConditionModel) -> Weights:
    """The U-Net's weights by the other layout's names: blocks are numbered through, and have numbered parts."""
    layers = unet.config.layers_per_block
    found = {}
    for name, value in unet.state_dict().items():
        owner, _, leaf = name.rpartition(".")
        if owner in OUTSIDE:
            found[f"{OUTSIDE[owner]}.{leaf}"] = value
            continue
        side, block, kind, number, rest = PLACE.fullmatch(name).groups()
        place = int(block or 0) * (layers + 1) + int(number)
        if kind == "resnets":
            part, _, leaf = rest.rpartition(".")
            rest = f"{RESNET[part]}.{leaf}"
        if side == "mid":
            found[f"middle_block.{1 if kind == 'attentions' else 2 * int(number)}.{rest}"] = value
        elif kind == "downsamplers":
            found[f"input_blocks.{1 + place + layers}.0.op.{rest.removeprefix('conv.')}"] = value
        elif kind == "upsamplers":
            after = 2 if unet.config.up_block_types[int(block)].startswith("Cross") else 1
            found[f"output_blocks.{place + layers}.{after}.{rest}"] = value
        else:
            blocks = f"input_blocks.{1 + place}" if side == "down" else f"output_blocks.{place}"
            found[f"{blocks}.{0 if kind == 'resnets' else 1}.{rest}"] = value
    return found


def vae_weights(vae: AutoencoderKL) -> Weights:
    """The VAE's weights by the other layout's names: the decoder's blocks are counted backwards, attention is 1 x 1
    convolutions."""
    last = len(vae.config.block_out_channels) - 1
    found = {}
    for name, value in vae.state_dict().items():
        if ".attentions.0." in name and name.endswith("weight") and "norm" not in name:
            value = value[:, :, None, None]
        name = re.sub(r"up_blocks\.(\d+)", lambda block: f"up.{last - int(block[1])}", name)
        for ours, theirs in (
            (r"down_blocks\.", "down."),
            (r"(up|down)\.(\d+)\.resnets", r"\1.\2.block"),
            (r"(up|down)samplers\.0", r"\1sample"),
            (r"mid_block\.resnets\.0", "mid.block_1"),
            (r"mid_block\.resnets\.1", "mid.block_2"),
            (r"mid_block\.attentions\.0", "mid.attn_1"),
            (r"attn_1\.group_norm", "attn_1.norm"),
            (r"attn_1\.to_([qkv])", r"attn_1.\1"),
            (r"to_out\.0", "proj_out"),
            ("conv_shortcut", "nin_shortcut"),
            ("conv_norm_out", "norm_out"),
        ):
            name = re.sub(ours, theirs, name)
        found[name] = value
    return found


def _clip(text_encoder: CLIPTextModel, start: str) -> Weights:
    """As transformers named them when these files were made, with the positions they had beside."""
    names = {name.removeprefix("text_model."): value for name, value in text_encoder.state_dict().items()}
    found = {f"{start}text_model.{name}": value for name, value in names.items()}
    return found | {f"{start}text_model.embeddings.position_ids": torch.arange(24)[None]}


def _open_clip(text_encoder: CLIPTextModel, start: str) -> Weights:
    """As open_clip names them: queries, keys and values are one matrix."""
    weights = {name.removeprefix("text_model."): value for name, value in text_encoder.state_dict().items()}
    outside = {
        "embeddings.token_embedding.weight": "token_embedding.weight",
        "embeddings.position_embedding.weight": "positional_embedding",
        "final_layer_norm.weight": "ln_final.weight",
        "final_layer_norm.bias": "ln_final.bias",
    }
    inside = (("layer_norm", "ln_"), ("self_attn.out_proj", "attn.out_proj"), ("fc1", "c_fc"), ("fc2", "c_proj"))
    found = {f"{start}{theirs}": weights[ours] for ours, theirs in outside.items()}
    if "text_projection.weight" in weights:
        found[f"{start}text_projection"] = weights["text_projection.weight"].T
    for name, value in weights.items():
        if not (layer := re.fullmatch(r"encoder\.layers\.(\d+)\.(.*)", name)):
            continue
        block, part = f"{start}transformer.resblocks.{layer[1]}", layer[2]
        if part.startswith("self_attn.q_proj"):
            leaf = part.rpartition(".")[2]
            alike = [weights[name.replace("q_proj", f"{each}_proj")] for each in "qkv"]
            found[f"{block}.attn.in_proj_{leaf}"] = torch.cat(alike)
        elif not part.startswith(("self_attn.k", "self_attn.v")):
            for ours, theirs in inside:
                part = part.replace(ours, theirs)
            found[f"{block}.{part}"] = value
    return found
