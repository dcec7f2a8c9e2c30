"""Base models as one file: read as diffusers' own layout is, of every family, in every variant that people have."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, DiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from tiny.digests import base_digest
from tiny.families import FAMILIES
from tiny.model import RESOLUTION, tiny_tokenizer
from tiny.single_file import save_single_file, unet_weights
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from clora_core.concepts import Concept, Timeline
from clora_core.drawing.generate import generate
from clora_core.errors import ModelError
from clora_core.learning.trainer import train_concept
from clora_core.models import single_file
from clora_core.models.clip_tokenizer import END, clip_tokenizer
from clora_core.models.description import read_base
from clora_core.models.loading import denoiser_parameters, load_backbone


@pytest.fixture(autouse=True)
def tiny_configs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny models' configs and tokenizer in the place of the real ones, without weights: all are the file's."""
    if "folders" not in request.fixturenames:
        return
    configs = request.getfixturevalue("tmp_path") / "configs"
    weights = shutil.ignore_patterns("*.safetensors", "tokenizer*")
    shutil.copytree(request.getfixturevalue("folders"), configs, ignore=weights)
    monkeypatch.setattr(single_file, "CONFIGS", configs)
    monkeypatch.setattr(
        "clora_core.models.clip_tokenizer.clip_tokenizer", lambda pad_token=END: tiny_tokenizer(pad_token=pad_token)
    )


@pytest.fixture
def one(folders: Path, tmp_path: Path):
    """one(family, **how) -> the tiny model of a family as one file."""

    def one(family: str, **how) -> Path:
        return save_single_file(
            DiffusionPipeline.from_pretrained(folders / family), tmp_path / "my model.safetensors", **how
        )

    return one


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_is_the_model_that_its_folder_is(folders, one, family, settings) -> None:
    path = one(family, ema=family == "stable-diffusion-v1")
    folder, file = (load_backbone(model, "cpu", "fp32") for model in (folders / family, path))
    assert base_digest(file) == base_digest(folder)
    assert file.sampler == folder.sampler
    assert file.noise_scheduler.config.prediction_type == folder.noise_scheduler.config.prediction_type
    nothing = Timeline("t", "T", "")
    prompt = "a photo of a cat, " * 3
    one_picture, other = (generate(each, nothing, prompt, settings)[0] for each in (folder, file))
    assert one_picture.tobytes() == other.tobytes()
    base = read_base(path)
    assert (base.name, base.resolution, base.path) == ("my model", RESOLUTION, str(path))
    assert base.id and base.id != read_base(folders / family).id
    assert denoiser_parameters(path) == denoiser_parameters(folders / family)


def test_learning_on_a_file_is_undone_as_on_a_folder(one, pictures, config, settings) -> None:
    backbone = load_backbone(one("stable-diffusion-xl", dtype=torch.float16), "cpu", "fp32")
    before, empty = base_digest(backbone), Timeline("t", "T", "")
    plain = config.updated({"resolution": RESOLUTION, "augment_copies": 1, "steps": 2})
    with train_concept(backbone, Concept("Rex", "<rex>", pictures), empty, plain) as training:
        list(training)
        timeline = empty.then(training.finish())
    assert timeline.concepts[0].embeddings.keys() == {"clip_l", "clip_g"}
    drawn, plain_one = (generate(backbone, each, "a photo", settings)[0] for each in (timeline, empty))
    assert drawn.tobytes() != plain_one.tobytes() and base_digest(backbone) == before


def test_half_precision_is_read_into_what_was_asked_for(folders, one) -> None:
    path = one("stable-diffusion-v1", dtype=torch.float16)
    backbone, folder = load_backbone(path, "cpu", "fp32"), load_backbone(folders / "stable-diffusion-v1", "cpu", "fp32")
    assert backbone.dtype == torch.float32
    expected = folder.pipe.unet.conv_in.weight.half().float()
    assert torch.equal(backbone.pipe.unet.conv_in.weight, expected)


def change(path: Path, metadata: dict[str, str] | None = None, **tensors: torch.Tensor | None) -> None:
    """Put tensors and metadata into a file; None takes those out whose name begins so."""
    kept = {name: value for name, value in load_file(path).items() if not any(name.startswith(out) for out in tensors)}
    new = {name: value for name, value in tensors.items() if value is not None}
    save_file({**kept, **new}, path, metadata)


def predicts(path: Path) -> str:
    return load_backbone(path, "cpu", "fp32").noise_scheduler.config.prediction_type


