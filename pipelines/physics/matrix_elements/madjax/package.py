"""A package that MadGraph's madjax plugin generated, loaded apart from all others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from diffpipe.pipelines.physics.matrix_elements.madjax import isolation, slha
from diffpipe.pipelines.physics.matrix_elements.madjax.calls import lenient
from diffpipe.pipelines.physics.matrix_elements.madjax.finding import Finding
from diffpipe.pipelines.physics.matrix_elements.madjax.installed import import_madjax, part
from diffpipe.pipelines.physics.matrix_elements.madjax.repair import repair
from diffpipe.pipelines.physics.refusal import RefusedError

PREFIX = "Matrix_"
PROCESSES, PARAMETERS = "processes.all_processes", "model.parameters"
OUTPUT = (
    "a package is the folder that MadGraph writes for `output madjax <folder>`, started with "
    "--mode=madjax_me_gen; it is given by its path, or by name where it can be imported"
)


@dataclass(frozen=True, eq=False)
class Package:
    """The code of a package: its classes by name, its parameters, what legs are wrapped in.

    source: the text of the classes; entries: what `parameters` looks up in an SLHA card.
    """

    name: str
    folder: Path
    source: str
    processes: Mapping[str, type]
    parameters: Callable[[Mapping[slha.Entry, Any]], Mapping[str, Any]]
    vector: Callable[[Any], Any]
    entries: frozenset[slha.Entry]
    findings: tuple[Finding, ...]


def load(name: str) -> Package:
    """The package of a folder or of a module of that name; madjax is looked at, repaired before.

    Nothing stays on sys.path, and no module `model` in sys.modules. RefusedError if madjax or the
    package is not there, or cannot be imported.
    """
    findings = (import_madjax(), *repair())
    vector = part("madjax.phasespace.vectors").LorentzVector
    with isolation.alone():
        folder = _folder(name)
        found, parameters = _imported(folder)
        isolated = _isolated(folder)
    with lenient():
        read = slha.read_by(parameters.calculate_full_parameters)
    return Package(
        name,
        folder,
        (folder / "processes" / "all_processes.py").read_text(),
        {key: value for key, value in vars(found).items() if key.startswith(PREFIX)},
        parameters.calculate_full_parameters,
        vector,
        read,
        (*findings, isolated, _names(read)),
    )


def _folder(name: str) -> Path:
    path = Path(name).expanduser()
    if path.is_dir():
        return path.resolve()
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise RefusedError(f"there is neither a folder nor a package {name!r}", hint=OUTPUT)
    return Path(next(iter(spec.submodule_search_locations))).resolve()


def _imported(folder: Path) -> list[ModuleType]:
    """The package's classes and parameters; RefusedError if it is none."""
    for module in ("__init__", PROCESSES, PARAMETERS):
        file = f"{module.replace('.', '/')}.py"
        if not (folder / file).is_file():
            raise RefusedError(f"{folder} is no madjax package: it has no {file}", hint=OUTPUT)
    try:
        return isolation.import_from(folder, PROCESSES, PARAMETERS)
    except Exception as error:
        raise RefusedError(
            f"importing the madjax package {folder} fails: {type(error).__name__}: {error}",
            hint="generate it anew with a plugin and a madjax of the same version; models other "
            "than the Standard Model often come out as invalid code",
        ) from error


def _isolated(folder: Path) -> Finding:
    strangers = isolation.strangers(folder)
    if strangers:
        raise RefusedError(
            f"the madjax package {folder} imports vertex routines that are not its own: "
            f"{', '.join(strangers)}",
            hint="use one process per package",
        )
    text = "packages collide in a module `model`: this one was imported apart from all others"
    return Finding("model modules", "repaired", text)


def _names(read: frozenset[slha.Entry]) -> Finding:
    fixed = [name for entry, name in slha.ENTRIES.items() if entry not in read]
    text = "the package ignores names it does not know: they are refused here"
    if fixed:
        text += f"; {', '.join(fixed)} are fixed in its model"
    return Finding("parameter names", "repaired", text)
