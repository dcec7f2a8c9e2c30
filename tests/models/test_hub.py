"""Models of the Hub, from a server on this machine that answers as the Hub does."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from clora_core.errors import ModelError
from clora_core.models.description import check_family, fingerprint
from clora_core.models.hub import HubModel, hub_model, wanted

COMMITS = {"main": "1" * 40, "v2": "2" * 40}
REFUSALS = {"some/gated": "GatedRepo", "some/missing": "RepoNotFound"}


@pytest.mark.parametrize(
    "text,model",
    [
        ("owner/name", HubModel("owner/name")),
        ("owner/my.model-2@fp16", HubModel("owner/my.model-2", "fp16")),
        (f"owner/name@{COMMITS['main']}", HubModel("owner/name", COMMITS["main"])),
        ("owner/name@refs/pr/3", HubModel("owner/name", "refs/pr/3")),
        ("./owner/name", None),
        ("owner/name@", None),
        ("name", None),
    ],
)
def test_a_name_may_have_a_revision(text: str, model: HubModel | None) -> None:
    assert hub_model(text) == model


FILES = ["model_index.json", "unet/config.json", "unet/a.safetensors", "unet/a.fp16.safetensors", "unet/a.bin", "x.py"]


def test_weights_are_fetched_once_and_never_as_pickles() -> None:
    model, parts = HubModel("owner/name"), ("unet", "text_encoder_2")
    assert wanted(model, FILES, parts) == ["model_index.json", "unet/config.json", "unet/a.safetensors"]
    half = [name for name in FILES if name != "unet/a.safetensors"]
    assert wanted(model, half, parts)[-1] == "unet/a.fp16.safetensors"
    pickles = [name for name in FILES if "safetensors" not in name]
    with pytest.raises(ModelError, match="unet without safetensors.*owner/name@revision"):
        wanted(model, pickles, parts)


def test_code_of_a_models_own_is_not_run(tiny_folder: Path) -> None:
    index = json.loads((tiny_folder / "model_index.json").read_text())
    check_family("m", index, lambda part: {})
    with pytest.raises(ModelError, match=r"code of its own \(my_unet\)"):
        check_family("m", {**index, "unet": ["my_unet", "UNet2DConditionModel"]}, lambda part: {})


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub's interface as huggingface_hub asks for; `models` has files by model and revision."""

    models: dict[str, dict[str, dict[str, bytes]]] = {}
    asked: list[str] = []

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = self.path.split("?")[0].removeprefix("/api/models").strip("/")
        owner, name, *rest = path.split("/")
        model = f"{owner}/{name}"
        if model == "some/cut":
            return self.connection.close()
        if model not in self.models:
            return self.send(401 if model in REFUSALS else 404, b"", {"X-Error-Code": REFUSALS.get(model, "")})
        kind, revision, *inside = rest or ["revision", "main"]
        files = self.models[model].get({hash: name for name, hash in COMMITS.items()}.get(revision, revision))
        if files is None:
            return self.send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        commit = COMMITS.get(revision, revision)
        if kind == "resolve":
            data = files.get("/".join(inside))
            if data is None:
                return self.send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
            self.asked.append("/".join(inside))
            etag = hashlib.sha1(data).hexdigest()
            return self.send(200, data, {"X-Repo-Commit": commit, "ETag": f'"{etag}"'})
        siblings = [{"rfilename": file} for file in files]
        tree = [{"type": "file", "path": file, "size": len(data), "oid": ""} for file, data in files.items()]
        said = tree if kind == "tree" else {"id": model, "sha": commit, "siblings": siblings}
        return self.send(200, json.dumps(said).encode(), {"Content-Type": "application/json"})

    def send(self, code: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for key, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(tiny_folder: Path) -> Iterator[str]:
    """The server's address. It has the tiny model, with a pickle and code beside; v2 of it has another scheduler."""
    files = {str(path.relative_to(tiny_folder)): path.read_bytes() for path in tiny_folder.rglob("*") if path.is_file()}
    files |= {"unet/diffusion_pytorch_model.bin": b"pickle", "pipeline.py": b"raise SystemExit"}
    scheduler = json.loads(files["scheduler/scheduler_config.json"]) | {"prediction_type": "epsilon"}
    later = files | {"scheduler/scheduler_config.json": json.dumps(scheduler).encode()}
    pickles = {name: data for name, data in files.items() if not name.startswith("unet/diff")} | {"unet/d.bin": b""}
    Hub.asked = []
    Hub.models = {
        "some/tiny": {"main": files, "v2": later},
        "some/pickles": {"main": pickles},
        "some/file": {"main": {"dreamy.safetensors": b""}},
        "some/flux": {"main": {**files, "model_index.json": b'{"_class_name": "FluxPipeline"}'}},
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


ASK = """
import json, sys
from clora_core.errors import ModelError
from clora_core.models.description import fetched, read_base
found = {}
for model in sys.argv[1:]:
    before = read_base(model).id
    try:
        fetched(model)
        base = read_base(model)
        found[model] = [before, base.id, base.source]
    except ModelError as error:
        found[model] = str(error)
assert "torch" not in sys.modules
print(json.dumps(found))
"""


def ask(hub: str, cache: Path, *models: str, offline: bool = False) -> dict[str, list[str] | str]:
    """What each model is found to be, in a process of its own: huggingface_hub reads its address as it is imported."""
    settings = {"HF_ENDPOINT": hub, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": str(int(offline))}
    done = subprocess.run(
        [sys.executable, "-c", ASK, *models],
        env={**os.environ, **settings, "HF_TOKEN": "hf_test", "NO_PROXY": "*"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_model_is_fetched_and_its_commit_known(hub: str, tmp_path: Path, tiny_folder: Path) -> None:
    at = f"some/tiny@{COMMITS['v2']}"
    found = ask(hub, tmp_path / "cache", "some/tiny", "some/tiny@v2", at)
    assert found["some/tiny"] == ["", fingerprint(tiny_folder), f"some/tiny@{COMMITS['main']}"]
    assert found["some/tiny@v2"][0] == "" and found["some/tiny@v2"][2] == at
    assert found["some/tiny@v2"][1] != fingerprint(tiny_folder)
    assert found[at] == [found["some/tiny@v2"][1], *found["some/tiny@v2"][1:]]  # it was here already
    assert "unet/diffusion_pytorch_model.safetensors" in Hub.asked
    assert not [name for name in Hub.asked if name.endswith((".bin", ".py"))]


def test_what_cannot_be_fetched_says_what_to_do(hub: str, tmp_path: Path) -> None:
    models = ("some/pickles", "some/file", "some/flux", "some/tiny@v9", "some/gated", "some/missing", "some/cut")
    found = ask(hub, tmp_path / "cache", *models)
    for model, message in zip(
        models,
        (
            "without safetensors",
            "Download its dreamy.safetensors",
            "FluxPipeline",
            "'v9'",
            "Ask for access",
            "no model",
            "could not be fetched",
        ),
        strict=True,
    ):
        assert message in found[model], found[model]
    assert not [name for name in Hub.asked if "safetensors" in name]
    found = ask(hub, tmp_path / "other", "some/tiny", offline=True)
    assert "could not be fetched" in found["some/tiny"]
