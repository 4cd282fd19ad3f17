"""Tangents: every stage pushed along unit vectors of parameters, up to the objective's curvature.

The forward chain once more, with derivatives in front: a stage moves in those directions that
reach it, by a parameter of its own or through an input. All directions go through together, so
that a stage computes its primal once for them. The last step is that of the objective's stage: its
gradient and Hessian along the tangents of its inputs, which is the curvature of Gauss and Newton,

    d2 f / dt_k dt_l = (J^T H J)_kl,    J the tangents of the inputs, H the Hessian of the stage,

that of the whole pipeline but for the second derivatives of what comes before the last stage.
"""

import math
from dataclasses import dataclass, field
from typing import Any

from diffpipe.cache import keys
from diffpipe.cache.errors import UsageError
from diffpipe.pipelines.core import graph
from diffpipe.pipelines.core.chain import Chain
from diffpipe.pipelines.core.derivatives import check_pushforward, moving_inputs
from diffpipe.pipelines.core.model import Derivative, OutputRef, Over, Stage
from diffpipe.pipelines.core.parameters import shape_of
from diffpipe.pipelines.core.steps import (
    Along,
    Source,
    Step,
    primal_id,
    reduction_id,
    tangent_array,
    tangent_id,
)

Direction = tuple[str, int]  # a parameter and the number of its component


def directions(chain: Chain, wrt: list[str]) -> list[Direction]:
    """The unit vectors of parameters, an array's in the order of its components."""
    known = chain.pipeline.parameters
    return [(n, each) for n in wrt for each in range(math.prod(shape_of(known[n].value)))]


def labels(found: list[Direction], chain: Chain) -> list[str]:
    """The directions in words: `name`, or `name[3]` of an array."""
    scalar = {name for name, each in chain.pipeline.parameters.items() if not shape_of(each.value)}
    return [name if name in scalar else f"{name}[{each}]" for name, each in found]


@dataclass
class Tangents:
    """Adds to a chain, which has its forward steps, what the curvature of an objective needs."""

    chain: Chain
    wanted: list[Direction]
    reached: dict[str, list[int]] = field(default_factory=dict)  # stage -> directions it moves in

    def add(self, objective: OutputRef) -> Source:
        """The steps up to the curvature; gives where that is. Raises UsageError."""
        last = self.chain.pipeline.stages[objective.stage]
        above = graph.above(self.chain.pipeline, last.name)
        for stage in self.chain.pipeline.stages.values():
            if stage.name == last.name or stage.name in above:
                self._reach(stage)
            if stage.name in above and self.reached[stage.name]:
                check_pushforward(stage)
                self._add_tangent(stage)
        self._check(objective, last)
        return self._add_curvature(last, objective)

    def _reach(self, stage: Stage) -> None:
        if stage.derivative is Derivative.STOP:
            self.reached[stage.name] = []
            return
        own = set(stage.parameters.values())
        found = {k for k, (name, _) in enumerate(self.wanted) if name in own}
        for _, ref in self._moving(stage):
            found.update(self.reached[ref.stage])
        self.reached[stage.name] = sorted(found)

    def _check(self, objective: OutputRef, last: Stage) -> None:
        if last.over is not Over.ONCE:
            raise UsageError(
                f"the objective {objective} is a sum over events: it has no curvature of its own",
                hint="make a stage with over: once the objective, such as a likelihood",
            )
        still = sorted(set(range(len(self.wanted))) - set(self.reached[last.name]))
        if still:
            names = ", ".join(labels([self.wanted[k] for k in still], self.chain))
            raise UsageError(f"{objective} does not depend on {names}", hint="leave them out")

    def _add_tangent(self, stage: Stage) -> None:
        outputs = [
            name
            for name in graph.used_outputs(self.chain.pipeline, stage.name)
            if not stage.output(name).constant
        ]
        summed = any(stage.is_summed(name) for name in outputs)
        block = stage.block if summed else 1
        step = self._step("tangent", tangent_id(stage.name), stage, outputs, block)
        self.chain.steps[step.id] = step
        if summed:
            self.chain.add_reduction(step)

    def _add_curvature(self, stage: Stage, objective: OutputRef) -> Source:
        step = self._step("curvature", f"{stage.name}:curvature", stage, [objective.output], 1)
        self.chain.steps[step.id] = step
        return Source(step.id, step.key, "curvature", slot=False)

    def _step(self, kind: Any, name: str, stage: Stage, outputs: list[str], block: int) -> Step:
        primal = self.chain.steps[primal_id(stage.name)]
        along = self._along(stage, outputs)
        ingredients = {
            "primal": primal.key,
            "along": {
                "count": along.count,
                "seeds": [list(each) for each in along.seeds],
                "inputs": {
                    local: [source.key, source.array, along.numbers[local]]
                    for local, source in along.sources.items()
                },
            },
            "outputs": outputs,
        } | ({"block": block} if block > 1 else {})
        return Step(
            id=name,
            kind=kind,
            stage=stage.name,
            key=keys.key(kind, **ingredients),
            slots=stage.slots,
            over=stage.over.value,
            framework=stage.framework,
            ingredients=ingredients,
            call=primal.call,
            inputs=primal.inputs,
            along=along,
            block=block,
            platform=primal.platform,
            resources=primal.resources,
        )

    def _along(self, stage: Stage, outputs: list[str]) -> Along:
        mine = self.reached[stage.name]
        place = {k: number for number, k in enumerate(mine)}
        seeds = [
            (local, self.wanted[k][1], place[k])
            for local, name in stage.parameters.items()
            for k in mine
            if self.wanted[k][0] == name
        ]
        moving = {local: ref for local, ref in self._moving(stage) if self.reached[ref.stage]}
        return Along(
            count=len(mine),
            outputs=outputs,
            seeds=seeds,
            sources={local: self._source(ref) for local, ref in moving.items()},
            numbers={
                local: [place[k] for k in self.reached[ref.stage]] for local, ref in moving.items()
            },
        )

    def _source(self, ref: OutputRef) -> Source:
        """Where the tangent of an output is: as its primal, in the tangent or in the sum of it."""
        slot = self.chain.source(ref).slot
        step = self.chain.steps[tangent_id(ref.stage)]
        if self.chain.pipeline.stages[ref.stage].is_summed(ref.output):
            step = self.chain.steps[reduction_id(step.id)]
        return Source(step.id, step.key, tangent_array(ref.output), slot)

    def _moving(self, stage: Stage) -> list[tuple[str, OutputRef]]:
        active = {name for name, found in self.reached.items() if found}
        return list(moving_inputs(self.chain.pipeline, stage, active))
