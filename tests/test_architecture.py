"""The arrows between the modules, and the house rules a machine can check."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = sorted((ROOT / "clora_core").rglob("*.py"))
PAGE = [*sorted((ROOT / "demo").rglob("*.py")), ROOT / "app.py"]

# lower layers first; a module may import from its own layer and from those before it
LAYERS = [
    {"errors", "settings", "disk"},
    {"concepts"},
    {
        "losses",
        "adapters",
        "dense_weights",
        "noise",
        "tokens",
        "dataset",
        "pipeline",
        "pictures",
        "precision",
    },
    {"methods"},
    {"features", "attributes", "optimizer", "trainer", "sampling", "metrics"},
    {
        "views",
        "samples",
        "sheet",
        "comparison",
        "learning_queue",
        "checkpoints",
        "store_files",
        "store",
        "job_folder",
        "jobs",
        "work",
    },
    {"studio"},
    {
        "progress_line",
        "benchmark",
        "benchmark_arm",
        "sweep",
        "forgetting",
        "forgetting_gap",
        "forgetting_measures",
        "forgetting_report",
        "forgetting_workers",
        "cli_arguments",
        "cli",
        "__main__",
    },
]


def imported(path: Path) -> set[str]:
    """The modules that a file imports anywhere, by full name."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def layer_of(module: str) -> int:
    """The layer of ``clora_core.<module>...``."""
    return next(number for number, layer in enumerate(LAYERS) if module.split(".")[1] in layer)


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_the_core_imports_only_downwards_and_never_the_page(path: Path) -> None:
    names = imported(path)
    assert not {name for name in names if name.split(".")[0] in ("gradio", "demo", "app", "pretrain")}
    own = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    if path.stem == "__init__" and path.parent.name == "clora_core":
        return
    ours = {name for name in names if name.startswith("clora_core.")}
    assert [name for name in ours if layer_of(name) > layer_of(own)] == []


@pytest.mark.parametrize("path", PAGE, ids=lambda path: path.stem)
def test_the_page_knows_only_the_door_and_no_torch(path: Path) -> None:
    names = imported(path)
    assert not {
        name for name in names if name.split(".")[0] in ("torch", "diffusers", "transformers", "peft")
    }
    ours = {name.split(".")[1] for name in names if name.startswith("clora_core.")}
    assert ours <= {"studio", "errors", "concepts", "settings", "views", "pictures"}


@pytest.mark.parametrize("path", CORE + PAGE, ids=lambda path: path.stem)
def test_no_hidden_state_and_no_pickle(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Global)]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.type is None]
    assert "pickle" not in imported(path)
    assert not [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "torch.save"
    ]


@pytest.mark.parametrize("path", CORE + PAGE, ids=lambda path: path.stem)
def test_files_and_functions_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 350
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 60, node.name


def test_nothing_imports_the_recipe_of_the_model() -> None:
    for path in CORE + PAGE:
        assert not {name for name in imported(path) if name.startswith("pretrain")}
