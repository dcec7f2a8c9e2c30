"""What other programmes have learned comes in whole, or says what would be lost; and what cannot come in says why."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import save_file

from clora_core.answers import what_is_left
from clora_core.bring.asked import check_asked
from clora_core.bring.bring import brought_concept
from clora_core.bring.lora_file import read_lora
from clora_core.bring.pairs import read_pairs
from clora_core.concepts import Concept, LearnedConcept, TrainConfig
from clora_core.errors import ConceptError, ModelError, SettingsError
from clora_core.export.export import export_timeline
from clora_core.export.kohya import family_of, lora_tensors
from clora_core.export.prove import live_picture
from clora_core.methods.clora import CLora, forgetting_loss
from clora_core.models.description import read_base
from clora_core.settings.methods import BUILT_IN, CLORA

REX = Concept("Rex", "<rex>", ())
Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """save(tensors, name="rex", **metadata) -> a safetensors file."""

    def save(tensors: Mapping[str, torch.Tensor], name: str = "rex", **metadata: str) -> Path:
        path = tmp_path / f"{name}.safetensors"
        save_file({key: value.contiguous() for key, value in tensors.items()}, path, metadata or None)
        return path

    return save


def kohya(backbone, rank: int = 2, alpha: float | None = 1.0, seed: int = 0) -> dict[str, torch.Tensor]:
    """Every key and value, in kohya's spelling."""
    generator, family, tensors = torch.Generator().manual_seed(seed), family_of(backbone), {}
    for name, linear in backbone.matrices.items():
        layer = family.layer(name)
        tensors[f"{layer}.lora_up.weight"] = torch.randn(linear.out_features, rank, generator=generator)
        tensors[f"{layer}.lora_down.weight"] = torch.randn(rank, linear.in_features, generator=generator)
        if alpha is not None:
            tensors[f"{layer}.alpha"] = torch.tensor(alpha)
    return tensors


def rows(backbone, seed: int = 1) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    named = {
        name: torch.randn(1, table.weight.shape[1], generator=generator) for name, table in backbone.tables.items()
    }
    return {"emb_params": named["clip"]} if list(named) == ["clip"] else named


def bring(backbone, base, lora=None, embedding=None, method=CLORA, concept=REX, **choices) -> LearnedConcept:
    check_asked(method, lora, embedding, choices.get("word", ""), choices.get("leave_out", False))
    return brought_concept(backbone, base, method, concept, lora, embedding, **choices)


# ------------------------------------------------------------------------------------------------ there and back


def test_what_is_exported_here_draws_the_same_when_it_is_brought_in(
    learn, empty, backbone, quick_model, settings, tmp_path: Path
) -> None:
    base, timeline = read_base(quick_model), empty
    for name in ("Rex", "Mug"):
        timeline = timeline.then(learn(name, timeline, adapts="qkvo"))
    prompts = ("a photo of <rex>", "a photo of <mug> and <rex>")
    ours = [live_picture(backbone, timeline, prompt, settings) for prompt in prompts]
    for kind in ("kohya", "peft"):
        made = export_timeline(timeline, base, tmp_path / kind, device="cpu", kind=kind).folder
        lora, tokens = made / "loras/test-2.safetensors", made / "embeddings"
        fresh = empty.then(bring(backbone, base, lora, tokens / "rex.safetensors"))
        mug = bring(backbone, base, None, tokens / "mug.safetensors", concept=Concept("Mug", "<mug>", ()))
        fresh = fresh.then(replace(mug, id="002-mug"))
        for prompt, picture in zip(prompts, ours, strict=True):
            assert np.abs(picture - live_picture(backbone, fresh, prompt, settings)).max() <= 1e-3
    without = live_picture(backbone, fresh.as_of(0).then(fresh.concepts[1]), prompts[1], settings)
    assert np.abs(without - ours[1]).max() > 1e-3


def test_sdxl_is_brought_in_by_kohyas_names(xl, folders, save: Save) -> None:
    base, tensors = read_base(folders / "stable-diffusion-xl"), kohya(xl)
    found = bring(xl, base, save(tensors), save(rows(xl), "token"))
    family = family_of(xl)
    assert list(found.factors) == list(xl.matrices)
    for name, (a, b) in found.factors.items():
        up, down = (tensors[f"{family.layer(name)}.lora_{end}.weight"] for end in ("up", "down"))
        assert torch.allclose(a @ b, up @ down / 2)
    assert {name: tuple(row.shape) for name, row in found.embeddings.items()} == {"clip_l": (1, 8), "clip_g": (1, 12)}


