"""The settings in a picture of ComfyUI: the graph that made it, as JSON, in the PNG text chunk "prompt".

A graph can be anything. What is read is the plain one: a single sampler, its texts and its empty latent picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clora_core.disk import parsed

CHUNK = "prompt"
SAMPLERS = ("KSampler", "KSamplerAdvanced")
PLAIN = (
    *SAMPLERS,
    "CheckpointLoaderSimple",
    "CLIPTextEncode",
    "EmptyLatentImage",
    "VAEDecode",
    "SaveImage",
    "PreviewImage",
)
READ = (  # input of the sampler, key of ours, type
    ("seed", "seed", int),
    ("noise_seed", "seed", int),
    ("steps", "steps", int),
    ("cfg", "guidance_scale", float),
    ("sampler_name", "sampler", str),
)

Node = Mapping[str, Any]


def settings_in_graph(text: str) -> dict[str, Any]:
    """Settings under our names; {} where the text is no graph, or one with no sampler or several."""
    graph = _nodes(text)
    samplers = [node for node in graph.values() if node.get("class_type") in SAMPLERS]
    if len(samplers) != 1:
        return {}
    inputs = _inputs(samplers[0])
    found = {key: kind(inputs[name]) for name, key, kind in READ if _is(inputs.get(name), kind)}
    for name, key in (("positive", "prompt"), ("negative", "negative_prompt")):
        words = _inputs(_linked(graph, inputs.get(name))).get("text")
        if isinstance(words, str):
            found[key] = words
    size = _inputs(_linked(graph, inputs.get("latent_image")))
    return found | {key: size[key] for key in ("width", "height") if _is(size.get(key), int)}


def other_nodes(text: str) -> tuple[str, ...]:
    """Kinds of the nodes that a plain graph has not, such as "LoraLoader", each once."""
    kinds = [str(node.get("class_type", "")) for node in _nodes(text).values()]
    return tuple(dict.fromkeys(kind for kind in kinds if kind not in PLAIN))


def _nodes(text: str) -> dict[str, Node]:
    try:
        graph = parsed(text)
    except ValueError:
        return {}
    return {key: node for key, node in graph.items() if isinstance(node, dict)} if isinstance(graph, dict) else {}


def _is(value: Any, kind: type) -> bool:
    return type(value) is kind or (kind is float and type(value) is int)


def _inputs(node: Node) -> Mapping[str, Any]:
    inputs = node.get("inputs")
    return inputs if isinstance(inputs, dict) else {}


def _linked(graph: Mapping[str, Node], link: Any) -> Node:
    """The node that an input is linked to: a link is [id, place]."""
    return graph.get(str(link[0]), {}) if isinstance(link, list) and link else {}
