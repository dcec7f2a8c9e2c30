"""A token's embedding as a file that ComfyUI, A1111, Forge, InvokeAI and diffusers all read: one tensor "emb_params".

The file's stem is the token without brackets: the others know it by that; diffusers is told the token.
"""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save

from clora_core.concepts import LearnedConcept
from clora_core.export.kohya import Family, specification
from clora_core.export.parts import stem_of
from clora_core.models.stable_diffusion import TABLE


def save_embedding(concept: LearnedConcept, family: Family, folder: Path) -> Path:
    """Write the concept's embedding (1, d), fp32, into the folder and return the file."""
    embedding, stem = concept.embeddings[TABLE], stem_of(concept.token)
    path = folder / f"{stem}.safetensors"
    metadata = {"format": "pt", **specification(stem, "textual-inversion", family), "clora.token": concept.token}
    path.write_bytes(save({"emb_params": embedding.contiguous()}, metadata))
    return path