# -------------------------------------------------------------------------------------------- other programmes' files


@pytest.fixture
def trained(tiny_folder: Path):
    """trained(**config) -> a pipeline with random pairs of peft's on keys and values, and the products by layer."""

    def trained(**config):
        pipe = StableDiffusionPipeline.from_pretrained(tiny_folder)
        targets = ["attn2.to_k", "attn2.to_v"]
        pipe.unet.add_adapter(LoraConfig(**{"r": 3, "lora_alpha": 6, "target_modules": targets, **config}))
        torch.manual_seed(2)
        for name, parameter in pipe.unet.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(parameter)
        layers = {name: layer for name, layer in pipe.unet.named_modules() if hasattr(layer, "get_delta_weight")}
        return pipe, {name: layer.get_delta_weight("default").detach() for name, layer in layers.items()}

    return trained


def test_diffusers_and_pefts_own_files_come_in_as_strong_as_they_are(trained, backbone, tmp_path: Path) -> None:
    pipe, products = trained(alpha_pattern={"up_blocks.*.to_v": 1.5}, rank_pattern={"attn2.to_k": 2})
    config, pairs = pipe.unet.peft_config["default"], get_peft_model_state_dict(pipe.unet)
    noted = {"unet_lora_adapter_metadata": config.to_dict()}
    pipe.save_lora_weights(tmp_path, pairs, weight_name="saved.safetensors", **noted)
    pipe.unet.save_lora_adapter(tmp_path, weight_name="adapter.safetensors")
    save_file(
        {f"base_model.model.{key}": value for key, value in pairs.items()}, tmp_path / "adapter_model.safetensors"
    )
    with pytest.raises(ConceptError, match=r"adapter_model.safetensors .* adapter_config.json"):
        read_pairs(read_lora(tmp_path / "adapter_model.safetensors"), backbone)
    config.save_pretrained(tmp_path)
    for name in ("saved", "adapter", "adapter_model"):
        found = read_pairs(read_lora(tmp_path / f"{name}.safetensors"), backbone)
        assert list(found) == list(backbone.matrices), name
        for layer, (a, b) in found.items():
            assert torch.allclose(a @ b, products[layer], atol=1e-5), (name, layer)


def test_other_spellings_of_diffusers(trained, backbone, save: Save) -> None:
    """Older examples wrote these; they say no alpha, which means that it is the rank. rsLoRA is peft's."""
    pipe, products = trained(lora_alpha=3)
    pairs = get_peft_model_state_dict(pipe.unet)
    newer = {f"unet.{key}": value for key, value in convert_state_dict_to_diffusers(pairs).items()}
    older = {}
    for key, value in pairs.items():
        side = "down" if "lora_A" in key else "up"
        older["unet." + key.replace("attn2.", "attn2.processor.").partition(".lora_")[0] + f"_lora.{side}.weight"] = (
            value
        )
    assert any(".lora.down." in key or "_lora.down." in key for key in newer)
    for tensors in (newer, older):
        for layer, (a, b) in read_pairs(read_lora(save(tensors)), backbone).items():
            assert torch.allclose(a @ b, products[layer], atol=1e-5)
    pipe, products = trained(use_rslora=True)
    noted = {"unet.use_rslora": True, "unet.lora_alpha": 6, "unet.r": 3}
    pairs = {f"unet.{key}": value for key, value in get_peft_model_state_dict(pipe.unet).items()}
    file = save(pairs, lora_adapter_metadata=json.dumps(noted))
    for layer, (a, b) in read_pairs(read_lora(file), backbone).items():
        assert torch.allclose(a @ b, products[layer], atol=1e-5)


ELSEWHERE = {  # LyCORIS's LoCon of all that it may change
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q": "of self-attention",
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_ff_net_0_proj": "of feed-forward layers",
    "lora_unet_down_blocks_0_resnets_0_conv1": "of convolutions",
    "lora_unet_down_blocks_0_attentions_0_proj_in": "of other layers",
    "lora_te_text_model_encoder_layers_0_self_attn_q_proj": "of the text encoder",
}


