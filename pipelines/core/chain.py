"""The chain: the steps of a pipeline, each after those it reads.

It begins with the forward steps; `backward`, `tangents` and `bends` add what derivatives take.
"""

from dataclasses import dataclass, field
from typing import Any

from msgspec import structs

from diffpipe.pipelines.core.identity import Identity
from diffpipe.pipelines.core.joins import is_per_event
from diffpipe.pipelines.core.model import (
    DataRef,
    Derivative,
    Function,
    OutputRef,
    Over,
    Pipeline,
    Ref,
    Stage,
)
from diffpipe.pipelines.core.steps import (
    Call,
    Code,
    DataSource,
    Kind,
    Source,
    Step,
    primal_id,
    reduction_id,
)
from diffpipe.pipelines.core.targets import Program, Service


@dataclass
class Chain:
    """The steps made so far, by id."""

    pipeline: Pipeline
    identity: Identity
    steps: dict[str, Step] = field(default_factory=dict)

    def add_forward(self) -> None:
        """The primal of every stage, and the sums over shards."""
        for stage in self.pipeline.stages.values():
            step = self._primal(stage)
            self.steps[step.id] = step
            if stage.has_sums:
                self.add_reduction(step)

    def source(self, ref: OutputRef) -> Source:
        """Where an output is read."""
        stage = self.pipeline.stages[ref.stage]
        summed = stage.is_summed(ref.output)
        step = reduction_id(primal_id(ref.stage)) if summed else primal_id(ref.stage)
        slot = is_per_event(self.pipeline.stages, ref)
        return Source(step, self.identity.output_key(ref), ref.output, slot)

    def step(
        self,
        kind: Kind,
        name: str,
        stage: Stage,
        key: str,
        ingredients: dict[str, Any],
        **others: Any,
    ) -> Step:
        """A step that applies a derivative of a stage, where its primal is applied."""
        primal = self.steps[primal_id(stage.name)]
        return structs.replace(
            primal, id=name, kind=kind, key=key, ingredients=ingredients, residuals=None, **others
        )

    def _primal(self, stage: Stage) -> Step:
        return Step(
            id=primal_id(stage.name),
            kind="primal",
            stage=stage.name,
            key=self.identity.primals[stage.name],
            slots=stage.slots,
            over=stage.over.value,
            framework=stage.framework,
            ingredients=self.identity.ingredients(stage),
            call=self._call(stage),
            inputs=self._inputs(stage),
            residuals=self.identity.residuals(stage),
            block=stage.block if stage.has_sums else 1,
            platform=self.identity.environment.platform(stage.resources.gpus, stage.framework),
            resources=stage.resources,
        )

    def add_reduction(self, summed: Step) -> Step:
        """The sum over the shards of a step; gives it."""
        key = self.identity.reduction(summed.key)
        step = Step(
            id=reduction_id(summed.id),
            kind="reduction",
            stage=summed.stage,
            key=key,
            slots=1,
            over="once",
            framework=summed.framework,
            ingredients={"of": summed.key},
            of=Source(summed.id, summed.key, "", slot=False),
        )
        self.steps[step.id] = step
        return step

    def _inputs(self, stage: Stage) -> dict[str, Source | DataSource]:
        return {local: self._input(ref) for local, ref in stage.inputs.items()}

    def _input(self, ref: Ref) -> Source | DataSource:
        if isinstance(ref, OutputRef):
            return self.source(ref)
        return self._data(ref)

    def _data(self, ref: DataRef) -> DataSource:
        dataset = self.pipeline.data[ref.dataset]
        files = {word: str(path) for word, path in dataset.files.items()}
        return DataSource(_code(dataset.reader), files, dict(dataset.options), ref.column)

    def _call(self, stage: Stage) -> Call:
        sample = stage.sample if stage.over is Over.EVENTS else None
        known = self.pipeline.parameters
        return Call(
            stage=stage.name,
            code=_target(stage.function),
            framework=stage.framework,
            options={**stage.options, **{k: str(path) for k, path in stage.packages.items()}},
            parameters={local: known[name].value for local, name in stage.parameters.items()},
            source=stage.source,
            summed=[name for name in stage.outputs if stage.is_summed(name)],
            units={name: output.unit for name, output in stage.outputs.items()},
            constant=[name for name, output in stage.outputs.items() if output.constant],
            declared=_declared(stage),
            parameter_units={local: known[name].unit for local, name in stage.parameters.items()},
            sample=None if sample is None else (sample.count, sample.shard, sample.seed),
            files={word: str(path) for word, path in stage.files.items() if stage.source},
            steps=dict(stage.steps) if stage.derivative is Derivative.DIFFERENCES else None,
        )


def _declared(stage: Stage) -> dict[str, Any]:
    return {
        name: {"shape": output.shape, "dtype": output.dtype}
        for name, output in stage.outputs.items()
        if output.shape is not None or output.dtype is not None
    }


def _target(function: Function | Program | Service) -> Code | Program | Service:
    return _code(function) if isinstance(function, Function) else function


def _code(function: Function) -> Code:
    folder = None if function.folder is None else str(function.folder)
    return Code(function.module, function.name, folder)
