"""Imports of one package, apart from all others.

Every generated package puts itself on sys.path and imports its vertex routines from a top-level
module `model`: a second one would silently get the first one's. Here each finds its own, and what
was on sys.path and in sys.modules before is put back.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

ALIAS = "_diffpipe_madjax_package"  # a name of ours: two folders may have the same


@contextmanager
def alone() -> Iterator[None]:
    """Inside, no `model` is loaded; afterwards those that were there are there again."""
    path, others = list(sys.path), _taken_away()
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = path
        _taken_away()
        sys.modules.update(others)


def import_from(folder: Path, *names: str) -> list[ModuleType]:
    """Modules of the package in a folder, newly imported, under the package's own `model`."""
    sys.path.insert(0, str(folder))
    _import_root(folder)
    return [importlib.import_module(f"{ALIAS}.{name}") for name in names]


def strangers(folder: Path) -> list[str]:
    """Loaded modules `model` that do not lie in the folder."""
    files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    return [
        f"{name} ({file})"
        for name, file in files.items()
        if _is_model(name) and file and not Path(file).resolve().is_relative_to(folder)
    ]


def _import_root(folder: Path) -> None:
    start = folder / "__init__.py"
    spec = spec_from_file_location(ALIAS, start, submodule_search_locations=[str(folder)])
    if spec is None or spec.loader is None:
        raise ImportError(f"{start} cannot be imported")
    sys.modules[ALIAS] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[ALIAS])


def _taken_away() -> dict[str, ModuleType]:
    names = [name for name in sys.modules if _is_model(name) or name.partition(".")[0] == ALIAS]
    return {name: sys.modules.pop(name) for name in names}


def _is_model(name: str) -> bool:
    return name.partition(".")[0] == "model"
