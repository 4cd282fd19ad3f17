"""The graph of stages: an order to run in, and who uses what."""

from collections.abc import Collection, Iterator, Mapping

from diffpipe.cache.errors import PipelineError, did_you_mean
from diffpipe.pipelines.core.model import OutputRef, Pipeline, Stage
from diffpipe.pipelines.core.schema import PipelineFile


def in_order(file: PipelineFile, stages: Mapping[str, Stage]) -> dict[str, Stage]:
    """The stages, each after those it reads; the file's order otherwise. Refuses cycles."""
    ordered: dict[str, Stage] = {}
    path: list[str] = []

    def visit(name: str) -> None:
        if name in path:
            cycle = " -> ".join([*path[path.index(name) :], name])
            raise file.fail(("stages", *name.split(".")), f"a cycle: {cycle}")
        if name in ordered:
            return
        path.append(name)
        for local, ref in stages[name].output_inputs():
            _require_stage(file, stages, name, local, ref)
            visit(ref.stage)
        ordered[path.pop()] = stages[name]

    try:
        for name in stages:
            visit(name)
    except RecursionError as error:
        raise PipelineError(f"{file.path}: a chain of {len(path)} stages is too long") from error
    return ordered


def _require_stage(
    file: PipelineFile, stages: Mapping[str, Stage], name: str, local: str, ref: OutputRef
) -> None:
    if ref.stage not in stages:
        hint = did_you_mean(str(ref), [f"{each}.{ref.output}" for each in stages])
        place = ("stages", *name.split("."), "inputs", local)
        raise file.fail(place, f"unknown stage {ref.stage!r} in {str(ref)!r}", hint)


def consumers(pipeline: Pipeline, ref: OutputRef) -> Iterator[tuple[Stage, str]]:
    """The stages that read an output, in order, each with the local name of its input."""
    for stage in pipeline.stages.values():
        for local, each in stage.output_inputs():
            if each == ref:
                yield stage, local


def used_outputs(pipeline: Pipeline, stage: str) -> list[str]:
    """The outputs of a stage that some stage reads, in order of first use, then the objective."""
    refs = [ref for each in pipeline.stages.values() for _, ref in each.output_inputs()]
    refs += [pipeline.objective] if pipeline.objective else []
    return list(dict.fromkeys(ref.output for ref in refs if ref.stage == stage))


def above(pipeline: Pipeline, stage: str) -> set[str]:
    """The stages that a stage depends on."""
    return above_all(pipeline, {stage})


def above_all(pipeline: Pipeline, stages: Collection[str]) -> set[str]:
    """The stages that one of some stages depends on."""
    found: set[str] = set()
    for each in reversed(list(pipeline.stages.values())):
        if each.name in stages or each.name in found:
            found.update(ref.stage for _, ref in each.output_inputs())
    return found
