"""Packages that an option of a stage names: code whose content counts, like the stage's own."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from diffpipe.cache.errors import PipelineError
from diffpipe.pipelines.core.functions import locate


def folders(options: Mapping[str, Any], words: Iterable[str], folder: Path) -> dict[str, Path]:
    """Option -> the folder of the package it names: a path, or a module that can be imported.

    Raises PipelineError where there is neither.
    """
    return {word: _folder(str(options[word]), folder) for word in words if word in options}


def _folder(name: str, folder: Path) -> Path:
    path = folder / Path(name).expanduser()
    if path.is_dir():
        return path.resolve()
    spec = locate(name, folder) if name.replace(".", "").isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise PipelineError(f"there is neither a folder nor a package {name!r} in {folder}")
    return Path(next(iter(spec.submodule_search_locations))).resolve()


def sources(packages: Mapping[str, Path]) -> dict[str, Path]:
    """All Python files of the packages, by option and place: what their content's digest is of."""
    return {
        f"{word}/{path.relative_to(folder).as_posix()}": path
        for word, folder in packages.items()
        for path in sorted(folder.rglob("*.py"))
    }
