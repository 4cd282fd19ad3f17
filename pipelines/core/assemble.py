"""From pipeline files to one `Pipeline`: names resolved, nested pipelines unfolded, joins checked.

What needs no code to run is checked here: unknown names, cycles, and events meeting once-values
the wrong way round. Shapes and dtypes are `describe`'s.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from msgspec import structs

from diffpipe.cache.errors import PipelineError, UsageError, did_you_mean
from diffpipe.pipelines.core import functions, library, resources, schema
from diffpipe.pipelines.core.functions import locate
from diffpipe.pipelines.core.graph import in_order
from diffpipe.pipelines.core.joins import with_samples
from diffpipe.pipelines.core.model import (
    Checkpoint,
    DataRef,
    Dataset,
    Function,
    Output,
    OutputRef,
    Over,
    Parameter,
    Pipeline,
    Ref,
    Sample,
    Stage,
    Value,
)
from diffpipe.pipelines.core.packages import folders, sources
from diffpipe.pipelines.core.parameters import as_value, with_values
from diffpipe.pipelines.core.resources import Resources
from diffpipe.pipelines.core.schema import PipelineFile, StageEntry
from diffpipe.pipelines.core.units import check_unit
from diffpipe.pipelines.physics import registry

EVENTS = "events"
_NAME = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)
_PARAMETER_NAME = re.compile(r"[A-Za-z_]\w{0,63}(\.[A-Za-z_]\w{0,63}){0,7}", re.ASCII)
_RESERVED = {"data", "inputs"}


@dataclass
class _Unfolding:
    """What has been gathered so far; names carry the prefix of the pipeline they stand in."""

    parameters: dict[str, Parameter] = field(default_factory=dict)
    data: dict[str, Dataset] = field(default_factory=dict)
    stages: dict[str, Stage] = field(default_factory=dict)


@dataclass(frozen=True)
class _Scope:
    """One pipeline file at its place: its prefix, and what the outer pipeline gives it."""

    file: PipelineFile
    prefix: str
    given_inputs: Mapping[str, Ref]
    given_parameters: Mapping[str, str]
    above: tuple[Path, ...]

    @property
    def folder(self) -> Path:
        return self.file.path.parent

    def parameter(self, name: str) -> str:
        """The full name of a parameter of this file."""
        return self.given_parameters.get(name, self.prefix + name)


def assemble(
    path: Path,
    *,
    set_values: Mapping[str, Value] | None = None,
    events: int | None = None,
    gpus: int | None = None,
) -> Pipeline:
    """The pipeline of a file, with values from the command line; raises PipelineError, UsageError.

    events: another number of events for every sample; shards and blocks keep their size. gpus:
    another number of GPUs for every stage over events.
    """
    file = schema.read(path)
    gathered = _Unfolding()
    _unfold(_Scope(file, "", {}, {}, (path.resolve(),)), gathered)
    parameters = with_values(gathered.parameters, set_values or {})
    stages = in_order(file, _with_gpus(_recounted(gathered.stages, events), gpus))
    objective = _objective(file, stages)
    stages = with_samples(file, stages)
    _check_name(file, ("pipeline",), file.name)
    return Pipeline(
        file.name, parameters, gathered.data, stages, objective, path, file.description.strip()
    )


def _unfold(scope: _Scope, gathered: _Unfolding) -> None:
    file = scope.file
    for name, entry in file.parameters.items():
        if name not in scope.given_parameters:
            gathered.parameters[scope.parameter(name)] = _parameter(scope, name, entry)
    for name, raw in file.data.items():
        gathered.data[scope.prefix + name] = _dataset(scope, name, raw)
    if file.events is not None:
        gathered.stages[scope.prefix + EVENTS] = _source(scope)
    for name, stage in file.stages.items():
        _check_name(file, ("stages", name), name)
        if name in _RESERVED | {EVENTS}:
            raise file.fail(("stages", name), f"the name {name!r} is taken")
        if library.is_pipeline(stage.uses):
            _unfold(_inner(scope, name, stage), gathered)
        else:
            gathered.stages[scope.prefix + name] = _stage(scope, name, stage)


def _check_name(file: PipelineFile, place: tuple[str, ...], name: str) -> None:
    if not _NAME.fullmatch(name):
        raise file.fail(
            place, f"the name {name!r} is not letters, digits and _ (at most 64)", "rename it"
        )


def _parameter(scope: _Scope, name: str, entry: schema.ParameterEntry) -> Parameter:
    place = ("parameters", name)
    if not _PARAMETER_NAME.fullmatch(name):
        raise scope.file.fail(place, f"the name {name!r} is not words joined by dots")
    value = as_value(entry.value)
    if value is None:
        raise scope.file.fail(
            (*place, "value"),
            f"{entry.value!r} is not a finite number, or a rectangular list of them",
        )
    unit = check_unit(entry.unit, f"{scope.file.path}: {'.'.join(place)}")
    return Parameter(scope.prefix + name, value, unit, entry.fit, entry.bounds)


def _dataset(scope: _Scope, name: str, raw: Mapping[str, Any]) -> Dataset:
    place = ("data", name)
    _check_name(scope.file, place, name)
    reader = raw.get("reader")
    if not isinstance(reader, str) or "path" not in raw:
        raise scope.file.fail(place, "a dataset needs `reader` and `path`")
    words = {word: value for word, value in raw.items() if word not in ("reader", "options")}
    files = {word: _file(scope, (*place, word), value) for word, value in words.items()}
    options = raw.get("options", {})
    if not isinstance(options, dict):
        raise scope.file.fail((*place, "options"), f"{options!r} is not a mapping")
    where = _where(scope.file, place)
    function = functions.find(reader, registry.READERS, scope.folder, where)
    return Dataset(scope.prefix + name, function, files, options)


def _file(scope: _Scope, place: tuple[str, ...], value: object) -> Path:
    if not isinstance(value, str) or not (scope.folder / value).is_file():
        raise scope.file.fail(place, f"there is no file {value!r} in {scope.folder}")
    return scope.folder / value


def _source(scope: _Scope) -> Stage:
    entry = scope.file.events
    assert entry is not None
    if "path" in entry.options:
        raise scope.file.fail(
            (EVENTS, "options", "path"),
            "a file is no option, since its content counts",
            "write path: beside uses:",
        )
    where = _where(scope.file, (EVENTS, "uses"))
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


def _stage(scope: _Scope, name: str, entry: StageEntry) -> Stage:
    place = ("stages", name)
    if not isinstance(entry.over, str):
        raise scope.file.fail(place, "`over` is missing", "write over: events or over: once")
    where = _where(scope.file, (*place, "uses"))
    function = functions.find(entry.uses, registry.STAGES, scope.folder, where)
    packages = _packages(scope, place, function, entry)
    return Stage(
        name=scope.prefix + name,
        function=function,
        over=Over(entry.over),
        inputs={local: _ref(scope, name, local, ref) for local, ref in entry.inputs.items()},
        parameters=_bound_parameters(scope, name, entry),
        outputs=_outputs(scope, place, entry.outputs),
        options=entry.options,
        packages={word: path for word, path in packages.items() if word in entry.options},
        files=sources(packages),
        checkpoint=Checkpoint(entry.checkpoint),
        framework=entry.framework,
        resources=_resources(scope, place, entry),
    )


def _packages(
    scope: _Scope, place: tuple[str, ...], function: Function, entry: StageEntry
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


def _resources(scope: _Scope, place: tuple[str, ...], entry: StageEntry) -> Resources:
    try:
        return resources.parse(entry.resources)
    except ValueError as error:
        raise scope.file.fail((*place, "resources"), str(error)) from error


def _inner(scope: _Scope, name: str, entry: StageEntry) -> _Scope:
    """The scope of a pipeline used as a stage."""
    shipped = entry.uses in library.shipped()
    path = library.find(entry.uses) if shipped else scope.folder / entry.uses
    if path.resolve() in scope.above:
        raise scope.file.fail(("stages", name, "uses"), f"{entry.uses} contains itself")
    if not path.is_file():
        raise scope.file.fail(("stages", name, "uses"), f"there is no file {path}")
    inner = schema.read(path)
    given = _bound_parameters(scope, name, entry)
    for local in given:
        if local not in inner.parameters:
            place = ("stages", name, "parameters", local)
            raise scope.file.fail(
                place,
                f"{entry.uses} has no parameter {local!r}",
                did_you_mean(local, inner.parameters),
            )
    inputs = {local: _ref(scope, name, local, ref) for local, ref in entry.inputs.items()}
    return _Scope(inner, f"{scope.prefix}{name}.", inputs, given, (*scope.above, path.resolve()))


def _bound_parameters(scope: _Scope, name: str, entry: StageEntry) -> dict[str, str]:
    """Local name -> full name; patterns such as pdf.* are unfolded in the file's order."""
    if isinstance(entry.parameters, dict):
        pairs = list(entry.parameters.items())
    else:
        pairs = [(each, each) for each in _matching(scope, entry.parameters)]
    for _, known in pairs:
        _require_parameter(scope, name, known)
    return {local: scope.parameter(known) for local, known in pairs}