def test_what_a_concept_cannot_hold_is_counted_and_left_out_by_choice(quick_model, backbone, save: Save) -> None:
    base, more = read_base(quick_model), {}
    for layer in ELSEWHERE:
        more |= {f"{layer}.lora_{end}.weight": torch.ones(1, 1) for end in ("up", "down")}
        more[f"{layer}.alpha"] = torch.tensor(1.0)
    file = save(kohya(backbone) | more)
    assert read_lora(file).contents.left_out == dict.fromkeys(ELSEWHERE.values(), 1)
    with pytest.raises(ConceptError) as refused:
        bring(backbone, base, file, word="a")
    assert all(kind in str(refused.value) for kind in ELSEWHERE.values()) and "rex.safetensors" in str(refused.value)
    found = bring(backbone, base, file, word="a", leave_out=True)
    assert found.brought and found.brought.left_out == dict.fromkeys(ELSEWHERE.values(), 1)
    assert list(found.factors) == list(backbone.matrices)
    assert what_is_left({"of x": 2, "of y": 1}) == "2 matrices of x, 1 of y" and what_is_left({}) == ""


@pytest.mark.parametrize("alpha,strength", [(None, 1.0), (4.0, 2.0), (1.0, 0.5)])
def test_alpha_goes_into_the_pair(backbone, save: Save, alpha: float | None, strength: float) -> None:
    tensors, family = kohya(backbone, alpha=alpha), family_of(backbone)
    half = {key: value.half() if value.dim() else value for key, value in tensors.items()}
    for name, (a, b) in read_pairs(read_lora(save(half)), backbone).items():
        up, down = (half[f"{family.layer(name)}.lora_{end}.weight"].float() for end in ("up", "down"))
        assert torch.equal(a, up * strength) and torch.equal(b, down) and a.dtype == torch.float32


def test_a_word_is_the_token_where_there_is_no_embedding(quick_model, backbone, save: Save) -> None:
    base, file = read_base(quick_model), save(kohya(backbone), ss_tag_frequency='{"10_photo": {"photo": 3}}')
    with pytest.raises(SettingsError, match="It says 'photo' itself"):
        bring(backbone, base, file)
    found = bring(backbone, base, file, word="photo")
    table = backbone.tables["clip"]
    assert torch.equal(found.embeddings["clip"], table.word_start("photo"))
    assert found.brought and found.brought.word == "photo"
    only = bring(backbone, base, None, save(rows(backbone)), BUILT_IN.named("textual_inversion"))
    assert only.factors == {} and only.picture_count == 0 and only.brought and only.brought.word == ""


# ------------------------------------------------------------------------------------------------------ refusals


def broken(backbone, how: str) -> dict[str, torch.Tensor]:
    tensors = kohya(backbone)
    first = next(iter(tensors)).partition(".")[0]
    down, up = f"{first}.lora_down.weight", f"{first}.lora_up.weight"
    if how == "nan":
        tensors[up][0, 0] = float("nan")
    elif how == "rank 0":
        tensors[down], tensors[up] = tensors[down][:0], tensors[up][:, :0]
    elif how == "half":
        del tensors[up]
    elif how == "ranks":
        tensors[down] = tensors[down][:1]
    elif how == "shape":
        tensors[down] = torch.ones(2, tensors[down].shape[1] + 1)
    elif how == "layer":
        tensors = {key.replace("down_blocks_0", "down_blocks_7"): value for key, value in tensors.items()}
    elif how == "flux":
        return {"lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": torch.ones(1, 1)}
    elif how == "embedding":
        return {"emb_params": torch.ones(1, 6)}
    elif how == "no lora":
        return {"model.weight": torch.ones(1)}
    else:
        tensors[f"{first}.{how}"] = torch.ones(1)
    return tensors


