"""Finding, describing and loading base models."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler, PNDMScheduler
from tiny.model import RESOLUTION

from clora_core.concepts import SamplingConfig, TrainConfig, same_base
from clora_core.errors import ModelError, SettingsError
from clora_core.models.description import fingerprint, read_base, unknown_words
from clora_core.models.loading import load_backbone
from clora_core.models.samplers import check_steps, sampler_name


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may change."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def test_a_model_without_a_preset_has_the_defaults_at_its_own_size(folder: Path) -> None:
    base = read_base(folder)
    assert (base.name, base.path, base.resolution) == ("model", str(folder), RESOLUTION)
    assert base.train == TrainConfig(resolution=RESOLUTION)
    assert base.sampling == SamplingConfig(width=RESOLUTION, height=RESOLUTION)


def test_a_preset_is_laid_over_the_defaults(folder: Path) -> None:
    preset = {"name": "Faces", "train": {"rank": 4, "resolution": 64}, "sampling": {"guidance_scale": 4}}
    (folder / "clora.json").write_text(json.dumps(preset))
    base = read_base(folder)
    assert base.name == "Faces" and base.resolution == 64
    assert base.train == TrainConfig.from_dict({"rank": 4, "resolution": 64})
    assert base.sampling == SamplingConfig(guidance_scale=4.0, width=RESOLUTION, height=RESOLUTION)


def test_a_wrong_preset_is_refused(folder: Path) -> None:
    (folder / "clora.json").write_text('{"train": {"lr": 1}}')
    with pytest.raises(SettingsError, match="lr"):
        read_base(folder)
    (folder / "clora.json").write_text("{")
    with pytest.raises(ModelError, match=r"clora\.json"):
        read_base(folder)


def flip(path: Path) -> None:
    """Change the last byte of a file."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_the_fingerprint_is_of_all_that_a_picture_depends_on(folder: Path, tiny_folder: Path) -> None:
    whole = fingerprint(tiny_folder)
    networks, rest = whole.split(".")
    assert fingerprint(folder) == whole
    (folder / "clora.json").write_text("{}")
    change(folder / "scheduler/scheduler_config.json", _diffusers_version="9.9", new_setting=None)
    change(folder / "vae/config.json", _name_or_path="elsewhere")
    assert fingerprint(folder) == whole
    for part in ("unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"):
        flip(folder / part)
        assert fingerprint(folder).split(".")[0] != networks
        assert fingerprint(folder).split(".")[1] == rest
        flip(folder / part)
    flip(folder / "vae/diffusion_pytorch_model.safetensors")
    found = {fingerprint(folder)}
    change(folder / "scheduler/scheduler_config.json", prediction_type="epsilon")
    found.add(fingerprint(folder))
    change(folder / "scheduler/scheduler_config.json", _class_name="DDIMScheduler")
    found.add(fingerprint(folder))
    change(folder / "vae/config.json", scaling_factor=0.25)
    found.add(fingerprint(folder))
    change(folder / "text_encoder/config.json", num_hidden_layers=2)
    found.add(fingerprint(folder))
    flip(next((folder / "tokenizer").glob("*.json")))
    found.add(fingerprint(folder))
    assert len(found - {whole}) == 6 and {each.split(".")[0] for each in found} == {networks}


def test_an_older_fingerprint_is_of_the_networks_alone() -> None:
    new, old, other = "aa.bb", "aa", "cc"
    assert same_base(new, new) and same_base(old, new) and same_base(new, old)
    assert not same_base(new, "aa.cc") and not same_base(new, other) and not same_base(new, "cc.bb")


def test_a_hub_model_that_is_not_here_yet_is_described_by_its_name() -> None:
    base = read_base("somebody/some-model-that-is-not-here")
    assert base.id == "" and base.name == base.path == "somebody/some-model-that-is-not-here"
    assert base.train == TrainConfig() and base.resolution == 512


def test_a_hub_model_that_came_only_in_part_is_not_here_yet(
    folder: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = str(folder / "model_index.json")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda model, name, revision: found)
    assert read_base("some/model").id == fingerprint(tiny_folder)
    for part in (
        "text_encoder/model.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
        "scheduler/scheduler_config.json",
    ):
        (folder / part).rename(folder / "aside")
        assert read_base("some/model").id == ""
        (folder / "aside").rename(folder / part)
    (folder / "unet/config.json").unlink()
    assert read_base("some/model").id == ""