def _matching(scope: _Scope, patterns: Iterable[str]) -> list[str]:
    chosen: list[str] = []
    for pattern in patterns:
        wild = any(sign in pattern for sign in "*?[")
        matches = [each for each in scope.file.parameters if fnmatchcase(each, pattern)]
        chosen += matches if wild and matches else [pattern]
    return list(dict.fromkeys(chosen))


def _require_parameter(scope: _Scope, stage: str, name: str) -> None:
    if name not in scope.file.parameters:
        place = ("stages", stage, "parameters")
        hint = did_you_mean(name, scope.file.parameters)
        raise scope.file.fail(place, f"unknown parameter {name!r}", hint)


def _ref(scope: _Scope, stage: str, local: str, text: str) -> Ref:
    place = ("stages", stage, "inputs", local)
    if not _NAME.fullmatch(local):
        raise scope.file.fail(place, f"the name {local!r} is not letters, digits and _")
    head, _, rest = text.partition(".")
    if not rest:
        raise scope.file.fail(place, f"{text!r} is not stage.output, data.name or inputs.name")
    if head == "inputs":
        return _given_input(scope, place, rest)
    if head == "data":
        return _data_ref(scope, place, rest)
    producer, _, output = text.rpartition(".")
    return OutputRef(scope.prefix + producer, output)


