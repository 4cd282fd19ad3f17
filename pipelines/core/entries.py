"""From one entry of a pipeline file to the value of the model that it stands for."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffpipe.cache.errors import PipelineError
from diffpipe.pipelines.core import functions, resources, schema
from diffpipe.pipelines.core.functions import locate
from diffpipe.pipelines.core.model import (
    Checkpoint,
    Dataset,
    Function,
    Output,
    Over,
    Parameter,
    Sample,
    Stage,
)
from diffpipe.pipelines.core.packages import folders, sources
from diffpipe.pipelines.core.parameters import as_value
from diffpipe.pipelines.core.resources import Resources
from diffpipe.pipelines.core.schema import StageEntry
from diffpipe.pipelines.core.scope import (
    Scope,
    bound_parameters,
    check_name,
    is_name,
    references,
)
from diffpipe.pipelines.core.targets import Program, Service
from diffpipe.pipelines.core.units import check_unit
from diffpipe.pipelines.core.ways import way
from diffpipe.pipelines.physics import registry

EVENTS = "events"
_PARAMETER_NAME = re.compile(r"[A-Za-z_]\w{0,63}(\.[A-Za-z_]\w{0,63}){0,7}", re.ASCII)


def parameter(scope: Scope, name: str, entry: schema.ParameterEntry) -> Parameter:
    """A parameter of the file; raises PipelineError."""
    place = ("parameters", name)
    if not _PARAMETER_NAME.fullmatch(name):
        raise scope.file.fail(place, f"the name {name!r} is not words joined by dots")
    value = as_value(entry.value)
    if value is None:
        raise scope.file.fail(
            (*place, "value"),
            f"{entry.value!r} is not a finite number, or a rectangular list of them",
        )
    unit = check_unit(entry.unit, scope.file.where(place))
    prior = None if entry.prior is None else (value, entry.prior)
    return Parameter(scope.prefix + name, value, unit, entry.fit, entry.bounds, prior)


def dataset(scope: Scope, name: str, raw: Mapping[str, Any]) -> Dataset:
    """A dataset of the file, its files found; raises PipelineError."""
    place = ("data", name)
    check_name(scope.file, place, name)
    reader = raw.get("reader")
    if not isinstance(reader, str) or "path" not in raw:
        raise scope.file.fail(place, "a dataset needs `reader` and `path`")
    words = {word: value for word, value in raw.items() if word not in ("reader", "options")}
    files = {word: _file(scope, (*place, word), value) for word, value in words.items()}
    options = raw.get("options", {})
    if not isinstance(options, dict):
        raise scope.file.fail((*place, "options"), f"{options!r} is not a mapping")
    where = scope.file.where(place)
    function = functions.find(reader, registry.READERS, scope.folder, where)
    return Dataset(scope.prefix + name, function, files, options)


def source(scope: Scope) -> Stage:
    """The event source of the file; raises PipelineError."""
    entry = scope.file.events
    assert entry is not None
    if "path" in entry.options:
        raise scope.file.fail(
            (EVENTS, "options", "path"),
            "a file is no option, since its content counts",
            "write path: beside uses:",
        )
    where = scope.file.where((EVENTS, "uses"))
    function = functions.find(entry.uses, registry.SOURCES, scope.folder, where)
    return Stage(
        name=scope.prefix + EVENTS,
        function=function,
        over=Over.EVENTS,
        outputs=_outputs(scope, (EVENTS,), entry.outputs),
        options=entry.options,
        sample=Sample(entry.count, entry.shard, entry.seed, entry.block),
        source=True,
        files={} if entry.path is None else {"path": _file(scope, (EVENTS, "path"), entry.path)},
    )


def stage(scope: Scope, name: str, entry: StageEntry) -> Stage:
    """A stage of the file that is a function; raises PipelineError."""
    place = ("stages", name)
    if not isinstance(entry.over, str):
        raise scope.file.fail(place, "`over` is missing", "write over: events or over: once")
    inputs = references(scope, (*place, "inputs"), entry.inputs)
    parameters = bound_parameters(scope, (*place, "parameters"), entry.parameters)
    framework, function, derivative, steps, has_jvp = way(
        scope, name, entry, [*parameters, *inputs]
    )
    packages = _packages(scope, place, function, entry)
    return Stage(
        name=scope.prefix + name,
        function=function,
        over=Over(entry.over),
        inputs=inputs,
        parameters=parameters,
        outputs=_outputs(scope, place, entry.outputs),
        options=entry.options,
        packages={word: path for word, path in packages.items() if word in entry.options},
        files=function.sources if isinstance(function, Program) else sources(packages),
        checkpoint=Checkpoint(entry.checkpoint),
        framework=framework,
        derivative=derivative,
        steps=steps,
        has_jvp=has_jvp,
        resources=_resources(scope, place, entry),
    )


def _file(scope: Scope, place: tuple[str, ...], value: object) -> Path:
    if not isinstance(value, str) or not (scope.folder / value).is_file():
        raise scope.file.fail(place, f"there is no file {value!r} in {scope.folder}")
    return scope.folder / value


def _outputs(
    scope: Scope, place: tuple[str, ...], entries: Mapping[str, schema.OutputEntry]
) -> dict[str, Output]:
    declared = {}
    for name, entry in entries.items():
        where = (*place, "outputs", name)
        if not is_name(name):
            raise scope.file.fail(where, f"the name {name!r} is not letters, digits and _")
        unit = check_unit(entry.unit, scope.file.where(where))
        declared[name] = Output(unit, entry.sum, entry.constant, entry.shape, entry.dtype)
    return declared


def _packages(
    scope: Scope,
    place: tuple[str, ...],
    function: Function | Program | Service,
    entry: StageEntry,
) -> dict[str, Path]:
    """The folders of the packages that the options name, and of what these run on."""
    known = registry.PACKAGES.get(str(function), {})
    try:
        named = folders(entry.options, known, scope.folder)
    except PipelineError as error:
        raise scope.file.fail((*place, "options"), error.message) from error
    below = {known[word]: locate(known[word], None) for word in named}
    return named | {
        name: Path(spec.origin).parent for name, spec in below.items() if spec and spec.origin
    }


def _resources(scope: Scope, place: tuple[str, ...], entry: StageEntry) -> Resources:
    try:
        return resources.parse(entry.resources)
    except ValueError as error:
        raise scope.file.fail((*place, "resources"), str(error)) from error