@pytest.mark.parametrize(
    "how,why",
    [
        ("nan", r"not finite in lora_unet_.*lora_up"),
        ("rank 0", r"rank 0 in lora_unet_"),
        ("half", r"half of a pair: lora_unet_"),
        ("ranks", r"lora_unet_.* does not fit lora_unet_"),
        ("shape", r"does not fit this base model: lora_unet_.*another base model: it says sd_v9"),
        ("layer", r"lora_unet_down_blocks_7.*this base model has not.*it says sd_v9"),
        ("flux", r"nothing in cross-attention \(it has lora_unet_double"),
        ("embedding", r"is an embedding, and no LoRA.*--embedding"),
        ("no lora", r"no LoRA: it has model.weight"),
        ("dora_scale", r"is a DoRA.*\(lora_unet_.*dora_scale\)"),
        ("hada_w1_a", r"is a LoHa.*hada_w1_a"),
        ("lokr_w1", r"is a LoKr.*lokr_w1"),
        ("surprise", r"no plain LoRA \(lora_unet_.*surprise\)"),
    ],
)
def test_what_cannot_come_in_is_named_with_its_key(quick_model, backbone, save: Save, how: str, why: str) -> None:
    file = save(broken(backbone, how), ss_base_model_version="sd_v9")
    with pytest.raises(ConceptError, match=r"^rex\.safetensors.*" + why) as refused:
        bring(backbone, read_base(quick_model), file, word="a", leave_out=True)
    assert "\n" not in str(refused.value)


def test_a_dora_of_pefts_is_one(trained, backbone, save: Save) -> None:
    pipe, _ = trained(use_dora=True)
    pairs = {f"unet.{key}": value for key, value in get_peft_model_state_dict(pipe.unet).items()}
    with pytest.raises(ConceptError, match="is a DoRA"):
        read_lora(save(pairs))
    plain = {key: value for key, value in pairs.items() if "magnitude" not in key}
    with pytest.raises(ConceptError, match="is a DoRA"):
        read_pairs(read_lora(save(plain, lora_adapter_metadata='{"unet.use_dora": true}')), backbone)


@pytest.mark.parametrize("family", ["stable-diffusion-v1", "stable-diffusion-v2", "stable-diffusion-xl"])
def test_another_familys_lora_does_not_fit(of_family, folders, save: Save, family: str) -> None:
    others = {"stable-diffusion-v1": "stable-diffusion-xl", "stable-diffusion-v2": "stable-diffusion-v1"}
    file = save(kohya(of_family(others.get(family, "stable-diffusion-v1"))))
    with pytest.raises(ConceptError, match=r"rex\.safetensors .*lora_unet_.*another base model"):
        bring(of_family(family), read_base(folders / family), file, word="a")


@pytest.mark.parametrize("suffix", [".pt", ".bin", ".ckpt", ".pth", ".PT"])
def test_pickles_are_refused_by_name(tmp_path: Path, suffix: str) -> None:
    """They need not be there: they are not even looked for."""
    for lora, embedding in ((tmp_path / f"rex{suffix}", None), (None, tmp_path / f"rex{suffix}")):
        with pytest.raises(ConceptError, match=rf"rex{suffix} is a pickle.*safetensors"):
            check_asked(CLORA, lora, embedding)


def test_damaged_missing_and_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "rex.safetensors").write_bytes(b"no such thing")
    with pytest.raises(ConceptError, match="cannot be read"):
        read_lora(tmp_path / "rex.safetensors")
    with pytest.raises(ConceptError, match="There is no file"):
        read_lora(tmp_path / "mug.safetensors")
    with pytest.raises(ConceptError, match="no .safetensors file"):
        read_lora(tmp_path / "rex.zip")
    with pytest.raises(SettingsError, match="nothing to bring in"):
        check_asked(CLORA, None, None)


@pytest.mark.parametrize(
    "tensors,why",
    [
        ({"emb_params": torch.ones(3, 6)}, "3 vectors in emb_params"),
        ({"emb_params": torch.ones(1, 7)}, "emb_params has the shape"),
        ({"emb_params": torch.full((1, 6), float("inf"))}, "not finite in emb_params"),
        ({"clip_l": torch.ones(1, 6), "clip_g": torch.ones(1, 6)}, "clip_g, clip_l, and emb_params is needed"),
    ],
)
def test_embeddings_that_do_not_fit(quick_model, backbone, save: Save, tensors, why: str) -> None:
    width = backbone.tables["clip"].weight.shape[1]
    fitting = {key: torch.nn.functional.pad(value, (0, width - 6), value=1.0) for key, value in tensors.items()}
    with pytest.raises(ConceptError, match=r"^rex\.safetensors .*" + why):
        bring(backbone, read_base(quick_model), None, save(fitting))


