"""The base model: finding it, describing it, without loading it.

Importing this module loads neither torch nor diffusers, so that the page can open before the model does.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from clora_core.concepts import SamplingConfig, TrainConfig, nearest, tokens_in
from clora_core.errors import ModelError, SettingsError
from clora_core.models.asked import Asked, read_asked
from clora_core.models.hub import commit_of, fetch, fetched_bytes, hub_model, snapshot_of
from clora_core.models.single_file import SingleFile, read_single_file
from clora_core.settings.methods import BUILT_IN, CLORA, Methods

PRESET_FILE = "clora.json"
WORDS_FILE = "known_words.txt"
FULL_HASH_BYTES = 200_000_000  # weight files up to this size are hashed whole
SAMPLE_BYTES = 1 << 20  # of larger ones: this much of the start (the header), the middle and the end
DENOISERS = ("unet", "transformer")  # a model has one of them
NETWORKS = (*DENOISERS, "text_encoder", "text_encoder_2")  # the last is SDXL's
FAMILIES = {  # of the families there are: denoiser and text encoders
    ("unet", "CLIPTextModel", None),
    ("unet", "CLIPTextModel", "CLIPTextModelWithProjection"),
    ("transformer", "T5EncoderModel", None),
}
TRANSFORMERS = ("PixArtSigmaPipeline",)  # many kinds of model have a transformer: those that are read here
TOKENIZERS = ("tokenizer.json", "vocab.json", "merges.txt", "spiece.model")
SENTENCEPIECE = ("sentencepiece", "google.protobuf")  # packages that read spiece.model
LIBRARIES = (None, "diffusers", "transformers", "stable_diffusion")  # the last has the safety checker


@dataclass(frozen=True)
class First:
    """What somebody who has drawn nothing yet is offered. prompt: may hold tokens of a shipped timeline."""

    prompt: str = ""
    seed: int = 0


@dataclass(frozen=True)
class BaseModel:
    """What is known of a base model without loading it.

    name: for people.  path: folder, file or Hub id, as `load_backbone` takes it.  id: its `fingerprint`,
    kept in timelines as `base_id`; "" while a Hub model is not on this machine.  source: where it can be had again,
    "owner/name@commit"; "" = not from the Hub.  resolution: side in pixels.
    sampling: the model's preset for drawing, or the class defaults at its resolution.  settings: what its preset for
    learning says, of whichever method.  presets: how the settings of a method differ from those, by its name; of one
    that is not there its row's preset.  methods: those that are known.  asked: what benchmarks may ask it for beside a
    concept.  draws: the only kind of picture it can draw, in words; "" = no such limit is known.  joined_by: the words
    by which alone it puts two people into one picture; () = any.  first: the first prompt and seed.  plain: prompts
    that need nothing learned.  takes_loras: whether diffusers reads LoRAs and embeddings into it.
    """

    name: str
    path: str
    id: str
    resolution: int
    sampling: SamplingConfig
    settings: Mapping[str, Any] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    methods: Methods = BUILT_IN
    asked: Asked | None = None
    draws: str = ""
    first: First = First()
    plain: tuple[str, ...] = ()
    joined_by: tuple[str, ...] = ()
    source: str = ""
    takes_loras: bool = True

    @property
    def train(self) -> TrainConfig:
        """The preset for learning: of C-LoRA, or the method that it names."""
        return self.train_with({})

    def train_with(self, changes: Mapping[str, Any]) -> TrainConfig:
        """The preset of the method that `changes` names (or of `train`'s), with `changes` in place.

        Raises SettingsError on a key that is not a setting of the method and on a wrong value.
        """
        wanted = {"method": CLORA.name, **self.settings, **changes}["method"]
        row = self.methods.named(wanted)
        preset = {**self.settings, **self.presets.get(row.name, row.preset), "method": row.name}
        chosen = {name: value for name, value in changes.items() if name != "method"}
        return TrainConfig.from_json(preset, self.methods).updated(chosen)

    def train_shared(self, shared: Mapping[str, Any], changes: Mapping[str, Any]) -> TrainConfig:
        """`train_with(changes)`, and before those what its method reads of `shared`, which is meant for several."""
        read = self.train_with(changes).specs()
        return self.train_with({**{name: shared[name] for name in shared if name in read}, **changes})

    def check(self) -> None:
        """Raise SettingsError when a preset is wrong: it is told at once, not when its method is chosen."""
        for row in self.methods:
            self.train_with({"method": row.name})
        for name, preset in self.presets.items():
            self.train_with({"method": name, **preset})
        known = {"method"}.union(*(self.train_with({"method": row.name}).specs() for row in self.methods))
        if unknown := sorted(set(self.settings) - known):
            raise SettingsError(f"Unknown setting {', '.join(unknown)}. The settings are: {', '.join(sorted(known))}.")


def read_base(model: str | Path, methods: Methods = BUILT_IN) -> BaseModel:
    """Describe a model folder, file or Hub id from what is small in it; fast, loads and downloads nothing.

    Raises ModelError when `model` is no diffusers folder and no file of one, and looks like no Hub id, or its preset
    (clora.json) is unreadable; SettingsError when the preset holds a wrong setting.
    """
    file, folder = file_of(model), folder_of(str(model))
    if folder is None:
        return BaseModel(str(model), str(model), "", TrainConfig().resolution, SamplingConfig(), methods=methods)
    index = _read_json(folder / "model_index.json")
    check_family(folder.name, index, lambda part: _read_json(folder / part / "config.json"))
    preset = _read_json(folder / PRESET_FILE) if (folder / PRESET_FILE).is_file() else {}
    side = (file and file.side) or _native_resolution(folder)
    settings = {"resolution": side, **preset.get("train", {})}
    sampling = SamplingConfig(width=side, height=side).updated(preset.get("sampling", {}))
    own_name = file.path.stem if file else folder.name if Path(str(model)).is_dir() else str(model)
    name = preset.get("name") or own_name
    base = BaseModel(
        name=name,
        path=str(model),
        id=_file_fingerprint(file) if file else fingerprint(folder),
        resolution=settings["resolution"],
        sampling=sampling,
        settings=settings,
        presets=preset.get("methods", {}),
        methods=methods,
        asked=read_asked(folder),
        draws=str(preset.get("draws", "")),
        first=_first(preset),
        plain=tuple(map(str, preset.get("plain", ()))),
        joined_by=tuple(preset.get("joined_by", ())),
        source=_source(str(model), folder),
        takes_loras=denoiser_of(index) == "unet",
    )
    base.check()
    return base


def _first(preset: Mapping[str, Any]) -> First:
    try:
        first = First(**preset.get("first", {}))
    except TypeError as error:
        raise SettingsError(f'The preset\'s "first" holds a prompt and a seed and nothing else: {error}.') from error
    SamplingConfig(seed=first.seed)  # refuses what is no seed
    return First(str(first.prompt), first.seed)


def file_of(model: str | Path) -> SingleFile | None:
    """What a model that is one file says of itself; None for another. Raises ModelError for what is no base model."""
    path = Path(model)
    return read_single_file(path) if path.is_file() else None


def folder_of(model: str) -> Path | None:
    """The model's folder on this machine, of one file that of its configs; None for a Hub model that is not, or only in
    part, here yet."""
    if file := file_of(model):
        return file.configs
    folder = Path(model)
    if folder.is_dir():
        if not (folder / "model_index.json").is_file():
            raise ModelError(f"{model} is not a diffusers model: it has no model_index.json. Choose its top folder.")
        return folder
    hub = hub_model(model)
    if hub is None or folder.suffix in (".safetensors", ".ckpt"):
        raise ModelError(
            f"There is no model {model}. Give a folder in diffusers layout, a .safetensors file, or a Hub id like "
            "stable-diffusion-v1-5/stable-diffusion-v1-5."
        )
    snapshot = snapshot_of(hub)
    return snapshot if snapshot and _complete(snapshot) else None


def fetched(model: str) -> Path:
    """The folder of a Hub model, after what is missing was fetched. Raises ModelError with what to do."""
    hub = hub_model(model)
    assert hub  # `folder_of` has refused other text
    return fetch(hub, lambda index: _check_kind(model, index), (*NETWORKS, "vae"))


def _source(model: str, folder: Path) -> str:
    hub = None if Path(model).exists() else hub_model(model)
    return f"{hub.id}@{commit_of(folder)}" if hub else ""


def downloaded_bytes(model: str) -> int:
    """Bytes of a Hub model's files on this machine, those that are still coming included; 0 for another model."""
    hub = None if Path(model).exists() else hub_model(model)
    return fetched_bytes(hub) if hub else 0


def _complete(folder: Path) -> bool:
    """Whether all of a Hub model's parts that are read here have arrived; a file appears when it is whole."""
    index = _read_json(folder / "model_index.json")
    weights = (_weight_files(folder / part) for part in (*NETWORKS, "vae") if _class_of(index, part))
    scheduler = (folder / "scheduler" / "scheduler_config.json").exists()
    words = all(_words_in(place) for place in _tokenizers(folder, index))
    return (
        scheduler
        and words
        and all((folder / part / "config.json").exists() for part in (denoiser_of(index), "vae"))
        and all(weights)
    )


def _tokenizers(folder: Path, index: Mapping[str, Any]) -> list[Path]:
    return [folder / part for part in ("tokenizer", "tokenizer_2") if _class_of(index, part)]


def _words_in(tokenizer: Path) -> list[str]:
    """Which files with words a tokenizer's folder has."""
    return [name for name in TOKENIZERS if (tokenizer / name).exists()]


def check_words(folder: Path) -> None:
    """Raise ModelError where the words of a tokenizer are missing, or cannot be read here: transformers, left alone,
    would make up a few."""
    for place in _tokenizers(folder, _read_json(folder / "model_index.json")):
        words = _words_in(place)
        if not words:
            raise ModelError(f"The model {folder} has no words in its {place.name}. Download it again.")
        missing = [package for package in SENTENCEPIECE if not find_spec(package)]
        if words == ["spiece.model"] and missing:
            raise ModelError(
                f"The model {folder} has its words as {words[0]}, which sentencepiece reads. Run python -m pip install "
                "sentencepiece protobuf, then start again."
            )


def _weight_files(part: Path) -> list[Path]:
    """The weight files that count, safetensors if there are any; of several variants (".fp16.") the plain ones."""
    for suffix in ("safetensors", "bin"):
        files = sorted(part.glob(f"*.{suffix}"))
        if files:
            return [file for file in files if file.name.count(".") == 1] or files
    return []


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"The model file {path} cannot be read: {error}. Download it again.") from error
    if not isinstance(values, dict):
        raise ModelError(f"The model file {path} is not what it should be. Download the model again.")
    return values


