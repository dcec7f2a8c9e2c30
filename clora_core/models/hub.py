"""Base models on the Hugging Face Hub: how they are named, where they lie once they are here, and fetching them.

Weights as safetensors, configs and tokenizers are fetched: never pickles, never code. Nothing here loads torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clora_core.errors import ModelError

NAME = re.compile(r"(?P<id>\w[\w-]*(\.[\w-]+)*/\w[\w-]*(\.[\w-]+)*)(@(?P<revision>[\w.-]+(/[\w.-]+)*))?")
INDEX = "model_index.json"
WEIGHTS = ".safetensors"
SMALL = (".json", ".txt", ".model")  # configs and the words of tokenizers


@dataclass(frozen=True)
class HubModel:
    """id: owner/name.  revision: a branch, tag or commit; None = the main branch."""

    id: str
    revision: str | None = None


def hub_model(model: str) -> HubModel | None:
    """What "owner/name" or "owner/name@revision" stands for; None for other text."""
    found = NAME.fullmatch(model)
    return HubModel(found["id"], found["revision"]) if found else None


def snapshot_of(model: HubModel) -> Path | None:
    """Its folder on this machine, though perhaps not all of its files; None where nothing is here."""
    from huggingface_hub import try_to_load_from_cache

    index = try_to_load_from_cache(model.id, INDEX, revision=model.revision)
    return Path(index).parent if isinstance(index, str) else None


def commit_of(snapshot: Path) -> str:
    """The commit that a snapshot is of."""
    return snapshot.name


def fetched_bytes(model: HubModel) -> int:
    """Bytes of its files on this machine, those that are still coming included."""
    from huggingface_hub.constants import HF_HUB_CACHE

    files = (Path(HF_HUB_CACHE) / f"models--{model.id.replace('/', '--')}" / "blobs").glob("*")
    return sum(file.stat().st_size for file in files if file.is_file())


def fetch(model: HubModel, check: Callable[[Mapping[str, Any]], object], parts: Iterable[str]) -> Path:
    """Fetch what is missing of a model and return its folder.

    check: is called with what model_index.json says, before anything large is fetched.  parts: those with weights, of
    which the model need not have all.  Raises ModelError with what to do, and what `check` raises.
    """
    from huggingface_hub import errors as hub
    from huggingface_hub import hf_hub_download, snapshot_download

    where = f"https://huggingface.co/{model.id}"
    try:
        index = json.loads(Path(hf_hub_download(model.id, INDEX, revision=model.revision)).read_text(encoding="utf-8"))
        check(index)
        names = _names(model)
        return Path(snapshot_download(model.id, revision=model.revision, allow_patterns=wanted(model, names, parts)))
    except hub.RemoteEntryNotFoundError as error:
        raise ModelError(_not_diffusers(model, _names(model))) from error
    except hub.GatedRepoError as error:
        raise ModelError(
            f"The model {model.id} is gated. Ask for access at {where}, then run hf auth login or set HF_TOKEN."
        ) from error
    except hub.RevisionNotFoundError as error:
        raise ModelError(f"The model {model.id} has no revision {model.revision!r}. {where} lists them.") from error
    except hub.RepositoryNotFoundError as error:
        raise ModelError(
            f"There is no model {model.id} on the Hub, or it is private. Check the name; for a private one run "
            "hf auth login or set HF_TOKEN."
        ) from error
    except ModelError:
        raise
    except Exception as error:  # no network, a Hub that fails, a full disk: errors of any HTTP library come through
        raise ModelError(
            f"The model {model.id} could not be fetched: {error} Check the connection and the disk, or give a folder "
            "or a .safetensors file."
        ) from error


def _names(model: HubModel) -> list[str]:
    from huggingface_hub import HfApi

    return [file.rfilename for file in HfApi().model_info(model.id, revision=model.revision).siblings or ()]


def wanted(model: HubModel, names: Iterable[str], parts: Iterable[str]) -> list[str]:
    """Of all its files those that are read: of several variants of the weights the plain ones, else those in fp16.

    Raises ModelError where a part has its weights as pickles only.
    """
    names = list(names)
    read = [name for name in names if not name.startswith("safety_checker/")]
    small = [name for name in read if name.endswith(SMALL)]
    weights: list[str] = []
    for part in parts:
        own = [name for name in names if name.startswith(f"{part}/")]
        files = [name for name in own if name.endswith(WEIGHTS)]
        if own and not files:
            raise ModelError(
                f"The model {model.id} has its {part} without safetensors, as a pickle, which can hold code that runs "
                "when it is opened. Give a revision with safetensors, as owner/name@revision, or another model."
            )
        plain = [name for name in files if name.count(".") == 1]
        weights += plain or [name for name in files if ".fp16." in name] or files
    return small + weights


def _not_diffusers(model: HubModel, names: Iterable[str]) -> str:
    single = next((name for name in names if name.endswith(WEIGHTS) and "/" not in name), None)
    download = f"Download its {single} and give that file" if single else "Give one that is"
    return f"The model {model.id} is not in diffusers layout: it has no {INDEX}. {download}."
