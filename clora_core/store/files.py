"""One concept's folder in the store (the layout is in ``clora_core.store.store``): written whole, read in parts."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clora_core.answers import Card
from clora_core.concepts import Brought, LearnedConcept, Timeline, TrainStep, filled, is_embedding
from clora_core.data.beside import copy_beside
from clora_core.data.pictures import open_picture
from clora_core.disk import check_id, file_sha256, read_json, refused, sync_folder, sync_tree, write_json
from clora_core.errors import StoreError
from clora_core.measures.difference import difference
from clora_core.settings.methods import BUILT_IN, MethodRow, Methods
from clora_core.store.shapes import check_facts, check_index
from clora_core.verdict import Verdict

if TYPE_CHECKING:
    from clora_core.measures.likeness import Look

FORMAT = 1
LOOK_FILE = "look.safetensors"
CARD_KEYS = ("name", "token", "template", "created", "seconds", "steps_done", "picture_count", "config")


def write_concept(
    partial: Path,
    learned: LearnedConcept,
    before: Timeline,
    drawn: Mapping[str, Path],
    verdict: Verdict | None,
    keep: Iterable[Path],
    look: Look | None = None,
    real: Path | None = None,
) -> None:
    """Write and flush everything of one concept into the new folder ``partial``. Raises OSError."""
    from safetensors.torch import save

    (partial / "drawn").mkdir(parents=True)
    weights = save({name: tensor.contiguous() for name, tensor in learned.tensors().items()})
    (partial / "weights.safetensors").write_bytes(weights)
    values = learned.to_json()
    (partial / "curve.json").write_text(json.dumps({"curve": values.pop("curve")}), encoding="utf-8")
    for name, picture in drawn.items():
        shutil.copyfile(picture, partial / "drawn" / f"{name}.png")
    private = partial / f"training-{secrets.token_hex(8)}"  # the page can serve what lies here: unguessable
    for picture in keep:
        private.mkdir(exist_ok=True)
        _keep_picture(picture, private / f"{picture.stem}.png")
    if look:
        (partial / LOOK_FILE).write_bytes(look.to_bytes())
    if real:
        shutil.copyfile(real, partial / f"real-{secrets.token_hex(8)}.webp")
    write_json(
        partial / "concept.json",
        {
            **values,
            "steps_done": learned.curve[-1].step if learned.curve else 0,
            "weights_sha256": hashlib.sha256(weights).hexdigest(),
            "base_id": before.base_id,
            "method": before.method.name,
            "learned_after": [concept.id for concept in before.concepts],
            "verdict": verdict.to_json() if verdict else None,
        },
    )
    sync_tree(partial)


def _keep_picture(picture: Path, target: Path) -> None:
    """Keep the pixels that were learned from, and what lies beside them, but nothing else of the file: EXIF may say
    where it was taken. Raises OSError."""
    opened = open_picture(picture, 1)
    if opened.image is None:  # a copy that was damaged since: at least what is there
        shutil.copyfile(picture, target)
    else:
        opened.image.save(target, "PNG")
    copy_beside(picture, target)


def place_timeline(folder: Path, index: Mapping[str, Any], copies: Iterable[Path]) -> None:
    """Make the whole timeline folder ``folder`` appear at once, with copies of concepts' folders. Raises StoreError."""
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    try:
        partial.mkdir()
        for source in copies:
            shutil.copytree(source, partial / source.name)
        write_json(partial / "timeline.json", dict(index))
        sync_tree(partial)
        partial.replace(folder)
        sync_folder(folder.parent)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise refused(f"The timeline {index['name']!r} could not be stored", error) from error


def read_index(path: Path) -> dict[str, Any]:
    """What timeline.json says. Raises StoreError when it is damaged, or of another version."""
    index = read_json(path)
    if index.get("format") != FORMAT:
        raise StoreError(
            f"The timeline {path.parent.name!r} has format {index.get('format')!r}, this version reads "
            f"{FORMAT}. Open it with the version it was made with."
        )
    check_index(path, index)
    return index


@lru_cache(maxsize=4096)
def change(learned: Path, later: Path) -> float | None:
    """How much a card picture has changed since its concept was learned (see ``difference``); None when one of
    them is missing, damaged or of another size. Both lie in the store, where nothing is ever rewritten, so the
    answer is kept."""
    try:
        return difference(learned, later)
    except (OSError, ValueError):
        return None


def read_changes(folder: Path, names: Sequence[str], steady: bool = False) -> tuple[tuple[float | None, ...], ...]:
    """The forgetting map of the timeline folder ``folder``: row i holds, for the concepts 1 to i in order, how
    much each one's picture after concept i differs from the one drawn when it was learned. None where that is not
    known, as where an earlier concept has left since; of a ``steady`` method pictures stay as they are."""
    rows = []
    for i, later in enumerate(names):
        drawn = steady or draws_as_then(folder, names[: i + 1])
        now = [folder / later / "drawn" / f"{name}.png" for name in names[: i + 1]]
        learned = [folder / name / "drawn" / f"{name}.png" for name in names[: i + 1]]
        rows.append(tuple(change(learned[j], now[j]) if drawn or learned[j] == now[j] else None for j in range(i + 1)))
    return tuple(rows)


def draws_as_then(folder: Path, names: Sequence[str]) -> bool:
    """Whether the last of the concepts ``names`` was learned right after the others: then the pictures drawn with it
    are as the timeline draws. It was not where one before it has left the timeline since."""
    *before, last = names
    return bool(read_facts(folder, last).get("learned_after", before) == before)