def _given_input(scope: _Scope, place: tuple[str, ...], name: str) -> Ref:
    if name not in scope.given_inputs:
        hint = "it is given where this pipeline is used as a stage: inputs: {" + name + ": ...}"
        raise scope.file.fail(place, f"the input {name!r} of the pipeline is not given", hint)
    return scope.given_inputs[name]


def _data_ref(scope: _Scope, place: tuple[str, ...], text: str) -> DataRef:
    name, _, column = text.partition(".")
    if name not in scope.file.data:
        hint = did_you_mean(name, scope.file.data)
        raise scope.file.fail(place, f"unknown dataset {name!r}", hint)
    return DataRef(scope.prefix + name, column or None)


def _outputs(
    scope: _Scope, place: tuple[str, ...], entries: Mapping[str, schema.OutputEntry]
) -> dict[str, Output]:
    declared = {}
    for name, entry in entries.items():
        where = (*place, "outputs", name)
        if not _NAME.fullmatch(name):
            raise scope.file.fail(where, f"the name {name!r} is not letters, digits and _")
        unit = check_unit(entry.unit, _where(scope.file, where))
        declared[name] = Output(unit, entry.sum, entry.constant, entry.shape, entry.dtype)
    return declared


def _where(file: PipelineFile, place: tuple[str, ...]) -> str:
    return f"{file.path}: {'.'.join(place)}"


def _recounted(stages: dict[str, Stage], events: int | None) -> dict[str, Stage]:
    if events is None:
        return stages
    if events < 1:
        raise UsageError(f"--events {events}: at least one event is needed")
    return {
        name: replace(stage, sample=replace(stage.sample, count=events)) if stage.sample else stage
        for name, stage in stages.items()
    }


def _with_gpus(stages: dict[str, Stage], gpus: int | None) -> dict[str, Stage]:
    if gpus is None:
        return stages
    return {
        name: replace(stage, resources=structs.replace(stage.resources, gpus=gpus))
        if stage.over is Over.EVENTS and not stage.source
        else stage
        for name, stage in stages.items()
    }


def _objective(file: PipelineFile, stages: Mapping[str, Stage]) -> OutputRef | None:
    if file.objective is None:
        return None
    return output_ref(file.objective, stages, _where(file, ("objective",)))


def output_ref(text: str, stages: Mapping[str, Stage], where: str) -> OutputRef:
    """The output that `stage.output` names; raises PipelineError for an unknown stage."""
    stage, _, output = text.rpartition(".")
    if stage not in stages:
        known = [f"{each}.{output or 'output'}" for each in stages]
        raise PipelineError(
            f"{where}: {text!r} names no stage's output", hint=did_you_mean(text, known)
        )
    return OutputRef(stage, output)