@pytest.mark.parametrize("model", ["no/such/folder", "model.safetensors", "./nowhere", "a/b.safetensors"])
def test_a_missing_model_is_refused_with_the_remedy(model: str) -> None:
    for read in (read_base, load_backbone):
        with pytest.raises(ModelError, match="There is no model .* diffusers layout"):
            read(model)


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model_index\.json"):
        load_backbone(tmp_path)


def change(path: Path, **values: object) -> None:
    """Put values into a JSON file; None takes one out."""
    merged = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({key: value for key, value in merged.items() if value is not None}))


def test_another_family_is_refused_by_its_name(folder: Path) -> None:
    change(folder / "model_index.json", _class_name="FluxPipeline", unet=None)
    with pytest.raises(ModelError, match="is a FluxPipeline. Use a Stable Diffusion"):
        read_base(folder)


def test_an_inpainting_model_is_refused_before_anything_is_learned(folder: Path) -> None:
    change(folder / "unet/config.json", in_channels=9)
    with pytest.raises(ModelError, match="reads 9 channels where pictures have 4"):
        read_base(folder)


def test_a_model_that_is_not_square_has_its_shorter_side_as_resolution(folder: Path) -> None:
    change(folder / "unet/config.json", sample_size=[8, 12])
    assert read_base(folder).resolution == RESOLUTION == 8 * 4


def test_a_folder_with_the_fp16_variant_alone_is_loaded(backbone, tmp_path: Path) -> None:
    backbone.pipe.save_pretrained(tmp_path / "fp16", variant="fp16")
    assert not list((tmp_path / "fp16/unet").glob("diffusion_pytorch_model.safetensors"))
    loaded = load_backbone(tmp_path / "fp16", "cpu")
    assert torch.equal(loaded.pipe.unet.conv_in.weight, backbone.pipe.unet.conv_in.weight)


def test_more_steps_than_the_sampler_takes_are_refused_with_the_most_it_takes() -> None:
    scheduler = PNDMScheduler(steps_offset=1, skip_prk_steps=True)
    with pytest.raises(SettingsError, match="cannot take 1000 steps. Use 999 or fewer"):
        check_steps(scheduler, 1000)
    check_steps(scheduler, 999)
    check_steps(DDIMScheduler(), 1000)


def test_damaged_weights_are_a_model_error(folder: Path) -> None:
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"broken")
    with pytest.raises(ModelError, match="could not be loaded"):
        load_backbone(folder, "cpu")


def test_the_pipeline_is_plain_frozen_and_in_the_asked_precision(tiny_folder: Path) -> None:
    backbone = load_backbone(tiny_folder, "cpu", "bf16")
    pipe = backbone.pipe
    parts = (pipe.unet, pipe.vae, pipe.text_encoder)
    assert type(pipe).__name__ == "StableDiffusionPipeline" and pipe.safety_checker is None
    assert (backbone.device.type, backbone.dtype, backbone.size_grid) == ("cpu", torch.bfloat16, 8)
    assert {part.dtype for part in parts} == {torch.bfloat16}
    assert not any(parameter.requires_grad for part in parts for parameter in part.parameters())


def test_wrong_precision_and_device_are_named(tiny_folder: Path) -> None:
    with pytest.raises(ModelError, match="int4"):
        load_backbone(tiny_folder, "cpu", "int4")
    with pytest.raises(ModelError, match=r"nonsense.*cpu"):
        load_backbone(tiny_folder, "nonsense", "fp32")


def test_samplers_have_the_names_people_know(backbone) -> None:
    assert backbone.sampler == "DPM++ 2M"
    for scheduler, name in (
        (DDIMScheduler(), "DDIM"),
        (EulerAncestralDiscreteScheduler(), "Euler a"),
        (
            DPMSolverMultistepScheduler(use_karras_sigmas=True, algorithm_type="sde-dpmsolver++"),
            "DPM++ 2M SDE Karras",
        ),
    ):
        assert sampler_name(scheduler) == name


def test_unknown_words_are_named_once_and_in_order(folder: Path) -> None:
    prompt = "A Photo of <rex>, zebra-striped far-away; don't Zebra photo 2024"
    assert unknown_words(folder, prompt) == {}  # no list: everything is known
    (folder / "known_words.txt").write_text("a\nphoto\nof\nfar\naway\nstriped\n")
    assert unknown_words(folder, prompt) == {"zebra-striped": "", "don't": "", "zebra": ""}
    assert unknown_words(folder, "a photoo") == {"photoo": "photo"}


def test_describing_a_model_does_not_import_torch(tiny_folder: Path) -> None:
    code = (
        "import sys; from clora_core.models.description import read_base; "
        f"read_base({str(tiny_folder)!r}); sys.exit('torch' in sys.modules or 'diffusers' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0