def read_facts(folder: Path, name: str) -> dict[str, Any]:
    """What concept.json of concept ``name`` says. Raises StoreError when it is missing or damaged."""
    path = folder / check_id(name, "concept") / "concept.json"
    facts = read_json(path, *CARD_KEYS)
    check_facts(path, facts)
    return facts


def read_card(folder: Path, name: str, position: int, newest: str | None) -> Card:
    """The card of concept ``name`` in the timeline folder ``folder``. newest: the concept with which its picture of now
    was drawn; None where there is none."""
    values = read_facts(folder, name)
    learned = folder / name / "drawn" / f"{name}.png"
    now = folder / newest / "drawn" / f"{name}.png" if newest else None
    verdict = values.get("verdict")
    return Card(
        index=position,
        id=name,
        name=values["name"],
        token=values["token"],
        created=values["created"],
        seconds=values["seconds"],
        steps=values["steps_done"],
        picture_count=values["picture_count"],
        pictures_sha256=values.get("pictures_sha256", ""),
        picture_hashes=tuple(values.get("picture_hashes", ())),
        learned_picture=learned if learned.exists() else None,
        now_picture=now if now and now.exists() else None,
        changed=change(learned, now) if now else None,
        settings=values["config"],
        prompt=filled(values["template"], values["token"]),
        verdict=Verdict.from_json(verdict) if verdict else None,
        likeness=_likeness(folder, name, values["token"], newest),
        real_picture=find_real(folder / name),
        brought=Brought.from_json(values["brought"]) if values.get("brought") else None,
    )


def _likeness(folder: Path, name: str, token: str, newest: str | None) -> float | None:
    """How like its real pictures the concept is drawn after the concept ``newest``; None = not measured."""
    if newest is None:  # a concept left the timeline since
        return None
    verdict = read_facts(folder, newest).get("verdict")
    if not verdict:
        return None
    found = Verdict.from_json(verdict)
    return found.likeness if name == newest else dict(found.older_likeness).get(token)


def find_real(concept: Path) -> Path | None:
    """The small real picture in a concept's folder; None = none is kept."""
    return next(iter(concept.glob("real-*.webp")), None)


def read_concepts(
    folder: Path, names: Sequence[str], method: MethodRow, methods: Methods, to_draw: bool
) -> tuple[LearnedConcept, ...]:
    """The concepts ``names`` of the timeline folder ``folder``, learned with ``method``, one of ``methods``;
    ``to_draw`` is that of ``ConceptStore.load``. Raises StoreError when a file is missing or damaged."""
    read = read_token if to_draw and method.continues else read_concept
    earlier = [read(folder, name, methods) for name in names[:-1]]
    return (*earlier, *(read_concept(folder, name, methods) for name in names[-1:]))


def read_concept(folder: Path, name: str, methods: Methods = BUILT_IN) -> LearnedConcept:
    """The concept ``name`` of the timeline folder ``folder``, tensors checked against their checksum.

    Raises StoreError when a file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    values, weights = read_facts(folder, name), folder / name / "weights.safetensors"
    try:
        digest = file_sha256(weights)
    except OSError as error:
        raise _unreadable(name, error) from error
    if digest != values.get("weights_sha256"):
        raise StoreError(
            f"The weights of {name} in the timeline {folder.name!r} are damaged (checksum). Restore "
            f"{name}/weights.safetensors from a backup, or undo back to before it."
        )
    curve = [asdict(step) for step in read_curve(folder, name)]
    try:
        # copies, for a tensor that is only mapped dies with its file
        tensors = {key: tensor.clone() for key, tensor in load_file(weights).items()}
        return LearnedConcept.from_json({**values, "curve": curve}, tensors, methods)
    except (OSError, SafetensorError) as error:
        raise _unreadable(name, error) from error


def read_token(folder: Path, name: str, methods: Methods = BUILT_IN) -> LearnedConcept:
    """The concept ``name`` with its token's embedding and no other tensor. Raises StoreError like ``read_concept``."""
    from safetensors import SafetensorError, safe_open

    values = read_facts(folder, name)
    try:
        with safe_open(folder / name / "weights.safetensors", framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in filter(is_embedding, file.keys())}
    except (OSError, SafetensorError) as error:
        raise _unreadable(name, error) from error
    return LearnedConcept.from_json({**values, "curve": []}, tensors, methods)


def has_deltas(folder: Path, name: str) -> bool:
    """Whether the concept ``name`` holds whole weights. Raises StoreError when its file cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / name / "weights.safetensors", framework="pt") as file:
            return any(tensor.startswith("deltas.") for tensor in file.keys())  # noqa: SIM118  it is no dict
    except (OSError, SafetensorError) as error:
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: Exception) -> StoreError:
    return StoreError(f"The weights of {name} cannot be read: {error}. Undo it, or restore it.")


def read_curve(folder: Path, name: str) -> tuple[TrainStep, ...]:
    """The loss curve that concept ``name`` of the timeline folder ``folder`` was learned with."""
    path = folder / check_id(name, "concept") / "curve.json"
    try:
        return tuple(TrainStep.from_json(step) for step in read_json(path, "curve")["curve"])
    except TypeError as error:
        raise StoreError(f"{path} is damaged ({error}). Restore it from a backup.") from error
