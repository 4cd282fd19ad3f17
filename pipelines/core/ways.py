"""Ways: how a stage is run and differentiated, from what its entry in the pipeline file says.

A Python function (`module:function`) is run by jax, torch, tensorflow or numpy; a program by
command; a model that is served by umbridge or tesseract.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from diffpipe.cache.errors import did_you_mean
from diffpipe.pipelines.core import functions, resources, schema
from diffpipe.pipelines.core.code import defined
from diffpipe.pipelines.core.model import Checkpoint, Derivative, Function
from diffpipe.pipelines.core.schema import FrameworkEntry, StageEntry
from diffpipe.pipelines.core.scope import Scope
from diffpipe.pipelines.core.targets import Program, Service
from diffpipe.pipelines.physics import registry

# framework -> what `framework:` may say of it beside its name
SETTINGS: Mapping[str, tuple[str, ...]] = {
    "jax": (),
    "torch": (),
    "tensorflow": (),
    "numpy": (),
    "command": ("timeout", "arguments", "files", "jvp"),
    "umbridge": ("timeout", "retries", "arguments", "model", "version", "jvp"),
    "tesseract": ("timeout", "retries", "arguments", "version", "jvp"),
}
# those that find shapes without running a stage; the others need them declared
TRACED = ("jax", "torch", "tensorflow")
SERVED = ("umbridge", "tesseract")
BENT = ("jax", "torch", "tensorflow")  # those with second derivatives
KEEPING = ("jax",)  # those whose residuals can be stored


class Way(NamedTuple):
    """What a stage is, how it is run, and what is known of its derivatives."""

    framework: str
    function: Function | Program | Service
    derivative: Derivative
    steps: Mapping[str, float]
    has_jvp: bool


def way(scope: Scope, name: str, entry: StageEntry, given: list[str]) -> Way:
    """How the file says that a stage is run and differentiated; raises PipelineError.

    given: the local names of its parameters and inputs, in order.
    """
    said = schema.framework(scope.file, name, entry)
    _check(scope, name, entry, said)
    function: Function | Program | Service
    if said.name == "command":
        function = _program(scope, name, entry, said)
    elif said.name in SERVED:
        function = _service(scope, name, entry, said, given)
    else:
        where = scope.file.where(("stages", name, "uses"))
        function = functions.find(entry.uses, registry.STAGES, scope.folder, where)
    derivative, steps = _derivative(scope, name, entry, said, function, given)
    has_jvp = derivative is Derivative.DIFFERENCES or _has_jvp(said, function)
    return Way(said.name, function, derivative, steps, has_jvp)


def _check(scope: Scope, name: str, entry: StageEntry, said: FrameworkEntry) -> None:
    place = ("stages", name, "framework")
    if said.name not in SETTINGS:
        hint = did_you_mean(said.name, SETTINGS)
        raise scope.file.fail(place, f"unknown framework {said.name!r}", hint)
    given = {word for word in FrameworkEntry.__struct_fields__ if getattr(said, word)} - {"name"}
    for word in sorted(given - set(SETTINGS[said.name])):
        known = ", ".join(SETTINGS[said.name]) or "no settings"
        raise scope.file.fail((*place, word), f"{said.name} takes {known}, not {word!r}")
    if said.name not in TRACED and not entry.outputs:
        text = f"shapes cannot be found without running a stage of {said.name}"
        hint = "declare every output: outputs: {y: {shape: [3], dtype: float64}}, {} for numbers"
        raise scope.file.fail(("stages", name), text, hint)
    if said.name != "jax":
        _check_for_jax_alone(scope, name, entry)


def _check_for_jax_alone(scope: Scope, name: str, entry: StageEntry) -> None:
    if entry.checkpoint == Checkpoint.RESIDUALS:
        hint = "write checkpoint: recompute; the pullback runs the stage again"
        text = "residuals can be stored for stages of jax alone"
        raise scope.file.fail(("stages", name, "checkpoint"), text, hint)
    for output, each in entry.outputs.items():
        if each.constant:
            place = ("stages", name, "outputs", output, "constant")
            text = "that an output is constant can be checked for stages of jax alone"
            raise scope.file.fail(place, text, "write derivative: stop for the whole stage")


def _program(scope: Scope, name: str, entry: StageEntry, said: FrameworkEntry) -> Program:
    place, folder = ("stages", name), scope.folder
    beside = folder / entry.uses
    found = str(beside) if beside.is_file() else shutil.which(entry.uses)
    if found is None:
        text = f"there is no program {entry.uses!r} in {folder} or on the PATH"
        raise scope.file.fail((*place, "uses"), text, "build it first, or name where it is")
    if not os.access(found, os.X_OK):
        text = f"{found} may not be executed"
        raise scope.file.fail((*place, "uses"), text, f"chmod +x {found}")
    if not isinstance(said.arguments, list):
        raise scope.file.fail((*place, "framework", "arguments"), "these are a list of words")
    files = {each: folder / each for each in [*said.arguments, *said.files]}
    for each in said.files:
        if not files[each].is_file():
            text = f"there is no file {each!r} in {folder}"
            raise scope.file.fail((*place, "framework", "files"), text)
    there = {each: str(path.resolve()) for each, path in files.items() if path.is_file()}
    return Program(
        uses=entry.uses,
        path=str(Path(found).absolute()),  # a link may be what tells a program its surroundings
        arguments=said.arguments,
        files=there,
        **_given(scope, name, said, jvp="has_jvp"),
    )


def _service(
    scope: Scope, name: str, entry: StageEntry, said: FrameworkEntry, given: list[str]
) -> Service:
    place = ("stages", name)
    if not entry.uses.startswith(("http://", "https://")):
        text = f"{entry.uses!r} is no address of a service"
        raise scope.file.fail((*place, "uses"), text, 'write uses: "http://localhost:4242"')
    arguments = said.arguments or given
    if not isinstance(arguments, dict):
        arguments = {each: each for each in arguments}
    if sorted(arguments) != sorted(given):
        text = f"{', '.join(arguments)} are not the stage's parameters and inputs"
        hint = f"name each of them once: {', '.join(given)}"
        raise scope.file.fail((*place, "framework", "arguments"), text, hint)
    return Service(
        address=entry.uses.rstrip("/"),
        model=said.model or "forward",
        arguments=arguments,
        **_given(scope, name, said, version="version", retries="retries"),
    )


def _given(scope: Scope, name: str, said: FrameworkEntry, **fields: str) -> dict[str, Any]:
    """The settings that the file gives, by the names of the target's fields."""
    found = {field: getattr(said, word) for word, field in fields.items()}
    found = {field: value for field, value in found.items() if value is not None}
    if said.timeout is None:
        return found
    try:
        return found | {"seconds": resources.seconds(said.timeout, "timeout")}
    except ValueError as error:
        raise scope.file.fail(("stages", name, "framework", "timeout"), str(error)) from error


