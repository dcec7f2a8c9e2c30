"""A picture is a pure function of (base, timeline, prompt, seed, settings), and carries them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from tiny.digests import base_digest

from clora_core.concepts import SamplingConfig, Timeline
from clora_core.drawing.generate import generate
from clora_core.drawing.png_settings import picture_info, read_settings, save_picture, settings_in
from clora_core.errors import Cancelled, ConceptError, PictureError, SettingsError


@pytest.fixture
def two(learn, empty) -> Timeline:
    """A timeline of <rex> and <mug>."""
    one = empty.then(learn("Rex", empty))
    return one.then(learn("Mug", one))


def drawn(backbone, timeline: Timeline, settings: SamplingConfig, prompt: str = "a photo of <rex>") -> list[bytes]:
    return [picture.tobytes() for picture in generate(backbone, timeline, prompt, settings)]


def test_rewinding_gives_the_earlier_pictures_bit_for_bit(backbone, learn, empty, settings) -> None:
    """Drawn on the day each concept was learned, and again after two more came."""
    plain = drawn(backbone, empty, settings, "a photo of far")
    timeline, albums = empty, []
    for name in ("Rex", "Mug", "Ilva"):
        timeline = timeline.then(learn(name, timeline))
        albums.append(drawn(backbone, timeline, settings))
    assert len(set(map(tuple, albums))) == 3  # each concept left its mark
    for count in (3, 1, 2):
        assert drawn(backbone, timeline.as_of(count), settings) == albums[count - 1]
    assert drawn(backbone, timeline.as_of(0), settings, "a photo of far") == plain


def test_a_picture_is_a_function_of_prompt_seed_and_settings(backbone, two, settings) -> None:
    first = drawn(backbone, two, settings)
    others = [
        drawn(backbone, two, settings, "a photo of <mug>"),
        drawn(backbone, two, settings.updated({"seed": 1})),
        drawn(backbone, two, settings.updated({"steps": 3})),
        drawn(backbone, two, settings.updated({"guidance_scale": 9.0})),
        drawn(backbone, two, settings.updated({"guidance_rescale": 0.7})),
        drawn(backbone, two, settings.updated({"negative_prompt": "far"})),
        drawn(backbone, two, settings.updated({"sampler": "Euler a"})),
    ]
    assert first not in others and len({pictures[0] for pictures in others}) == len(others)
    assert drawn(backbone, two, settings) == first


def test_drawing_changes_no_weight(backbone, two, settings) -> None:
    drawn(backbone, two, settings)
    before = base_digest(backbone)
    drawn(backbone, two, settings.updated({"seed": 5}))
    assert base_digest(backbone) == before


def test_several_pictures_take_the_next_seeds_in_batches_of_four(backbone, two, settings) -> None:
    calls: list[tuple[int, int]] = []
    pictures = generate(
        backbone, two, "a photo of <rex>", settings.updated({"pictures": 6}), lambda *at: calls.append(at)
    )
    assert calls == [(done, 4) for done in (1, 2, 3, 4)]  # 2 steps for each of 2 batches
    assert len({picture.tobytes() for picture in pictures}) == 6
    for place in (0, 3, 5):
        (alone,) = generate(backbone, two, "a photo of <rex>", settings.updated({"seed": place}))
        difference = np.asarray(alone, int) - np.asarray(pictures[place], int)
        assert np.abs(difference).max() <= 1  # the batch size may move the last bit


def test_the_size_asked_for_is_drawn_and_an_impossible_one_refused(backbone, two, settings) -> None:
    (picture,) = generate(backbone, two, "a photo of <rex>", settings.updated({"width": 48, "height": 40}))
    assert picture.size == (48, 40)
    with pytest.raises(SettingsError, match=r"width 36.*multiple of 8"):
        generate(backbone, two, "a photo of <rex>", settings.updated({"width": 36}))


def test_raising_from_on_step_stops_at_once_and_does_no_harm(backbone, two, settings) -> None:
    before = drawn(backbone, two, settings)
    seen = []

    def stop(done: int, total: int) -> None:
        seen.append(done)
        raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        generate(backbone, two, "a photo of <rex>", settings.updated({"steps": 5}), stop)
    assert seen == [1]
    assert drawn(backbone, two, settings) == before


def test_a_token_not_learned_at_this_point_is_named(backbone, two, settings) -> None:
    with pytest.raises(ConceptError, match=r"<foo>.*<rex>, <mug>"):
        generate(backbone, two, "a photo of <foo>", settings)
    with pytest.raises(ConceptError, match=r"<mug>.*Learned so far: <rex>"):
        generate(backbone, two.as_of(1), "a photo of <rex> and <Mug>", settings)
    with pytest.raises(ConceptError, match="<foo>"):
        generate(backbone, two, "a photo", settings.updated({"negative_prompt": "<foo>"}))
    with pytest.raises(ConceptError, match="Nothing is learned yet"):
        generate(backbone, two.as_of(0), "a photo of <rex>", settings)


def test_a_token_behind_the_last_piece_that_is_read_is_refused(backbone, two, settings) -> None:
    """Two concepts gave the same picture."""
    room = backbone.tables["clip"].max_length - 2
    with pytest.raises(ConceptError, match=r"<rex> would be cut off"):
        generate(backbone, two, f"{'photo ' * room}<rex>", settings)
    with pytest.raises(ConceptError, match=r"<mug> would be cut off"):
        generate(backbone, two, "photo", settings.updated({"negative_prompt": f"{'photo ' * room}<rex> <Mug>"[6:]}))
    assert generate(backbone, two, f"<rex>{' photo' * room} <rex>", settings)  # it is read where it stands first


@pytest.mark.parametrize(
    ("prompt", "negative"),
    [
        ("a photo of <rex>", ""),
        ("a photo of <rex>, at night: 9:30", "blurry, far"),
        ("first line\nsecond, Steps: 3", "one\ntwo"),
        ('Zoë said "hi" <ilva-maron> 犬', 'with "quotes", 犬'),
        ("", ""),
        ("a photo\nNegative prompt: glasses\nSteps: 20, Seed: 4, Size: 64x64", ""),  # a pasted text, drawn as it is
        ("a photo\rof <rex>\n", " \n"),
    ],
)
def test_settings_survive_the_picture(backbone, two, tmp_path: Path, prompt: str, negative: str) -> None:
    settings = SamplingConfig(steps=12, guidance_scale=4.5, width=64, height=32, negative_prompt=negative, seed=7)
    info = picture_info('Faces, "small"', "DPM++ 2M", two, prompt, settings, index=2)
    save_picture(Image.new("RGB", (64, 32)), tmp_path / "a.png", info)
    assert read_settings(tmp_path / "a.png") == info
    assert (info["seed"], info["as_of"], info["timeline"]) == (9, 2, "test")


def test_the_text_is_the_one_other_programs_read(tmp_path: Path, two) -> None:
    settings = SamplingConfig(steps=12, guidance_scale=4.5, width=64, height=32, negative_prompt="far", seed=7)
    save_picture(Image.new("RGB", (8, 8)), tmp_path / "a.png", picture_info("m", "DDIM", two, "<rex>", settings))
    with Image.open(tmp_path / "a.png") as image:
        assert image.info["parameters"] == (
            "<rex>\nNegative prompt: far\nSteps: 12, Sampler: DDIM, CFG scale: 4.5, CFG rescale: 0.0, "
            "Seed: 7, Model: m, "
            "As of: 2, Timeline: test, Size: 64x32"
        )


def test_strengths_and_axes_survive_the_picture_and_its_text(tmp_path: Path, two) -> None:
    strengths, axes = {"<rex>": 0.7, "<my-mug>": 1.5}, {"seed": [1, 2], "prompt": ["a, <b>", 'say "c"']}
    info = picture_info("m", "DDIM", two, "<rex>", SamplingConfig(), strengths=strengths) | {"axes": axes}
    save_picture(Image.new("RGB", (8, 8)), tmp_path / "a.png", info)
    assert read_settings(tmp_path / "a.png") == info
    with Image.open(tmp_path / "a.png") as image:
        assert settings_in(image.info["parameters"])["strengths"] == strengths


def test_a_schedule_that_is_said_apart_belongs_to_the_sampler() -> None:
    found = settings_in("a cat\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras")
    assert found["sampler"] == "DPM++ 2M Karras"
    assert settings_in("a cat\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Odd")["sampler"] == "DPM++ 2M"


def test_another_programs_settings_are_read_as_far_as_known(tmp_path: Path) -> None:
    chunk = PngInfo()
    chunk.add_text(
        "parameters",
        "a dog\nNegative prompt: bad, \nworse\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 965400086, "
        'Size: 512x768, Model hash: 45dee52b, Lora hashes: "x: 1, y: 2", Denoising: 0.7, Model: sd15',
    )
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=chunk)
    assert read_settings(tmp_path / "a.png") == {
        "prompt": "a dog", "negative_prompt": "bad, \nworse", "steps": 20, "sampler": "Euler a",
        "guidance_scale": 7.0, "seed": 965400086, "width": 512, "height": 768, "model": "sd15",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a cat\nNegative prompt: blur", {"prompt": "a cat", "negative_prompt": "blur"}),
        ("a cat", {"prompt": "a cat"}),
        ("two\nlines", {"prompt": "two\nlines"}),
        (
            "a cat\nNegative prompt: blur\nSteps: 20, Seed: 4, Size: 64x32",
            {"prompt": "a cat", "negative_prompt": "blur", "steps": 20, "seed": 4, "width": 64, "height": 32},
        ),
    ],
)
def test_a_text_of_another_program_is_read(text: str, found: dict) -> None:
    assert settings_in(text) == found


def test_jpeg_files_of_another_program_are_read(tmp_path: Path) -> None:
    text = "ein Hund, café\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 4, Size: 64x32"
    for name, comment in (
        ("utf-16", b"UNICODE\0" + text.encode("utf-16-be")),
        ("ascii", b"ASCII\0\0\0" + text.encode()),
    ):
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9286] = comment
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.jpg", exif=exif)
        found = read_settings(tmp_path / f"{name}.jpg")
        assert (found["prompt"], found["seed"], found["width"]) == ("ein Hund, café", 4, 64)


@pytest.mark.parametrize("own", ["not json", "[1]", '{"seed": "4", "steps": true, "foreign": 1}'])
def test_a_forged_chunk_of_ours_is_read_as_far_as_it_is_sound(tmp_path: Path, own: str) -> None:
    chunk = PngInfo()
    chunk.add_text("clora", own)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=chunk)
    assert read_settings(tmp_path / "a.png") == {}


def test_after_the_largest_seed_comes_the_first(two) -> None:
    settings = SamplingConfig(seed=2**32 - 1, pictures=2)
    info = picture_info("m", "DDIM", two, "a photo", settings, index=1)
    assert settings.updated({"seed": info["seed"]}).seed == 0


def test_a_picture_without_settings_and_a_file_that_is_none(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no picture")
    assert read_settings(tmp_path / "a.png") == {}
    with pytest.raises(PictureError, match=r"b\.png"):
        read_settings(tmp_path / "b.png")
    with pytest.raises(PictureError, match="could not be written"):
        save_picture(Image.new("RGB", (8, 8)), tmp_path / "nowhere" / "a.png", {})


def test_a_picture_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def cut_off(image: Image.Image, path: Path, *_: object, **__: object) -> None:
        path.write_bytes(b"half")
        seen.append([each.name for each in tmp_path.glob("*.png")])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", cut_off)
    with pytest.raises(PictureError, match="No space left"):
        save_picture(Image.new("RGB", (8, 8)), tmp_path / "a.png", {})
    assert seen == [[]] and not list(tmp_path.iterdir())
