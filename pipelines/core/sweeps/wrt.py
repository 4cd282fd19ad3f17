"""What derivatives are taken with respect to: parameters, and arrays between stages.

An array is an input of one stage (`weight.dsigma`: what that stage alone owes to it), or an output
(`events.m_ll`: what all who read it owe to it).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from diffpipe.cache.errors import UsageError, did_you_mean
from diffpipe.pipelines.core import graph
from diffpipe.pipelines.core.joins import is_per_event
from diffpipe.pipelines.core.model import OutputRef, Pipeline

Input = tuple[str, str]  # a stage, and the local name of an input that another stage makes


@dataclass(frozen=True)
class Wrt:
    """Parameters, in the order of the pipeline, and arrays, each with the inputs that it is."""

    parameters: list[str]
    arrays: Mapping[str, tuple[Input, ...]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return [*self.parameters, *self.arrays]

    @property
    def inputs(self) -> frozenset[Input]:
        return frozenset(each for inputs in self.arrays.values() for each in inputs)

    def ref(self, pipeline: Pipeline, name: str) -> OutputRef:
        """The output that an array is."""
        stage, local = self.arrays[name][0]
        return dict(pipeline.stages[stage].output_inputs())[local]


def parse(pipeline: Pipeline, asked: list[str] | None) -> Wrt:
    """What is named (None: all parameters); raises UsageError."""
    if asked is None:
        return Wrt(list(pipeline.parameters))
    others = [name for name in dict.fromkeys(asked) if name not in pipeline.parameters]
    arrays = {name: _inputs(pipeline, name) for name in others}
    return Wrt([name for name in pipeline.parameters if name in asked], arrays)


def of_output(pipeline: Pipeline, ref: OutputRef) -> tuple[Input, ...]:
    """The inputs that read an output."""
    return tuple((stage.name, local) for stage, local in graph.consumers(pipeline, ref))


def is_event_array(pipeline: Pipeline, wrt: Wrt, name: str) -> bool:
    """Whether an array has one row per event."""
    return is_per_event(pipeline.stages, wrt.ref(pipeline, name))


def _inputs(pipeline: Pipeline, name: str) -> tuple[Input, ...]:
    owner, _, local = name.rpartition(".")
    stage = pipeline.stages.get(owner)
    readers = of_output(pipeline, OutputRef(owner, local)) if stage else ()
    if stage is None or not (local in stage.inputs or readers):
        hint = did_you_mean(name, [*pipeline.parameters, *_arrays(pipeline)])
        raise UsageError(f"--wrt: unknown parameter {name!r}", hint=hint)
    if local in stage.inputs and readers:
        hint = f"name what reads it: {', '.join(map('.'.join, readers))}"
        raise UsageError(f"--wrt {name} is both an input and an output of {owner}", hint=hint)
    if not readers and local not in dict(stage.output_inputs()):
        raise UsageError(f"--wrt {name} is data ({stage.inputs[local]}), which has no derivative")
    return readers or ((owner, local),)


def _arrays(pipeline: Pipeline) -> Iterator[str]:
    for stage in pipeline.stages.values():
        for local, ref in stage.output_inputs():
            yield f"{stage.name}.{local}"
            yield str(ref)
