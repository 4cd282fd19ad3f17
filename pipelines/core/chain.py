"""The chain: all steps of a pipeline, forward and backward, each after those it reads.

The backward chain transposes the forward one. A fan-out becomes an addition (in the order of the
stages); a broadcast from once to events becomes a sum over shards; a sum becomes a broadcast.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from diffpipe.cache import keys
from diffpipe.pipelines.core import graph
from diffpipe.pipelines.core.derivatives import active_stages, check_pullback, moving_inputs
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
    Source,
    Step,
    cotangent_array,
    gradient_array,
    primal_id,
    pullback_id,
    reduction_id,
)
from diffpipe.pipelines.core.targets import Program, Service

# base key of a pullback, what it must be active in -> the active set and key to use
ChoosePullback = Callable[[str, list[str]], tuple[list[str], str]]


def exact_pullback(base: str, wanted: list[str]) -> tuple[list[str], str]:
    """Take the pullback with respect to just what is wanted."""
    return wanted, keys.active_key(base, wanted)


@dataclass
class Chain:
    """The steps made so far, by id, and where gradients are found."""

    pipeline: Pipeline
    identity: Identity
    steps: dict[str, Step] = field(default_factory=dict)
    gradients: dict[str, list[Source]] = field(default_factory=dict)  # parameter -> what is added

    def add_forward(self) -> None:
        """The primal of every stage, and the sums over shards."""
        for stage in self.pipeline.stages.values():
            step = self._primal(stage)
            self.steps[step.id] = step
            if stage.has_sums:
                self.add_reduction(step)

    def add_backward(
        self,
        objective: OutputRef,
        wrt: list[str],
        choose: ChoosePullback = exact_pullback,
    ) -> None:
        """The pullbacks from the objective to the parameters named, last stage first."""
        self.gradients = {name: [] for name in wrt}
        active = active_stages(self.pipeline, set(wrt))
        for stage in reversed(list(self.pipeline.stages.values())):
            cotangents = self._cotangents(stage, objective) if stage.name in active else {}
            if cotangents:
                moving = dict(moving_inputs(self.pipeline, stage, active))
                check_pullback(self.pipeline, stage, moving, wrt, cotangents)
                self._add_pullback(stage, cotangents, active, set(wrt), choose)
        for sources in self.gradients.values():
            sources.reverse()  # in the order of the stages

    def source(self, ref: OutputRef) -> Source:
        """Where an output is read."""
        stage = self.pipeline.stages[ref.stage]
        summed = stage.is_summed(ref.output)
        step = reduction_id(primal_id(ref.stage)) if summed else primal_id(ref.stage)
        slot = is_per_event(self.pipeline.stages, ref)
        return Source(step, self.identity.output_key(ref), ref.output, slot)

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

    def _add_pullback(
        self,
        stage: Stage,
        cotangents: dict[str, list[Source]],
        active: set[str],
        wrt: set[str],
        choose: ChoosePullback,
    ) -> None:
        primal = self.steps[primal_id(stage.name)]
        wanted = [cotangent_array(n) for n, ref in moving_inputs(self.pipeline, stage, active)]
        wanted += [gradient_array(n) for n, full in stage.parameters.items() if full in wrt]
        ingredients = _pullback_ingredients(stage, primal.key, cotangents)
        arrays, key = choose(keys.key("pullback", **ingredients), wanted)
        has_partials = self._has_partials(stage, arrays)
        step = Step(
            id=pullback_id(stage.name),
            kind="pullback",
            stage=stage.name,
            key=key,
            slots=stage.slots,
            over=stage.over.value,
            framework=stage.framework,
            ingredients=ingredients | {"active": sorted(arrays)},
            call=primal.call,
            inputs=primal.inputs,
            saved=_saved(primal),
            cotangents=cotangents,
            active_inputs=[name for name in stage.inputs if cotangent_array(name) in arrays],
            active_parameters=[n for n in stage.parameters if gradient_array(n) in arrays],
            block=stage.block if has_partials else 1,
            platform=primal.platform,
            resources=primal.resources,
        )
        self.steps[step.id] = step
        self._note_gradients(stage, step, self.add_reduction(step) if has_partials else step, wrt)

    def _note_gradients(self, stage: Stage, step: Step, end: Step, wrt: set[str]) -> None:
        """Say where the gradients of a pullback are: in it, or at the end of the sum over it."""
        for local in step.active_parameters:
            if stage.parameters[local] in wrt:
                source = Source(end.id, end.key, gradient_array(local), slot=False)
                self.gradients[stage.parameters[local]].append(source)

    def _has_partials(self, stage: Stage, arrays: list[str]) -> bool:
        """Whether a pullback with these arrays gives, per shard, a part of what is added up."""
        parts = {gradient_array(name) for name in stage.parameters}
        for name, ref in stage.output_inputs():
            if not is_per_event(self.pipeline.stages, ref):
                parts.add(cotangent_array(name))
        return stage.over is Over.EVENTS and not parts.isdisjoint(arrays)

    def _cotangents(self, stage: Stage, objective: OutputRef) -> dict[str, list[Source]]:
        """Output -> where its cotangents are; the objective's own is written as an empty list."""
        found: dict[str, list[Source]] = {}
        for name in graph.used_outputs(self.pipeline, stage.name):
            ref = OutputRef(stage.name, name)
            sources = list(self._pulled_back(ref))
            if sources:
                found[name] = sources
        if objective.stage == stage.name:
            found[objective.output] = []
        return found

    def _pulled_back(self, ref: OutputRef) -> Iterator[Source]:
        per_event = is_per_event(self.pipeline.stages, ref)
        for consumer, local in graph.consumers(self.pipeline, ref):
            step = self.steps.get(pullback_id(consumer.name))
            if step is None or local not in step.active_inputs:
                continue
            if consumer.over is Over.EVENTS and not per_event:
                step = self.steps[reduction_id(step.id)]
            yield Source(step.id, step.key, cotangent_array(local), slot=per_event)

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


def _pullback_ingredients(
    stage: Stage, primal: str, cotangents: dict[str, list[Source]]
) -> dict[str, Any]:
    """What stands in the key of a pullback, whatever it is active in."""
    given = {
        name: [[each.key, each.array] for each in sources] for name, sources in cotangents.items()
    }
    ingredients: dict[str, Any] = {"primal": primal, "cotangents": given}
    if stage.derivative is Derivative.DIFFERENCES:
        ingredients["differences"] = dict(stage.steps)
    return ingredients | ({"block": stage.block} if stage.block > 1 else {})


def _declared(stage: Stage) -> dict[str, Any]:
    return {
        name: {"shape": output.shape, "dtype": output.dtype}
        for name, output in stage.outputs.items()
        if output.shape is not None or output.dtype is not None
    }


def _saved(primal: Step) -> Source | None:
    return Source(primal.id, primal.residuals, "", slot=True) if primal.residuals else None


def _target(function: Function | Program | Service) -> Code | Program | Service:
    return _code(function) if isinstance(function, Function) else function


def _code(function: Function) -> Code:
    folder = None if function.folder is None else str(function.folder)
    return Code(function.module, function.name, folder)
