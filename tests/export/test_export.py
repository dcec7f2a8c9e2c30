"""What is exported draws the same elsewhere: read back by diffusers' own loaders; and what cannot be is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline
from safetensors import safe_open
from safetensors.torch import load_file
from tiny.families import PIXART
from tiny.single_file import unet_weights
from tiny.toy import Toy

from clora_core.concepts import Concept, LearnedConcept, Timeline
from clora_core.errors import ModelError, SettingsError
from clora_core.export.export import export_timeline
from clora_core.export.kohya import V2_WIDTH, Family, family_of, lora_tensors, rank_slices
from clora_core.export.parts import parts_of
from clora_core.export.usage import _opened
from clora_core.learning.trainer import train_concept
from clora_core.models.description import BaseModel, read_base
from clora_core.settings.methods import BUILT_IN

Learn = Callable[..., LearnedConcept]
DENSE = ("custom_diffusion", "custom_diffusion_merge", "ewc", "dreambooth")


@pytest.fixture
def base(quick_model: Path) -> BaseModel:
    return read_base(quick_model)


@pytest.fixture
def two(learn: Learn, empty: Timeline) -> Callable[[str], Timeline]:
    """two(method) -> a timeline of <rex> and <mug> learned under it."""

    def two(method: str) -> Timeline:
        timeline = Timeline("pets", "Pets", empty.base_id, BUILT_IN.named(method))
        for name in ("Rex", "Mug"):
            timeline = timeline.then(learn(name, timeline))
        return timeline

    return two


def metadata(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return dict(file.metadata())


@pytest.mark.parametrize(
    "method,loras",
    [
        ("clora", ["pets-2"]),
        ("stacked", ["pets-2"]),
        ("merged", ["pets-2"]),
        ("sequential", ["pets-2"]),
        ("generative_replay", ["pets-2"]),
        ("textual_inversion", []),
        ("routed", ["pets-mug", "pets-rex"]),
    ],
)
def test_the_files_draw_the_same_picture(two, base: BaseModel, tmp_path: Path, method: str, loras: list[str]) -> None:
    made = export_timeline(two(method), base, tmp_path / "out", device="cpu")
    assert made.proved and made.difference < made.tolerance == 1e-3
    tensors = ["embeddings/mug", "embeddings/rex", *(f"loras/{name}" for name in loras)]
    expected = {"README.txt", *(f"{name}.safetensors" for name in tensors)}
    assert {str(path.relative_to(made.folder)) for path in made.files} == expected
    assert all(path.is_file() for path in made.files)


def test_pefts_keys_are_diffusers_own(two, base: BaseModel, tmp_path: Path) -> None:
    timeline = two("clora")
    made = export_timeline(timeline, base, tmp_path / "out", device="cpu", kind="peft")
    assert made.proved and made.difference < 1e-3
    path = made.folder / "loras/pets-2.safetensors"
    tensors, said = load_file(path), metadata(path)
    for name in timeline.concepts[0].factors:
        pairs = [concept.factors[name] for concept in timeline.concepts]
        assert torch.equal(tensors[f"unet.{name}.lora_B.weight"], torch.cat([a for a, _ in pairs], 1))
        assert torch.equal(tensors[f"unet.{name}.lora_A.weight"], torch.cat([b for _, b in pairs], 0))
    assert len(tensors) == 2 * len(timeline.concepts[0].factors)
    assert said["clora.method"] == "clora" and not any(name.startswith("ss") for name in said)


@pytest.mark.parametrize("method", DENSE)
def test_whole_weights_are_refused(two, base: BaseModel, tmp_path: Path, method: str) -> None:
    with pytest.raises(SettingsError, match=BUILT_IN.named(method).title):
        export_timeline(two(method), base, tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["kohya", "peft", "diffusers"])
def test_what_acts_at_tokens_alone_is_refused(two, base: BaseModel, tmp_path: Path, kind: str) -> None:
    with pytest.raises(SettingsError, match="Gated LoRAs act where a token stands"):
        export_timeline(two("gated"), base, tmp_path / "out", device="cpu", kind=kind)
    assert not (tmp_path / "out").exists()


def test_every_method_is_spoken_of_here() -> None:
    pairs = {"clora", "stacked", "merged", "sequential", "generative_replay", "textual_inversion", "routed"}
    assert pairs | set(DENSE) | {"gated"} == set(BUILT_IN.names)


def test_a_proof_fails_where_weights_are_missing(two, base: BaseModel, tmp_path: Path, monkeypatch) -> None:
    """The picture depends on every part: the proof says so, and the files stay to be looked at."""
    monkeypatch.setattr("clora_core.export.loras.lora_tensors", lambda summed, *how: lora_tensors(summed[1:], *how))
    made = export_timeline(two("clora"), base, tmp_path / "out", device="cpu")
    assert not made.proved and made.difference > made.tolerance
    assert "NOT PROVED" in (made.folder / "README.txt").read_text()


def test_the_stack_is_one_lora_by_kohyas_names(two, backbone) -> None:
    timeline = two("clora")
    (part,) = parts_of(backbone, timeline)
    tensors = lora_tensors(part.summed, family_of(backbone), torch.float32)
    assert len(tensors) == 3 * len(backbone.matrices)
    for name in backbone.matrices:
        up, down, alpha = (
            tensors[f"lora_unet_{name.replace('.', '_')}.{end}"]
            for end in ("lora_up.weight", "lora_down.weight", "alpha")
        )
        assert alpha == len(down) == up.shape[1] == 4
        delta = backbone.installation.deltas[f"{name}.weight"]
        assert torch.allclose(up @ down, delta, atol=1e-6)
    assert "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.alpha" in tensors
    assert rank_slices(part.summed) == {"<rex>": (0, 2), "<mug>": (2, 4)}


def test_the_files_say_what_they_are(two, base: BaseModel, tmp_path: Path) -> None:
    made = export_timeline(two("clora"), base, tmp_path / "out", "fp16", "cpu")
    assert made.proved
    lora = made.folder / "loras/pets-2.safetensors"
    weights = {tensor.dtype for name, tensor in load_file(lora).items() if name.endswith(".weight")}
    assert weights == {torch.float16}
    said = metadata(lora)
    assert said["ss_network_dim"] == said["ss_network_alpha"] == "4" and said["ss_v2"] == "False"
    assert json.loads(said["ss_tag_frequency"]) == {"pets-2": {"rex": 4, "mug": 4}}
    concepts = json.loads(said["clora.concepts"])
    assert [(c["token"], c["ranks"]) for c in concepts] == [("<rex>", [0, 2]), ("<mug>", [2, 4])]
    assert concepts[0]["settings"]["rank"] == 2 and said["clora.method"] == "clora"
    token = metadata(made.folder / "embeddings/rex.safetensors")
    assert token["clora.token"] == "<rex>" and token["modelspec.architecture"].endswith("/textual-inversion")


@pytest.mark.parametrize(
    "width,prediction,version,architecture",
    [
        (768, "epsilon", "sd_v1", "stable-diffusion-v1"),
        (V2_WIDTH, "epsilon", "sd_v2", "stable-diffusion-v2-512"),
        (V2_WIDTH, "v_prediction", "sd_v2_v", "stable-diffusion-v2-768-v"),
    ],
)
def test_the_family_has_the_words_of_others(width: int, prediction: str, version: str, architecture: str) -> None:
    matrices = {"attn2.to_k": torch.nn.Linear(width, 4)}
    family = family_of(SimpleNamespace(matrices=matrices, noise_scheduler=DDPMScheduler(prediction_type=prediction)))
    assert (family.version, family.architecture) == (version, architecture)


def test_what_it_says_of_diffusers_works(two, base: BaseModel, tmp_path: Path, monkeypatch) -> None:
    made = export_timeline(two("clora"), base, tmp_path / "out", device="cpu")
    text = (made.folder / "README.txt").read_text()
    assert all(line in text.splitlines() for line in ("  a photo of embedding:rex", "  a photo of mug"))
    assert "<lora:pets-2:1>" in text
    lines = text.partition("diffusers, in Python:\n")[2].split("\n\n")[0].splitlines()
    monkeypatch.chdir(made.folder)
    exec("\n".join(line.strip() for line in lines), {})  # noqa: S102
    assert (made.folder / "picture.png").is_file()


def test_an_earlier_point_is_exported_without_what_came_later(two, base: BaseModel, tmp_path: Path) -> None:
    made = export_timeline(two("clora").as_of(1), base, tmp_path / "out", device="cpu")
    assert made.proved and sorted(path.name for path in made.files) == [
        "README.txt",
        "pets-1.safetensors",
        "rex.safetensors",
    ]


def test_nothing_and_a_full_folder_are_refused(two, base: BaseModel, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nothing to export"):
        export_timeline(two("clora").as_of(0), base, tmp_path / "out", device="cpu")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("mine")
    with pytest.raises(SettingsError, match="new folder"):
        export_timeline(two("clora"), base, tmp_path / "full", device="cpu")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]


def test_a_pipeline_of_anybodys_reads_all_of_it(two, base: BaseModel, backbone, tmp_path: Path) -> None:
    """Every matrix gets its pair, every token its embedding."""
    timeline = two("routed")
    made = export_timeline(timeline, base, tmp_path / "out", device="cpu")
    pipe = StableDiffusionPipeline.from_pretrained(base.path)
    pipe.load_lora_weights(made.folder / "loras", weight_name="pets-rex.safetensors")
    parameters = dict(pipe.unet.named_parameters())
    for name, (a, b) in timeline.concepts[0].factors.items():
        assert torch.equal(parameters[f"{name}.lora_A.default_0.weight"], b)
        assert torch.equal(parameters[f"{name}.lora_B.default_0.weight"], a)
    pipe.load_textual_inversion(made.folder / "embeddings/mug.safetensors", token="<mug>")
    row = pipe.text_encoder.get_input_embeddings().weight[pipe.tokenizer.convert_tokens_to_ids("<mug>")]
    assert np.allclose(row.detach(), timeline.concepts[1].embeddings["clip"][0])


def test_another_family_is_refused(two, base: BaseModel, tmp_path: Path, monkeypatch) -> None:
    timeline = two("clora")
    monkeypatch.setattr("clora_core.export.export.load_backbone", lambda *_: Toy())
    with pytest.raises(ModelError, match="no model of diffusers"):
        export_timeline(timeline, base, tmp_path / "out", device="cpu")


# ---------------------------------------------------------------------------------------------------------- SDXL


@pytest.fixture
def learned_on_xl(xl, pictures, config):
    """learned_on_xl(**settings) -> a timeline of <rex> and <mug> on the tiny SDXL."""

    def learned_on_xl(**settings):
        timeline = Timeline("pets", "Pets", "")
        for name in ("rex", "mug"):
            concept = Concept(name, f"<{name}>", pictures)
            with train_concept(xl, concept, timeline, config.updated({"steps": 2, **settings})) as training:
                list(training)
                timeline = timeline.then(training.finish())
        return timeline

    return learned_on_xl


def test_sdxl_draws_the_same_picture_from_its_files(learned_on_xl, folders, tmp_path: Path, monkeypatch) -> None:
    timeline, base = learned_on_xl(adapts="qkvo"), read_base(folders / "stable-diffusion-xl")
    quick = replace(base, sampling=base.sampling.updated({"steps": 2}))
    made = export_timeline(timeline, quick, tmp_path / "out", device="cpu")
    assert made.proved and made.difference < made.tolerance
    tensors = load_file(made.folder / "embeddings/mug.safetensors")
    assert {name: tuple(row.shape) for name, row in tensors.items()} == {"clip_l": (1, 8), "clip_g": (1, 12)}
    assert torch.equal(tensors["clip_g"], timeline.concepts[1].embeddings["clip_g"])
    said = metadata(made.folder / "loras/pets-2.safetensors")
    assert said["ss_base_model_version"] == "sdxl_base_v1-0"
    assert said["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"
    text = (made.folder / "README.txt").read_text()
    lines = text.partition("diffusers, in Python:\n")[2].split("\n\n")[0].splitlines()
    monkeypatch.chdir(made.folder)
    assert lines[-1].rstrip().endswith('.save("picture.png")')
    lines[-1] = lines[-1].replace("generator=", "num_inference_steps=2, generator=")
    exec("\n".join(line.strip() for line in lines), {})  # noqa: S102
    assert (made.folder / "picture.png").is_file()


def test_sdxls_layers_have_the_names_of_kohyas_scripts(xl, learned_on_xl) -> None:
    """They are those of its first repository, where blocks are numbered through."""
    tensors = lora_tensors(learned_on_xl().concepts, family_of(xl), torch.float32)
    layers = {name.partition(".")[0] for name in tensors}
    expected = {f"lora_unet_{name.replace('.', '_')}" for name in unet_weights(xl.pipe.unet)}
    assert {f"{layer}_weight" for layer in layers} <= expected and len(layers) == len(xl.matrices)
    full = Family("", "", parts_a_block=3)
    for ours, theirs in (
        (
            "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k",
            "input_blocks_4_1_transformer_blocks_0_attn2_to_k",
        ),
        (
            "down_blocks.2.attentions.1.transformer_blocks.9.attn2.to_v",
            "input_blocks_8_1_transformer_blocks_9_attn2_to_v",
        ),
        ("mid_block.attentions.0.transformer_blocks.3.attn2.to_k", "middle_block_1_transformer_blocks_3_attn2_to_k"),
        (
            "up_blocks.1.attentions.2.transformer_blocks.1.attn2.to_q",
            "output_blocks_5_1_transformer_blocks_1_attn2_to_q",
        ),
    ):
        assert full.layer(ours) == f"lora_unet_{theirs}"


def test_concepts_that_adapt_different_matrices_are_one_lora(two, learn, backbone) -> None:
    """Of one rank in all layers: diffusers drops the alpha of those that differ."""
    timeline = two("clora")
    timeline = timeline.then(learn("Ann", timeline, adapts="qkvo"))
    (part,) = parts_of(backbone, timeline)
    family, deltas = family_of(backbone), backbone.installation.deltas
    tensors = lora_tensors(part.summed, family, torch.float32)
    assert {int(value) for name, value in tensors.items() if name.endswith("alpha")} == {6}
    for name in (*backbone.matrices, *backbone.queries, *backbone.outputs):
        up, down = (tensors[f"{family.layer(name)}.lora_{end}.weight"] for end in ("up", "down"))
        assert torch.allclose(up @ down, deltas[f"{name}.weight"], atol=1e-6)


def test_a_base_from_the_hub_or_in_one_file_is_opened_as_it_was(base: BaseModel, tmp_path: Path) -> None:
    at = replace(base, path="owner/name", source="owner/name@abc")
    assert _opened(at) == "from_pretrained('owner/name', revision='abc')"
    (tmp_path / "one.safetensors").write_bytes(b"")
    assert _opened(replace(base, path=str(tmp_path / "one.safetensors"))).startswith("from_single_file(")


def test_pixart_is_exported_as_a_whole_model_and_not_as_loras(
    pixart, pictures, config, folders, tmp_path: Path, monkeypatch
) -> None:
    timeline, base = Timeline("pets", "Pets", ""), read_base(folders / PIXART)
    for name in ("rex", "mug"):
        with train_concept(pixart, Concept(name, f"<{name}>", pictures), timeline, config) as training:
            list(training)
            timeline = timeline.then(training.finish())
    with pytest.raises(SettingsError, match="Export the whole model"):
        export_timeline(timeline, base, tmp_path / "out", device="cpu")
    made = export_timeline(timeline, base, tmp_path / "out", device="cpu", kind="diffusers")
    assert made.proved
    text = (made.folder / "README.txt").read_text()
    lines = text.partition("diffusers, in Python:\n")[2].split("\n\n")[0].splitlines()
    monkeypatch.chdir(made.folder)
    exec("\n".join(line.strip() for line in lines), {})  # noqa: S102
    assert (made.folder / "picture.png").is_file() and "take the LoRAs" not in text


@pytest.mark.parametrize("method", ["clora", "textual_inversion", "ewc"])
def test_a_whole_model_draws_the_same_picture(two, base: BaseModel, tmp_path: Path, method: str) -> None:
    timeline = two(method)
    made = export_timeline(timeline, base, tmp_path / "out", device="cpu", kind="diffusers")
    assert made.proved and made.difference < made.tolerance == 1e-3
    assert (made.folder / "model/model_index.json").is_file()
    assert "<mug>" in (made.folder / "README.txt").read_text()
    half = export_timeline(timeline, base, tmp_path / "half", "fp16", "cpu", kind="diffusers")
    assert half.megabytes < 0.7 * made.megabytes and half.difference < 0.1


def test_weights_of_each_prompts_own_are_no_whole_model(two, base: BaseModel, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="LoRAs"):
        export_timeline(two("routed"), base, tmp_path / "out", device="cpu", kind="diffusers")
    assert not (tmp_path / "out").exists()


def test_a_whole_sdxl_draws_the_same_picture(learned_on_xl, folders, tmp_path: Path) -> None:
    base = read_base(folders / "stable-diffusion-xl")
    quick = replace(base, sampling=base.sampling.updated({"steps": 2}))
    made = export_timeline(learned_on_xl(), quick, tmp_path / "out", device="cpu", kind="diffusers")
    assert made.proved
    assert read_base(made.folder / "model").resolution == base.resolution


def test_sdxl_in_pefts_keys_has_every_matrix(xl, learned_on_xl, folders, tmp_path: Path) -> None:
    """Its blocks are numbered through in kohya's spelling, and are diffusers' own here."""
    base = read_base(folders / "stable-diffusion-xl")
    quick = replace(base, sampling=base.sampling.updated({"steps": 2}))
    made = export_timeline(learned_on_xl(), quick, tmp_path / "out", "fp16", "cpu", kind="peft")
    assert made.proved
    tensors = load_file(made.folder / "loras/pets-2.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    layers = {name.removeprefix("unet.").rpartition(".lora_")[0] for name in tensors}
    assert layers == set(xl.matrices)