def test_a_row_without_a_first_axis_is_one(quick_model, backbone, save: Save) -> None:
    row = rows(backbone)["emb_params"]
    found = bring(backbone, read_base(quick_model), None, save({"<rex>": row[0]}))
    assert torch.equal(found.embeddings["clip"], row)


@pytest.mark.parametrize("method", [row for row in BUILT_IN if not row.keeps_pairs], ids=lambda row: row.name)
def test_methods_without_pairs_of_their_own_have_no_place(method, backbone, save: Save) -> None:
    with pytest.raises(SettingsError, match=method.title):
        check_asked(method, save(kohya(backbone)), None, "a")


def test_another_family_is_refused(quick_model, save: Save, backbone) -> None:
    from tiny.toy import Toy

    with pytest.raises(ModelError, match="no Stable Diffusion"):
        bring(Toy(), read_base(quick_model), save(kohya(backbone)), word="a")


# ---------------------------------------------------------------------------------------------- in the timeline


def test_later_concepts_are_held_off_what_was_brought_in(quick_model, backbone, save: Save, learn, empty) -> None:
    """Its product is P in Eq. 3, scale and all."""
    brought = bring(backbone, read_base(quick_model), save(kohya(backbone, rank=5, alpha=2.0)), word="a")
    timeline = empty.then(brought)
    method = CLora(TrainConfig.from_dict({"rank": 2, "penalty_weight": 3.0}))
    CLora.install(backbone, timeline, "", reserve="<mug>")
    method.begin_concept(backbone, Concept("Mug", "<mug>", ()), timeline)
    with torch.no_grad():
        for a, _ in method.weights.pairs.values():
            a.normal_(generator=torch.Generator().manual_seed(4))
    products = {name: a @ b for name, (a, b) in brought.factors.items()}
    squares = [((products[n] * (a @ b).detach()) ** 2).sum() for n, (a, b) in method.weights.pairs.items()]
    expected = float(sum(squares))
    assert method.penalty().item() == pytest.approx(3.0 * expected, rel=1e-5) and expected > 0
    layers = [(products[name], a, b) for name, (a, b) in method.weights.pairs.items()]
    assert forgetting_loss(layers).item() == pytest.approx(expected, rel=1e-5)
    mug = learn("Mug", timeline)  # and with pairs of another rank it can be learned on
    assert mug.curve[-1].penalty > 0


def test_ranks_that_differ_are_one_lora_again(quick_model, backbone, save: Save, empty) -> None:
    tensors = kohya(backbone, rank=4, alpha=None)
    first = next(iter(tensors)).partition(".")[0]
    tensors[f"{first}.lora_up.weight"] = tensors[f"{first}.lora_up.weight"][:, :1]
    tensors[f"{first}.lora_down.weight"] = tensors[f"{first}.lora_down.weight"][:1]
    found = bring(backbone, read_base(quick_model), save(tensors), word="a")
    assert found.config.options.to_json()["rank"] == 4
    again = lora_tensors((found, replace(found, token="<mug>")), family_of(backbone), torch.float32)
    assert {int(value) for key, value in again.items() if key.endswith("alpha")} == {8}
    for name, (a, b) in found.factors.items():
        up, down = (again[f"{family_of(backbone).layer(name)}.lora_{end}.weight"] for end in ("up", "down"))
        assert torch.allclose(up @ down, 2 * (a @ b), atol=1e-5)


def test_where_it_is_from_is_kept(quick_model, backbone, save: Save) -> None:
    found = bring(backbone, read_base(quick_model), save(kohya(backbone)), save(rows(backbone), "token"))
    again = LearnedConcept.from_json(json.loads(json.dumps(found.to_json())), found.tensors())
    assert again.brought == found.brought and list(found.brought.files) == ["rex.safetensors", "token.safetensors"]
    assert all(len(digest) == 64 for digest in found.brought.files.values())
    assert again.config == found.config and again.curve == ()