def test_what_it_predicts_is_read_from_beside_it_and_from_within(one) -> None:
    path = one("stable-diffusion-v2")
    assert predicts(path) == "v_prediction"
    whole, at_768 = read_base(path).id, read_base(path).resolution
    change(path, {"modelspec.prediction_type": "epsilon"})
    assert predicts(path) == "epsilon" and read_base(path).id != whole
    assert (at_768, read_base(path).resolution) == (RESOLUTION, 512)
    path.with_suffix(".yaml").write_text('model:\n  params:\n    parameterization: "v"\n')
    assert predicts(path) == "v_prediction"
    path.with_suffix(".yaml").write_text("model:\n  params:\n    linear_start: 0.00085\n")
    assert predicts(path) == "epsilon"
    xl = one("stable-diffusion-xl")
    assert read_base(xl).id and not single_file.read_single_file(xl.rename(xl.with_name("xl.safetensors"))).scheduler
    xl = xl.with_name("xl.safetensors")
    change(xl, v_pred=torch.tensor([]), ztsnr=torch.tensor([]))
    config = load_backbone(xl, "cpu", "fp32").noise_scheduler.config
    assert config.prediction_type == "v_prediction" and config.rescale_betas_zero_snr


@pytest.mark.parametrize(
    "taken,message",
    [
        ("first_stage_model.", "has no VAE"),
        ("cond_stage_model.", "has no text encoder"),
        ("model.diffusion_model.", "no Stable Diffusion"),
        ("model.diffusion_model.middle_block.0.in_layers.0", "could not be loaded.*diffusers layout|lacks weights"),
    ],
)
def test_what_lacks_a_part_is_refused(one, taken: str, message: str) -> None:
    path = one("stable-diffusion-v1")
    change(path, **{taken: None})
    with pytest.raises(ModelError, match=message):
        load_backbone(path, "cpu", "fp32")


@pytest.mark.parametrize(
    "names,message",
    [
        (("lora_unet_mid_block_0.lora_up.weight",), "is a LoRA"),
        (("transformer.x.lora_A.weight",), "is a LoRA"),
        (("emb_params",), "embedding of a token"),
        (("double_blocks.0.img_attn.norm.key_norm.scale",), "no Stable Diffusion 1.x, 2.x or XL"),
        (("model.diffusion_model.a", "conditioner.embedders.0.model.b"), "refiner"),
    ],
)
def test_another_file_is_refused_by_what_it_is(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    path = tmp_path / "some.safetensors"
    save_file({name: torch.zeros(1) for name in names}, path)
    with pytest.raises(ModelError, match=message):
        read_base(path)


def test_an_inpainting_file_a_damaged_one_and_a_pickle_are_refused(one, tmp_path: Path) -> None:
    path = one("stable-diffusion-v1")
    change(path, **{"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(8, 9, 3, 3)})
    with pytest.raises(ModelError, match="reads 9 channels"):
        read_base(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be read.*Download it again"):
        read_base(path)
    (tmp_path / "old.ckpt").write_bytes(b"weights")
    with pytest.raises(ModelError, match="can hold code"):
        read_base(tmp_path / "old.ckpt")


# --------------------------------------------------------------------------------------- the configs that come with us


@pytest.mark.parametrize(
    "family,unet,vae,text",
    [
        ("stable-diffusion-v1", 859_520_964, 83_653_863, (123_060_480,)),
        ("stable-diffusion-v2", 865_910_724, 83_653_863, (340_387_840,)),
        ("stable-diffusion-xl", 2_567_463_684, 83_653_863, (123_060_480, 694_659_840)),
    ],
)
def test_the_configs_are_those_of_the_real_models(family: str, unet: int, vae: int, text: tuple[int, ...]) -> None:
    """By how many numbers each part has, and the name by which diffusers knows the family's files."""
    configs = single_file.CONFIGS / family
    kinds = (CLIPTextModel, CLIPTextModelWithProjection)
    with torch.device("meta"):
        denoiser = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(configs / "unet"))
        decoder = AutoencoderKL.from_config(AutoencoderKL.load_config(configs / "vae"))
        encoders = [
            kind(CLIPTextConfig.from_pretrained(configs / part))
            for kind, part in zip(kinds, ("text_encoder", "text_encoder_2"), strict=True)
            if (configs / part).is_dir()
        ]
    count = [sum(p.numel() for p in part.parameters()) for part in (denoiser, decoder, *encoders)]
    assert count == [unet, vae, *text]
    names = unet_weights(denoiser)
    marks = {
        "stable-diffusion-v1": ("output_blocks.11.0.skip_connection.weight", (320, 640, 1, 1)),
        "stable-diffusion-v2": ("input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight", (320, 1024)),
        "stable-diffusion-xl": ("middle_block.1.transformer_blocks.9.attn2.to_k.weight", (1280, 2048)),
    }
    mark, shape = marks[family]
    assert tuple(names[mark].shape) == shape


def test_the_tokenizer_is_clips() -> None:
    tokenizer = clip_tokenizer()
    assert len(tokenizer) == 49_408 and clip_tokenizer("!").pad_token_id == 0
    assert tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    horse = [49406, 320, 8853, 539, 550, 18376, 6765, 320, 4558, 49407]
    assert tokenizer("A photograph of an astronaut riding a horse").input_ids == horse