def _class_of(index: Mapping[str, Any], part: str) -> str | None:
    """The class of a part, as model_index.json says it; None where there is no such part."""
    found = index.get(part)
    return found[1] if isinstance(found, list | tuple) and len(found) == 2 else None


def check_family(name: str, index: Mapping[str, Any], config_of: Callable[[str], Mapping[str, Any]]) -> None:
    """Raise ModelError for a model that is no plain Stable Diffusion 1.x, 2.x or XL, or PixArt-Sigma, with what it is.

    index: what model_index.json says, or a loaded pipeline of itself.  config_of: the config of a part, by its name.
    """
    kind = _check_kind(name, index)
    denoiser = denoiser_of(index)
    reads, latents = config_of(denoiser).get("in_channels", 4), config_of("vae").get("latent_channels", 4)
    if reads != latents:
        raise ModelError(
            f"The model {name} is no plain text-to-image model ({kind}): its {denoiser} reads {reads} channels where "
            f"pictures have {latents}, as inpainting models do. Use the model it was made from."
        )


def _check_kind(name: str, index: Mapping[str, Any]) -> str:
    """What kind of model it says that it is; raises ModelError where its parts are of another family."""
    kind = index.get("_class_name", "model of an unknown kind")
    found = (value for value in index.values() if isinstance(value, list | tuple) and len(value) == 2)
    if own := sorted({str(value[0]) for value in found if value[0] not in LIBRARIES}):
        raise ModelError(
            f"The model {name} brings code of its own ({', '.join(own)}), which is not run. Use a model without."
        )
    encoders = (_class_of(index, "text_encoder"), _class_of(index, "text_encoder_2"))
    if encoders == (None, "CLIPTextModelWithProjection"):
        raise ModelError(f"The model {name} is SDXL's refiner, which draws nothing alone. Use the base model.")
    denoiser = denoiser_of(index)
    if (denoiser, *encoders) not in FAMILIES or (denoiser != "unet" and kind not in TRANSFORMERS):
        raise ModelError(
            f"The model {name} is a {kind}. Use a Stable Diffusion 1.x, 2.x or XL model, a PixArt-Sigma, or one built "
            "alike."
        )
    return str(kind)


