"""A token's embedding as a file that ComfyUI, A1111, Forge and InvokeAI all read.

With one text encoder it is one tensor "emb_params", which diffusers reads, too; SDXL's are "clip_l" and "clip_g", of
which diffusers is given one after the other. The file's stem is the token without brackets: programmes know it by that.
"""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save

from clora_core.concepts import LearnedConcept
from clora_core.export.kohya import Family, specification
from clora_core.export.parts import stem_of
from clora_core.models.stable_diffusion import TABLE

FILE_NAMES = {TABLE: "emb_params"}  # of the tensor, by table; else it is the table's own


def save_embedding(concept: LearnedConcept, family: Family, folder: Path) -> Path:
    """Write the concept's embeddings, (1, d) each, fp32, into the folder and return the file."""
    stem = stem_of(concept.token)
    tensors = {FILE_NAMES.get(table, table): row.contiguous() for table, row in concept.embeddings.items()}
    path = folder / f"{stem}.safetensors"
    metadata = {"format": "pt", **specification(stem, "textual-inversion", family), "clora.token": concept.token}
    path.write_bytes(save(tensors, metadata))
    return path