def _derivative(
    scope: Scope,
    name: str,
    entry: StageEntry,
    said: FrameworkEntry,
    function: Function | Program | Service,
    given: list[str],
) -> tuple[Derivative, Mapping[str, float]]:
    place = ("stages", name, "derivative")
    asked = schema.derivative(scope.file, name, entry)
    written = _is_written("vjp", said, function)
    if asked is None:
        return (Derivative.EXACT if written else Derivative.NONE), {}
    if asked.by == Derivative.EXACT and not written:
        text = f"there is no hand-written VJP beside {function}: a function vjp_<its name>"
        raise scope.file.fail(place, text, "write it, or derivative: finite-difference")
    if asked.step and asked.by != Derivative.DIFFERENCES:
        raise scope.file.fail((*place, "step"), "only finite differences have steps")
    for local in asked.step:
        if local not in given:
            hint = did_you_mean(local, given)
            raise scope.file.fail((*place, "step"), f"unknown parameter or input {local!r}", hint)
    return Derivative(asked.by), asked.step


def _has_jvp(said: FrameworkEntry, function: Function | Program | Service) -> bool:
    if said.name == "command":
        return bool(said.jvp)
    return said.jvp is not False and _is_written("jvp", said, function)


def _is_written(what: str, said: FrameworkEntry, function: Function | Program | Service) -> bool:
    """Whether a derivative is there: numpy's stands beside the function, others find theirs."""
    if said.name != "numpy" or not isinstance(function, Function):
        return True
    return f"{what}_{function.name}" in defined(function)
