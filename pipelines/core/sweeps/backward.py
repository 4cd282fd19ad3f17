"""Backward steps: the transpose of the forward chain, from outputs to what they are derived in.

A fan-out becomes an addition (in the order of the stages); a broadcast from once to events becomes
a sum over shards; a sum becomes a broadcast.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from diffpipe.cache import keys
from diffpipe.pipelines.core import graph
from diffpipe.pipelines.core.chain import Chain
from diffpipe.pipelines.core.derivatives import active_stages, check_pullback, moving_inputs
from diffpipe.pipelines.core.joins import is_per_event
from diffpipe.pipelines.core.model import Derivative, OutputRef, Over, Stage
from diffpipe.pipelines.core.steps import (
    Source,
    Step,
    cotangent_array,
    gradient_array,
    primal_id,
    pullback_id,
    reduction_id,
)
from diffpipe.pipelines.core.sweeps.starts import Starts
from diffpipe.pipelines.core.sweeps.wrt import Wrt

# base key of a pullback, what it must be active in -> the active set and key to use
ChoosePullback = Callable[[str, list[str]], tuple[list[str], str]]


def exact_pullback(base: str, wanted: list[str]) -> tuple[list[str], str]:
    """Take the pullback with respect to just what is wanted."""
    return wanted, keys.active_key(base, wanted)


@dataclass
class Backward:
    """Adds to a chain, which has its forward steps, the pullbacks from some outputs."""

    chain: Chain
    starts: Starts
    wrt: Wrt
    choose: ChoosePullback = exact_pullback
    gradients: dict[str, list[Source]] = field(default_factory=dict)  # name -> what is added

    def add(self) -> dict[str, list[Source]]:
        """The steps, last stage first; gives where gradients are found. Raises PipelineError."""
        self.gradients = {name: [] for name in self.wrt.names}
        for stage in reversed(list(self.chain.pipeline.stages.values())):
            cotangents = self._cotangents(stage) if stage.name in self._active else {}
            if cotangents:
                moving = self._moving(stage)
                check_pullback(self.chain.pipeline, stage, moving, self.wrt.parameters, cotangents)
                self._add(stage, cotangents)
        for sources in self.gradients.values():
            sources.reverse()  # in the order of the stages
        return self.gradients

    def wanted(self, stage: Stage) -> list[str]:
        """The arrays that the pullback of a stage has to give."""
        wanted = [cotangent_array(name) for name in self._moving(stage)]
        known = self.wrt.parameters
        return wanted + [gradient_array(n) for n, full in stage.parameters.items() if full in known]

    def has_partials(self, stage: Stage, arrays: list[str]) -> bool:
        """Whether a pullback with these arrays gives, per shard, a part of what is added up."""
        parts = {gradient_array(name) for name in stage.parameters}
        for name, ref in stage.output_inputs():
            if not is_per_event(self.chain.pipeline.stages, ref):
                parts.add(cotangent_array(name))
        return stage.over is Over.EVENTS and not parts.isdisjoint(arrays)

    @cached_property
    def _active(self) -> set[str]:
        """The stages that the sweep passes."""
        return active_stages(self.chain.pipeline, set(self.wrt.parameters), self.wrt.inputs)

    def _moving(self, stage: Stage) -> dict[str, OutputRef]:
        """The inputs of a stage through which the sweep passes, or at which it ends."""
        return dict(moving_inputs(self.chain.pipeline, stage, self._active, self.wrt.inputs))

    def _add(self, stage: Stage, cotangents: dict[str, list[Source]]) -> None:
        primal = self.chain.steps[primal_id(stage.name)]
        ingredients = _ingredients(stage, primal.key, cotangents)
        ingredients |= self.starts.ingredients(stage.name)
        arrays, key = self.choose(keys.key("pullback", **ingredients), self.wanted(stage))
        has_partials = self.has_partials(stage, arrays)
        step = self.chain.step(
            "pullback",
            pullback_id(stage.name),
            stage,
            key,
            ingredients | {"active": sorted(arrays)},
            saved=_saved(primal) if self.starts.count is None else None,
            cotangents=cotangents,
            seeds=self.starts.seeds(stage.name),
            count=self.starts.count,
            active_inputs=[name for name in stage.inputs if cotangent_array(name) in arrays],
            active_parameters=[n for n in stage.parameters if gradient_array(n) in arrays],
            block=stage.block if has_partials else 1,
        )
        self.chain.steps[step.id] = step
        self._note(stage, step, self.chain.add_reduction(step) if has_partials else step)

    def _note(self, stage: Stage, step: Step, end: Step) -> None:
        """Say where the gradients of a pullback are: in it, or at the end of the sum over it."""
        for local in step.active_parameters:
            if stage.parameters[local] in self.wrt.parameters:
                source = Source(end.id, end.key, gradient_array(local), slot=False)
                self.gradients[stage.parameters[local]].append(source)
        for name, inputs in self.wrt.arrays.items():
            for local, ref in stage.output_inputs():
                if (stage.name, local) in inputs and local in step.active_inputs:
                    slot = is_per_event(self.chain.pipeline.stages, ref)
                    whole = step if slot else end
                    source = Source(whole.id, whole.key, cotangent_array(local), slot)
                    self.gradients[name].append(source)

    def _cotangents(self, stage: Stage) -> dict[str, list[Source]]:
        """Output -> where its cotangents are; one where the sweep starts may have none yet."""
        found: dict[str, list[Source]] = {}
        for name in graph.used_outputs(self.chain.pipeline, stage.name):
            sources = list(self._pulled_back(OutputRef(stage.name, name)))
            if sources:
                found[name] = sources
        return {name: [] for name in self.starts.outputs(stage.name)} | found

    def _pulled_back(self, ref: OutputRef) -> Iterator[Source]:
        per_event = is_per_event(self.chain.pipeline.stages, ref)
        for consumer, local in graph.consumers(self.chain.pipeline, ref):
            step = self.chain.steps.get(pullback_id(consumer.name))
            if step is None or local not in step.active_inputs:
                continue
            if consumer.over is Over.EVENTS and not per_event:
                step = self.chain.steps[reduction_id(step.id)]
            yield Source(step.id, step.key, cotangent_array(local), slot=per_event)


def _ingredients(stage: Stage, primal: str, cotangents: dict[str, list[Source]]) -> dict[str, Any]:
    """What stands in the key of a pullback, whatever it is active in."""
    given = {
        name: [[each.key, each.array] for each in sources] for name, sources in cotangents.items()
    }
    return {"primal": primal, "cotangents": given} | how(stage)


def how(stage: Stage) -> dict[str, Any]:
    """What of a stage stands in the keys of its derivatives, beside its primal's."""
    steps = {"differences": dict(stage.steps)}
    differences = steps if stage.derivative is Derivative.DIFFERENCES else {}
    return differences | ({"block": stage.block} if stage.block > 1 else {})


def _saved(primal: Step) -> Source | None:
    return Source(primal.id, primal.residuals, "", slot=True) if primal.residuals else None
