"""What every method learns and draws, as digests: ``python scripts/digests.py write|compare FILE [--only tiny]``.

Write them before a change that is to leave behaviour alone, compare after it. Two concepts a method, so that a past is
there, on a tiny model and on the embedded one; then three pictures: the new concept, both, and as of the first. All
goes through the command line, whose words outlast the code. Digests of one machine say nothing about another's.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from tiny.model import build_tiny_model  # noqa: E402

from clora_core.cli.commands import main as clora  # noqa: E402
from clora_core.settings.methods import BUILT_IN  # noqa: E402

PRESET = {
    "train": {"rank": 2, "steps": 4, "learning_rate": 0.01, "token_learning_rate": 0.01, "augment_copies": 2},
    "sampling": {"steps": 2, "guidance_scale": 3.0},
}
ALWAYS = ("--train-precision", "fp32", "--preview-every-seconds", "0")
OWN = {"generative_replay": ("--replay-pictures", "2")}
PICTURES: tuple[tuple[str, ...], ...] = (
    ("a photo of <mug>",),
    ("a photo of <rex> next to <mug>",),
    ("a photo of <rex>", "--as-of", "1"),
)


def run(*words: object) -> Any:
    """What a command prints as JSON. Raises RuntimeError with what it complained of."""
    out, complaints = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(complaints):
        code = clora([*map(str, words), "--json"])
    if code:
        raise RuntimeError(complaints.getvalue())
    return json.loads(out.getvalue())


def digest(*parts: bytes) -> str:
    """16 hex digits of SHA-256."""
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def digests_of(
    method: str, home: Path, model: tuple[str, ...], people: tuple[Path, Path], more: tuple[str, ...]
) -> Any:
    """By what it is of: both concepts' weights, then the pictures."""
    place = ("--home", str(home), *model)
    timeline = run("timeline", "--new", method, *place)["timeline"]["id"]
    for seed, (name, pictures) in enumerate(zip(("Rex", "Mug"), people, strict=True)):
        asked = ("--pictures", pictures, "--name", name, "--seed", seed, "--method", method)
        run("learn", *asked, *ALWAYS, *more, *OWN.get(method, ()), "--timeline", timeline, *place)
    found = {}
    for path in sorted((home / "timelines" / timeline).glob("*/weights.safetensors")):
        tensors = load_file(path)
        found[path.parent.name] = digest(*(name.encode() + tensors[name].tobytes() for name in sorted(tensors)))
    for number, (prompt, *as_of) in enumerate(PICTURES):
        words = ("draw", "--prompt", prompt, *as_of, "--seed", 3, "--steps", 2, "--timeline", timeline, *place)
        found[f"picture {number}"] = digest(np.asarray(Image.open(run(*words)["pictures"][0])).tobytes())
    return found


def all_digests(folder: Path, only: str) -> dict[str, str]:
    """Of every method on both models, by "model/method/what"."""
    tiny, noise = build_tiny_model(folder / "model"), folder / "noise"
    (tiny / "clora.json").write_text(json.dumps(PRESET))
    noise.mkdir()
    rng = np.random.default_rng(0)
    for number in range(4):
        Image.fromarray(rng.integers(0, 256, (48, 40, 3), dtype=np.uint8)).save(noise / f"{number}.png")
    shipped = ROOT / "assets/base/people"
    models = {
        "tiny": (("--model", str(tiny)), (noise, noise), ()),
        "embedded": ((), (shipped / "ada", shipped / "bruno"), ("--steps", "2")),
    }
    found = {}
    for name, setting in models.items():
        for method in BUILT_IN if only in ("", name) else ():
            print(name, method.name, file=sys.stderr, flush=True)
            of = digests_of(method.name, folder / f"{name}-{method.name}", *setting)
            found |= {f"{name}/{method.name}/{key}": value for key, value in of.items()}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["write", "compare"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--only", default="", choices=["tiny", "embedded"], help="one of the two models")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = all_digests(Path(folder), chosen.only)
    if chosen.what == "write":
        chosen.file.write_text(json.dumps(found, indent=1) + "\n")
        return print(f"{len(found)} written")
    before = {k: v for k, v in json.loads(chosen.file.read_text()).items() if k.startswith(chosen.only)}
    differ = [key for key in {**before, **found} if before.get(key) != found.get(key)]
    print("\n".join([*differ, f"{len(found)} compared, {len(differ)} differ"]))
    sys.exit(bool(differ))


if __name__ == "__main__":
    main()
