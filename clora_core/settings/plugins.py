"""Methods of somebody else's: installed ones, through the entry points ``clora_studio.methods``, and single files.

An installed package says in its pyproject.toml where its row stands:

    [project.entry-points."clora_studio.methods"]
    mine = "my_package.rows:METHOD"

A file (``--method-file mine.py``) defines a subclass of ``Method``,
and ``METHOD = MethodRow(..., implementation=Mine)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from clora_core.errors import SettingsError
from clora_core.settings.fields import labelled
from clora_core.settings.learning import TrainConfig
from clora_core.settings.methods import BUILT_IN, MethodRow, Methods

GROUP = "clora_studio.methods"


def known_methods(files: Sequence[Path] = ()) -> Methods:
    """The built-in methods, the installed ones, and those of ``files``.

    Raises SettingsError naming the plug-in or file: it cannot be loaded, it has no row, or a name is taken.
    """
    rows = {row.name: row for row in BUILT_IN}
    for source, row in _others(files):
        if row.name in rows:
            raise SettingsError(
                f"The method of {source} is named {row.name!r}, as another one is. Give it another name."
            )
        taken = sorted(set(labelled(row.options)) & {"method", *labelled(TrainConfig)})
        if taken:
            raise SettingsError(
                f"The method of {source} has an option {', '.join(taken)}, which all methods have. Rename it."
            )
        rows[row.name] = row
    return Methods(tuple(rows.values()), tuple(files))


def _others(files: Sequence[Path]) -> Iterator[tuple[str, MethodRow]]:
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        source = f"the plug-in {entry.name!r} ({entry.value})"
        yield source, _checked(source, _loaded(source, entry))
    for file in files:
        yield str(file), _checked(str(file), _row_in(file))


def _checked(source: str, found: object) -> MethodRow:
    if not isinstance(found, MethodRow):
        raise SettingsError(f"{source} has no method: METHOD must be a MethodRow, got {type(found).__name__}.")
    return found


def _loaded(source: str, entry: EntryPoint) -> object:
    try:
        return entry.load()
    except Exception as error:  # whatever somebody else's module does
        raise SettingsError(f"{source} cannot be loaded: {error!r}. Repair or uninstall it.") from error


def _row_in(file: Path) -> object:
    spec = spec_from_file_location(f"method_file_{file.stem}", file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise SettingsError(f"There is no method file {file}. Give a Python file that defines METHOD.")
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise SettingsError(f"The method file {file} cannot be loaded: {error!r}. Repair it.") from error
    return getattr(module, "METHOD", None)
