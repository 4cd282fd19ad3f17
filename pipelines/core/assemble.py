"""From pipeline files to one `Pipeline`: names resolved, nested pipelines unfolded, joins checked.

What needs no code to run is checked here: unknown names, cycles, and events meeting once-values
the wrong way round. Shapes and dtypes are `describe`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from msgspec import structs

from diffpipe.cache.errors import PipelineError, UsageError, did_you_mean
from diffpipe.pipelines.core import entries, library, schema
from diffpipe.pipelines.core.companions import brought_by
from diffpipe.pipelines.core.entries import EVENTS
from diffpipe.pipelines.core.graph import in_order
from diffpipe.pipelines.core.joins import with_samples
from diffpipe.pipelines.core.model import (
    Dataset,
    OutputRef,
    Over,
    Parameter,
    Pipeline,
    Stage,
    Value,
)
from diffpipe.pipelines.core.parameters import with_values
from diffpipe.pipelines.core.schema import PipelineFile, StageEntry
from diffpipe.pipelines.core.scope import Scope, bound_parameters, check_name, references

_RESERVED = {"data", "inputs"}


@dataclass
class _Unfolding:
    """What has been gathered so far; names carry the prefix of the pipeline they stand in."""

    parameters: dict[str, Parameter] = field(default_factory=dict)
    data: dict[str, Dataset] = field(default_factory=dict)
    stages: dict[str, Stage] = field(default_factory=dict)


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
    _unfold(Scope(file, "", {}, {}, (path.resolve(),)), gathered)
    parameters = with_values(gathered.parameters, set_values or {})
    stages = in_order(file, _with_gpus(_recounted(gathered.stages, events), gpus))
    objective = _objective(file, stages)
    stages = with_samples(file, stages)
    check_name(file, ("pipeline",), file.name)
    return Pipeline(
        file.name, parameters, gathered.data, stages, objective, path, file.description.strip()
    )


def _unfold(scope: Scope, gathered: _Unfolding) -> None:
    file = scope.file
    for name, entry in file.parameters.items():
        if name not in scope.given_parameters:
            gathered.parameters[scope.prefix + name] = entries.parameter(scope, name, entry)
    for name, raw in file.data.items():
        gathered.data[scope.prefix + name] = entries.dataset(scope, name, raw)
    if file.events is not None:
        gathered.stages[scope.prefix + EVENTS] = entries.source(scope)
    for name, stage in file.stages.items():
        check_name(file, ("stages", name), name)
        if name in _RESERVED | {EVENTS}:
            raise file.fail(("stages", name), f"the name {name!r} is taken")
        if library.is_pipeline(stage.uses):
            _unfold(_inner(scope, name, stage), gathered)
        else:
            _add_stage(scope, name, entries.stage(scope, name, stage), gathered)


def _add_stage(scope: Scope, name: str, stage: Stage, gathered: _Unfolding) -> None:
    """Add a stage, after what it brings along."""
    brought = brought_by(scope, name, stage)
    if brought is not None:
        _unfold(brought.scope, gathered)
        stage = brought.stage
    gathered.stages[stage.name] = stage


def _inner(scope: Scope, name: str, entry: StageEntry) -> Scope:
    """The scope of a pipeline used as a stage."""
    place = ("stages", name)
    shipped = entry.uses in library.shipped()
    path = library.find(entry.uses) if shipped else scope.folder / entry.uses
    if path.resolve() in scope.above:
        raise scope.file.fail((*place, "uses"), f"{entry.uses} contains itself")
    if not path.is_file():
        raise scope.file.fail((*place, "uses"), f"there is no file {path}")
    inner = schema.read(path)
    given = bound_parameters(scope, (*place, "parameters"), entry.parameters)
    for local in given:
        if local not in inner.parameters:
            raise scope.file.fail(
                (*place, "parameters", local),
                f"{entry.uses} has no parameter {local!r}",
                did_you_mean(local, inner.parameters),
            )
    inputs = references(scope, (*place, "inputs"), entry.inputs)
    return Scope(inner, f"{scope.prefix}{name}.", inputs, given, (*scope.above, path.resolve()))


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
    return output_ref(file.objective, stages, file.where(("objective",)))


def output_ref(text: str, stages: Mapping[str, Stage], where: str) -> OutputRef:
    """The output that `stage.output` names; raises PipelineError for an unknown stage."""
    stage, _, output = text.rpartition(".")
    if stage not in stages:
        known = [f"{each}.{output or 'output'}" for each in stages]
        raise PipelineError(
            f"{where}: {text!r} names no stage's output", hint=did_you_mean(text, known)
        )
    return OutputRef(stage, output)
