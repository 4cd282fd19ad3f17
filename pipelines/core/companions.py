"""Companions: stages and data that a stage of the library brings along, as its options say.

A table that depends on options alone is a stage of its own: it is computed once and shared by
every run, whatever the parameters. A file that an option names is data: its content is in the key.
A function that an option names is a stage: its code is in the key, and gradients flow through it.

`registry.COMPANIONS` names for such a stage a function of plain values,

    companions(options, parameters, folder) -> mapping

of the stage's options, the local names of its parameters and the pipeline file's folder. What it
gives is read as a pipeline file is:

    stages, data   as there; parameters are the stage's own, by their local names
    inputs         further inputs of the stage
    parameters     the local names that the stage keeps; all, unless said
    options        the options that the stage keeps or gets; those it has, unless said. What is
                   unknown has to be kept: the stage refuses it

`kernels`, brought by the stage `pdf`, is the stage `pdf.kernels` of the pipeline.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from diffpipe.pipelines.core import functions, schema
from diffpipe.pipelines.core.model import Function, Stage
from diffpipe.pipelines.core.schema import CompanionsEntry
from diffpipe.pipelines.core.scope import Scope, bound_parameters, references
from diffpipe.pipelines.physics import registry


class Brought(NamedTuple):
    """What a stage brings along, to be unfolded, and the stage as it is beside it."""

    scope: Scope
    stage: Stage


def brought_by(scope: Scope, name: str, stage: Stage) -> Brought | None:
    """What a stage brings along, if it is one that does; raises PipelineError."""
    known = registry.COMPANIONS.get(str(stage.function))
    if known is None:
        return None
    place = ("stages", name)
    said = _asked(known, scope, place, stage)
    file, entry = schema.companions(scope.file, place, said)
    inner = Scope(file, f"{stage.name}.", stage.inputs, stage.parameters, scope.above)
    return Brought(inner, _beside(inner, entry, stage))


def _asked(known: str, scope: Scope, place: tuple[str, ...], stage: Stage) -> Mapping[str, Any]:
    """What the library's function says, with what it leaves unsaid."""
    module, _, function_name = known.partition(":")
    function = functions.load(Function(module, function_name))
    kept = {"parameters": list(stage.parameters), "options": dict(stage.options)}
    try:
        said = function(stage.options, list(stage.parameters), scope.folder)
    except (TypeError, ValueError) as error:
        raise scope.file.fail(place, str(error), getattr(error, "hint", None)) from error
    return {**kept, **said}


def _beside(inner: Scope, entry: CompanionsEntry, stage: Stage) -> Stage:
    for local in entry.inputs:
        if local in stage.inputs:
            text = f"the input {local!r} is one that the stage brings along itself"
            raise inner.file.fail(("inputs", local), text, "take it away")
    return replace(
        stage,
        inputs={**stage.inputs, **references(inner, ("inputs",), entry.inputs)},
        parameters=bound_parameters(inner, ("parameters",), entry.parameters),
        options=entry.options,
    )
