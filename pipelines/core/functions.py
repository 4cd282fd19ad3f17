"""Code by name: from `uses:` to a module and a function, and from there to the function itself.

A bare name is looked up in a registry; `module:function` is code of the user's own, found in the
pipeline file's folder or installed.
"""

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from diffpipe.cache.errors import PipelineError, did_you_mean
from diffpipe.pipelines.core.model import Function

_USES = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")


def find(uses: str, registry: Mapping[str, str], folder: Path, where: str) -> Function:
    """The function that `uses` names; raises PipelineError with the nearest known names."""
    match = _USES.fullmatch(registry.get(uses, uses))
    if match is None:
        raise PipelineError(
            f"{where}: unknown {uses!r}",
            hint=f"{did_you_mean(uses, registry)} (own code is written module:function)",
        )
    return Function(match.group(1), match.group(2), None if uses in registry else folder)


def load(function: Function) -> Callable[..., Any]:
    """Import the function; raises PipelineError where module or function is not there."""
    module = _import(function)
    try:
        found: Callable[..., Any] = getattr(module, function.name)
    except AttributeError as error:
        names = [name for name in vars(module) if not name.startswith("_")]
        raise PipelineError(
            f"module {function.module} has no function {function.name}",
            hint=did_you_mean(function.name, names),
        ) from error
    return found


@cache
def locate(module: str, folder: Path | None) -> ModuleSpec | None:
    """Where a module would be imported from, without importing it or its parents."""
    parent = module.rpartition(".")[0]
    if not parent:
        return _find_spec(module, None, folder)
    package = locate(parent, folder)
    if package is None or package.submodule_search_locations is None:
        return None
    return _find_spec(module, list(package.submodule_search_locations), folder)


def _find_spec(name: str, path: list[str] | None, folder: Path | None) -> ModuleSpec | None:
    if path is None and folder is not None:
        local = PathFinder.find_spec(name, [str(folder)])
        if local is not None and local.origin is not None:  # a module or package of the folder
            return local
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path) if hasattr(finder, "find_spec") else None
        if spec is not None:
            return spec
    return None


def _import(function: Function) -> Any:
    if function.folder is not None:
        _prefer(function.folder, function.module.split(".")[0])
    try:
        return importlib.import_module(function.module)
    except Exception as error:
        raise PipelineError(
            f"cannot import {function.module}: {type(error).__name__}: {error}",
            hint=f"looked for in {function.folder or 'diffpipe'} and among installed packages",
        ) from error


def _prefer(folder: Path, top: str) -> None:
    """Make imports look in this folder first, and forget a namesake from another folder."""
    text = str(folder)
    if text in sys.path:
        sys.path.remove(text)
    sys.path.insert(0, text)
    loaded = sys.modules.get(top)
    if loaded is not None and PathFinder.find_spec(top, [text]) and not _lies_in(loaded, folder):
        for name in [name for name in sys.modules if name == top or name.startswith(f"{top}.")]:
            del sys.modules[name]
    importlib.invalidate_caches()


def _lies_in(module: Any, folder: Path) -> bool:
    origin = getattr(module, "__file__", None)
    return origin is not None and Path(origin).is_relative_to(folder)