def denoiser_of(index: Mapping[str, Any]) -> str:
    """Which part predicts the noise: "unet" or "transformer", as model_index.json has it; "" where there is none."""
    return next((part for part in DENOISERS if _class_of(index, part)), "")


def denoiser_in(folder: Path) -> str:
    """The same of a folder that is known to be a model."""
    return denoiser_of(_read_json(folder / "model_index.json"))


def variant_of(folder: Path) -> str | None:
    """The variant of the weights where there are no plain ones: "fp16" where the denoiser has .fp16.safetensors."""
    names = [file.name.split(".") for file in _weight_files(folder / denoiser_in(folder))]
    return next((name[1] for name in names if len(name) == 3), None)


def _native_resolution(folder: Path) -> int:
    """In pixels; the shorter side where the model's own pictures are not square."""
    denoiser = _read_json(folder / denoiser_in(folder) / "config.json")
    vae = _read_json(folder / "vae" / "config.json")
    size = denoiser.get("sample_size") or 64
    side = min(size) if isinstance(size, list) else size
    return int(side) * 2 ** (len(vae.get("block_out_channels", [0] * 4)) - 1)


def fingerprint(folder: Path) -> str:
    """What a model's pictures depend on, "<networks>.<rest>", 16 hex digits of sha256 each.

    networks: the denoiser's config, its and the text encoders' weights: what a concept is learned on.  rest: the VAE,
    the scheduler, the tokenizers, how the text encoders are read: with another of them the same weights draw other
    pictures.

    Files over 200 MB count by size, header (start), middle and end. Names and versions do not count, so a copied folder
    is the same model; of several variants of a file (".fp16.") the plain one counts.
    """
    networks, rest = hashlib.sha256(), hashlib.sha256()
    networks.update(_plain(_read_json(folder / denoiser_in(folder) / "config.json"), drop_unset=False))
    for part in NETWORKS:
        for file in _weight_files(folder / part):
            _add_file(networks, file)
    for file in _weight_files(folder / "vae"):
        _add_file(rest, file)
    for config in ("vae/config.json", "scheduler/scheduler_config.json"):
        if (folder / config).is_file():
            rest.update(_plain(_read_json(folder / config)))
    for number in ("", "_2"):
        if not number or (folder / f"text_encoder{number}").is_dir():
            rest.update(_plain(_text_reading(folder / f"text_encoder{number}")))
        for name in TOKENIZERS:
            if (folder / f"tokenizer{number}" / name).is_file():
                _add_file(rest, folder / f"tokenizer{number}" / name)
    return f"{networks.hexdigest()[:16]}.{rest.hexdigest()[:16]}"


