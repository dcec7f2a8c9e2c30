"""Strengths scale what a concept added to the weights, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from clora_core.concepts import Timeline
from clora_core.drawing.generate import generate
from clora_core.drawing.strength import with_strengths
from clora_core.errors import ConceptError, SettingsError
from clora_core.methods import class_of
from clora_core.settings.methods import BUILT_IN
from clora_core.settings.strength import check_strengths, read_strengths, strength_words

SHARES = {"<rex>": 0.5, "<mug>": 1.25}


@pytest.fixture
def two(learn, empty):
    """two(method) -> a timeline of <rex> and <mug>, learned with it."""

    def two(method: str) -> Timeline:
        timeline = replace(empty, method=BUILT_IN.named(method))
        for seed, name in enumerate(("Rex", "Mug")):
            timeline = timeline.then(learn(name, timeline, seed=seed, steps=2))
        return timeline

    return two


def deltas(backbone, timeline: Timeline) -> dict[str, torch.Tensor]:
    """W - W_init of what a prompt with all tokens is drawn with."""
    class_of(timeline.method).install(backbone, timeline, " ".join(timeline.tokens))
    return {name: delta.clone() for name, delta in backbone.installation.deltas.items()}


@pytest.mark.parametrize(
    "method", ["clora", "merged", "routed", "sequential", "custom_diffusion", "custom_diffusion_merge"]
)
def test_each_share_of_the_weights_is_scaled(backbone, two, method: str) -> None:
    """W = W_init + sum s_t D_t, where D_t is what the weights changed by when concept t came."""
    timeline = two(method)
    both = deltas(backbone, timeline)
    if method == "custom_diffusion_merge":  # one solution for all, linear in what each learned
        first = deltas(backbone, with_strengths(timeline, {"<mug>": 0.0}))
    else:
        first = deltas(backbone, timeline.as_of(1))
    found = deltas(backbone, with_strengths(timeline, SHARES))
    assert both.keys() == found.keys() and any(delta.abs().max() > 0 for delta in both.values())
    for name, delta in found.items():
        expected = 0.5 * first[name] + 1.25 * (both[name] - first[name])
        torch.testing.assert_close(delta, expected, rtol=1e-4, atol=1e-6)
    nothing = deltas(backbone, with_strengths(timeline, {"<rex>": 0.0, "<mug>": 0.0}))
    assert all(not delta.any() for delta in nothing.values())


def test_strengths_of_one_change_nothing_and_others_the_picture(backbone, two, settings) -> None:
    timeline = two("clora")
    assert with_strengths(timeline, {"<rex>": 1.0, "<mug>": 1}) is timeline
    drawn = {
        strength: generate(backbone, with_strengths(timeline, {"<rex>": strength}), "a <rex>", settings)[0].tobytes()
        for strength in (0.0, 0.5, 1.0, 1.5)
    }
    assert len(set(drawn.values())) == 4
    assert drawn[1.0] == generate(backbone, timeline, "a <rex>", settings)[0].tobytes()


def test_what_has_no_strength_is_said(two, empty) -> None:
    with pytest.raises(ConceptError, match="<foo>"):
        with_strengths(empty, {"<foo>": 0.5})
    with pytest.raises(SettingsError, match=r"no weights.*\(<rex>:0.7\)"):
        with_strengths(two("textual_inversion"), {"<rex>": 0.5})


@pytest.mark.parametrize("written", ["<ada>=0.7", "ada=0.7", " <ada> : 0.7", "<lora:ada:0.7>", "ADA=.70"])
def test_strengths_are_read_as_people_write_them(written: str) -> None:
    assert read_strengths([written]) == {"<ada>": 0.7}


def test_strengths_read_back_and_wrong_ones_are_refused() -> None:
    strengths = {"<ada>": 0.7, "<bo-blau>": 1.5}
    assert read_strengths(strength_words(strengths).split()) == strengths
    assert check_strengths({"<ada>": 1, "<bo>": 0}) == {"<bo>": 0.0}
    for wrong in ("<ada>", "<ada>=2", "<ada>=-1", "=0.5", "<ada>=nan", "<ada>=0.5.1"):
        with pytest.raises(SettingsError):
            read_strengths([wrong])
