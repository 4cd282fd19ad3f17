"""Bends: the tangents of a backward sweep along directions, which are products with the Hessian.

    H v = d/dt grad f(x + t v),    forward over reverse, stage by stage:

a stage's pullback is pushed along the tangents of its inputs, of its parameters and of the
cotangents that it is given; what comes out are the tangents of the cotangents that it gives on. So
no stage is differentiated twice with all others, and nothing but first and second derivatives of
single stages is ever compiled. B. Christianson, IMA J. Numer. Anal. 12 (1992) 135.
"""

from dataclasses import dataclass

from diffpipe.cache import keys
from diffpipe.pipelines.core import graph
from diffpipe.pipelines.core.chain import Chain
from diffpipe.pipelines.core.derivatives import check_bend
from diffpipe.pipelines.core.joins import is_per_event
from diffpipe.pipelines.core.model import OutputRef, Over, Stage
from diffpipe.pipelines.core.steps import (
    Source,
    Step,
    bend_id,
    cotangent_array,
    gradient_array,
    pullback_id,
    reduction_id,
    tangent_array,
)
from diffpipe.pipelines.core.sweeps.backward import Backward, exact_pullback
from diffpipe.pipelines.core.sweeps.tangents import Tangents, along_ingredients


@dataclass
class Bends:
    """Adds to a chain, which has its backward steps and tangents, the tangents of the pullbacks."""

    backward: Backward
    tangents: Tangents

    @property
    def chain(self) -> Chain:
        return self.backward.chain

    def add(self) -> dict[str, list[Source]]:
        """Parameter -> where its part of H v is, to be added up; raises PipelineError."""
        found: dict[str, list[Source]] = {name: [] for name in self.backward.wrt.parameters}
        for stage in reversed(list(self.chain.pipeline.stages.values())):
            pull = self.chain.steps.get(pullback_id(stage.name))
            if pull is not None:
                self._add(stage, pull, found)
        return {name: sources[::-1] for name, sources in found.items()}

    def _add(self, stage: Stage, pull: Step, found: dict[str, list[Source]]) -> None:
        everything = list(range(self.tangents.wanted.count))
        along = self.tangents.along(stage, [], everything)
        bends = {name: self._bent(OutputRef(stage.name, name)) for name in pull.cotangents}
        bends = {name: sources for name, sources in bends.items() if sources}
        if not (along.seeds or along.sources or bends):
            return  # nothing moves: its pullback is the same along all directions
        check_bend(stage)
        ingredients = {
            "primal": pull.ingredients["primal"],
            "cotangents": pull.ingredients["cotangents"],
            "along": along_ingredients(along),
            "bends": {n: [[each.key, each.array] for each in those] for n, those in bends.items()},
        } | ({"block": stage.block} if stage.block > 1 else {})
        arrays, key = exact_pullback(keys.key("bend", **ingredients), self.backward.wanted(stage))
        has_partials = self.backward.has_partials(stage, arrays)
        step = self.chain.step(
            "bend",
            bend_id(stage.name),
            stage,
            key,
            ingredients | {"active": sorted(arrays)},
            along=along,
            bends=bends,
            cotangents=pull.cotangents,
            active_inputs=[name for name in stage.inputs if cotangent_array(name) in arrays],
            active_parameters=[n for n in stage.parameters if gradient_array(n) in arrays],
            block=stage.block if has_partials else 1,
        )
        self.chain.steps[step.id] = step
        end = self.chain.add_reduction(step) if has_partials else step
        for local in step.active_parameters:
            if stage.parameters[local] in found:
                array = tangent_array(gradient_array(local))
                found[stage.parameters[local]].append(Source(end.id, end.key, array, slot=False))

    def _bent(self, ref: OutputRef) -> list[Source]:
        """The tangents of the cotangents of an output, from all who read it."""
        per_event = is_per_event(self.chain.pipeline.stages, ref)
        found = []
        for reader, local in graph.consumers(self.chain.pipeline, ref):
            step = self.chain.steps.get(bend_id(reader.name))
            if step is None or local not in step.active_inputs:
                continue
            if reader.over is Over.EVENTS and not per_event:
                step = self.chain.steps[reduction_id(step.id)]
            array = tangent_array(cotangent_array(local))
            found.append(Source(step.id, step.key, array, slot=per_event))
        return found
