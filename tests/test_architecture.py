"""The arrows between the rooms, and the house rules a machine can check."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "clora_core").rglob("*.py"))
PAGE = [*sorted((ROOT / "demo").rglob("*.py")), ROOT / "app.py"]
OURS = [*CORE, *PAGE]

# a room may import itself and the rooms before it; the modules beside the rooms are rooms of one file
ORDER = (
    "errors seeds disk settings concepts verdict answers models data measures methods drawing learning store export "
    "bring jobs studio bench cli __main__"
)
ROOMS = ORDER.split()
NEVER = {  # in these files none of these packages may be imported
    "clora_core": ("gradio", "demo", "app", "pretrain"),
    "demo": ("torch", "diffusers", "transformers", "peft", "pretrain"),
    "app.py": ("torch", "diffusers", "transformers", "peft", "pretrain"),
}
DOOR = (
    "studio",
    "errors",
    "concepts",
    "settings",
    "answers",
    "verdict",
    "data",
    "disk",
    "jobs.requests",
)  # the page knows these


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports anywhere, by full name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows(path: Path) -> None:
    top, *rest = path.relative_to(ROOT).with_suffix("").parts if path.parent != ROOT else (path.name, "")
    for name in imported(path):
        package, *inside = name.split(".")
        assert package not in NEVER[top], f"{path.relative_to(ROOT)} imports {name}: {top} must not know {package}"
        if package != "clora_core" or not inside or rest[0] == "__init__":
            continue
        if top == "clora_core":
            assert ROOMS.index(inside[0]) <= ROOMS.index(rest[0]), (
                f"{path.relative_to(ROOT)} imports {name}: the room {rest[0]} comes before {inside[0]} "
                f"(the order is {', '.join(ROOMS)})"
            )
        else:
            assert {inside[0], ".".join(inside)} & set(DOOR), (
                f"{path.relative_to(ROOT)} imports {name}: the page knows {', '.join(DOOR)} only"
            )


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_hidden_state_and_no_pickle(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Global)]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.type is None]
    assert "pickle" not in imported(path)
    assert "torch.save" not in {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