def _file_fingerprint(file: SingleFile) -> str:
    """As `fingerprint`, of a model that is one file: the first half is of all its weights."""
    networks = hashlib.sha256()
    _add_file(networks, file.path)
    rest = hashlib.sha256(_plain(file.scheduler, drop_unset=False))
    return f"{networks.hexdigest()[:16]}.{rest.hexdigest()[:16]}"


def _plain(config: Mapping[str, Any], drop_unset: bool = True) -> bytes:
    """A config as bytes that say the same: sorted, without diffusers' own notes but the class. drop_unset: without what
    is None, as newer versions add it."""
    kept = {key: config[key] for key in sorted(config) if key[0] != "_"}
    if drop_unset:
        kept = {key: value for key, value in kept.items() if value is not None}
        kept["class"] = config.get("_class_name", "")
    return json.dumps(kept).encode()


def _text_reading(part: Path) -> dict[str, Any]:
    """What of a text encoder's config changes what is read with the same weights: where it stops ("clip skip")."""
    path = part / "config.json"
    config = _read_json(path) if path.is_file() else {}
    return {key: config.get(key) for key in ("num_hidden_layers", "hidden_act")}


def _add_file(digest: Any, path: Path) -> None:
    size = path.stat().st_size
    digest.update(str(size).encode())
    with path.open("rb") as file:
        if size <= FULL_HASH_BYTES:
            while block := file.read(SAMPLE_BYTES):
                digest.update(block)
            return
        for start in (0, size // 2, size - SAMPLE_BYTES):
            file.seek(start)
            digest.update(file.read(SAMPLE_BYTES))


def unknown_words(model: str | Path, prompt: str) -> dict[str, str]:
    """Words of the prompt the model was never taught, lower-cased, each once, in order, and the known one that each may
    be meant for, or "".

    A model says what it knows in known_words.txt in its folder, one word a line; one without that file is
    taken to know everything. Tokens like <rex> are not words. A joined word ("red-haired") is known when it
    or all its parts are.
    """
    folder = folder_of(str(model))
    if folder is None or not (folder / WORDS_FILE).is_file():
        return {}
    known = set((folder / WORDS_FILE).read_text(encoding="utf-8").lower().split())
    text = prompt.lower()
    for token in tokens_in(prompt):
        text = text.replace(token, " ")
    words = re.findall(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*", text)
    unknown = [word for word in dict.fromkeys(words) if word not in known and not known.issuperset(word.split("-"))]
    return {word: nearest(word, known) for word in unknown}
