"""The joins: which sample of events a stage runs over, and what may meet what.

A once-output is broadcast to events; a summed output of an events-stage is a once-value; a
per-event output stays with its sample. Everything else is refused before anything runs.
"""

from collections.abc import Mapping
from dataclasses import replace

from diffpipe.cache.errors import PipelineError
from diffpipe.pipelines.core.model import OutputRef, Over, Stage
from diffpipe.pipelines.core.schema import PipelineFile


def with_samples(file: PipelineFile, stages: Mapping[str, Stage]) -> dict[str, Stage]:
    """The stages (in order) with their samples; raises PipelineError for a join that cannot be."""
    placed: dict[str, Stage] = {}
    origin: dict[str, str] = {}  # events-stage -> the source of its sample
    for stage in stages.values():
        _check_inputs(file, stage, placed)
        if stage.over is Over.EVENTS:
            origin[stage.name] = _source_of(file, stage, placed, origin)
            sample = stages[origin[stage.name]].sample
            placed[stage.name] = replace(stage, sample=sample)
        else:
            placed[stage.name] = stage
    return placed


def _check_inputs(file: PipelineFile, stage: Stage, placed: Mapping[str, Stage]) -> None:
    for local, ref in stage.output_inputs():
        producer = placed[ref.stage]
        summed = producer.is_summed(ref.output)
        if stage.over is Over.EVENTS and summed:
            raise _fail(
                file,
                stage,
                local,
                f"{ref} is summed over events, and this stage runs per event",
                "use it in a stage with over: once, and that stage's output here",
            )
        if stage.over is Over.ONCE and producer.over is Over.EVENTS and not summed:
            raise _fail(
                file,
                stage,
                local,
                f"{ref} is per event, and this stage runs once",
                f"declare outputs: {{{ref.output}: {{sum: true}}}} in {ref.stage} if it is a sum",
            )


def _source_of(
    file: PipelineFile, stage: Stage, placed: Mapping[str, Stage], origin: Mapping[str, str]
) -> str:
    if stage.source:
        return stage.name
    sources = {
        origin[ref.stage]: local
        for local, ref in stage.output_inputs()
        if placed[ref.stage].over is Over.EVENTS
    }
    if len(sources) > 1:
        first, second, *_ = sources
        text = f"events of {second} meet events of {first}"
        raise _fail(file, stage, sources[second], text, "sum one of them first")
    return next(iter(sources), None) or _nearest_source(file, stage, placed)


def _nearest_source(file: PipelineFile, stage: Stage, placed: Mapping[str, Stage]) -> str:
    """The source of the pipeline file the stage stands in, or of one around it."""
    prefix = stage.name.rpartition(".")[0]
    while True:
        name = f"{prefix}.events" if prefix else "events"
        if name in placed and placed[name].source:
            return name
        if not prefix:
            raise _fail(file, stage, None, "over: events, and the pipeline has no events", None)
        prefix = prefix.rpartition(".")[0]


def _fail(
    file: PipelineFile, stage: Stage, local: str | None, message: str, hint: str | None
) -> PipelineError:
    place = ("stages", *stage.name.split("."), *(("inputs", local) if local else ()))
    return file.fail(place, message, hint)


def is_per_event(stages: Mapping[str, Stage], ref: OutputRef) -> bool:
    """Whether an output has one row per event."""
    stage = stages[ref.stage]
    return stage.over is Over.EVENTS and not stage.is_summed(ref.output)
