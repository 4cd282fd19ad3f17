"""Tangents: every stage pushed along directions, and up to the objective's curvature.

The forward chain once more, with derivatives in front: a stage moves in those directions that
reach it, by a parameter of its own or through an input. All directions go through together, so
that a stage computes its primal once for them. Along unit vectors of parameters, the tangents of a
sum over events are, shard by shard, its Jacobian: whatever is made of that sum later reuses it.

The curvature is a last step, that of the objective's stage: its gradient and Hessian along the
tangents of its inputs, which is the curvature of Gauss and Newton,

    d2 f / dt_k dt_l = (J^T H J)_kl,    J the tangents of the inputs, H the Hessian of the stage,

that of the whole pipeline but for the second derivatives of what comes before the last stage.
"""

from dataclasses import dataclass, field
from typing import Any

from diffpipe.cache import keys
from diffpipe.cache.errors import UsageError
from diffpipe.pipelines.core import graph
from diffpipe.pipelines.core.chain import Chain
from diffpipe.pipelines.core.derivatives import check_pushforward, moving_inputs
from diffpipe.pipelines.core.model import Derivative, OutputRef, Over, Stage
from diffpipe.pipelines.core.steps import (
    Along,
    Source,
    Step,
    primal_id,
    reduction_id,
    tangent_array,
    tangent_id,
)
from diffpipe.pipelines.core.sweeps.backward import how
from diffpipe.pipelines.core.sweeps.directions import Directions


@dataclass
class Tangents:
    """Adds to a chain, which has its forward steps, what is pushed along directions."""

    chain: Chain
    wanted: Directions
    reached: dict[str, list[int]] = field(default_factory=dict)  # stage -> directions it moves in

    def add(self, of: list[OutputRef]) -> dict[OutputRef, Source]:
        """The tangents of outputs, of those that move; raises PipelineError."""
        ends = {ref.stage for ref in of}
        self._push(ends | graph.above_all(self.chain.pipeline, ends), of)
        return {ref: self._source(ref) for ref in of if self.reached[ref.stage]}

    def add_above(self, last: Stage) -> None:
        """The tangents of all that a stage reads, and in which directions itself moves."""
        self._push(graph.above(self.chain.pipeline, last.name), [])
        self._reach(last)

    def add_curvature(self, objective: OutputRef) -> Source:
        """The steps up to the curvature; gives where that is. Raises UsageError."""
        last = self.chain.pipeline.stages[objective.stage]
        if last.over is not Over.ONCE:
            raise UsageError(
                f"the objective {objective} is a sum over events: it has no curvature of its own",
                hint="make a stage with over: once the objective, such as a likelihood",
            )
        self.add_above(last)
        self.check_moved(objective)
        step = self._step("curvature", f"{last.name}:curvature", last, [objective.output], 1)
        self.chain.steps[step.id] = step
        return Source(step.id, step.key, "curvature", slot=False)

    def check_moved(self, objective: OutputRef) -> None:
        """Refuse directions that an objective does not move in; raises UsageError."""
        still = sorted(set(range(self.wanted.count)) - set(self.reached[objective.stage]))
        if still:
            names = ", ".join(self.wanted.labels[k] for k in still)
            raise UsageError(f"{objective} does not depend on {names}", hint="leave them out")

    def along(self, stage: Stage, outputs: list[str], mine: list[int]) -> Along:
        """How a stage is pushed along some directions, which are numbered anew."""
        place = {k: number for number, k in enumerate(mine)}
        seeds = [
            (local, component, place[k], size)
            for local, name in stage.parameters.items()
            for seeded, component, k, size in self.wanted.seeds
            if seeded == name and k in place
        ]
        moving = {local: ref for local, ref in self._moving(stage) if self.reached[ref.stage]}
        units = self.wanted.of_inputs(stage.name)
        return Along(
            count=len(mine),
            outputs=outputs,
            seeds=seeds,
            sources={local: self._source(ref) for local, ref in moving.items()},
            numbers={
                local: [place[k] for k in self.reached[ref.stage]] for local, ref in moving.items()
            },
            units={local: place[numbers[0]] for local, numbers in units.items()},
        )

    def _push(self, stages: set[str], of: list[OutputRef]) -> None:
        for stage in self.chain.pipeline.stages.values():
            if stage.name in stages:
                self._reach(stage)
                if self.reached[stage.name]:
                    check_pushforward(stage)
                    self._add_tangent(stage, of)

    def _reach(self, stage: Stage) -> None:
        if stage.derivative is Derivative.STOP:
            self.reached[stage.name] = []
            return
        found = self.wanted.of(stage.parameters.values())
        for numbers in self.wanted.of_inputs(stage.name).values():
            found.update(numbers)
        for _, ref in self._moving(stage):
            found.update(self.reached[ref.stage])
        self.reached[stage.name] = sorted(found)

    def _add_tangent(self, stage: Stage, of: list[OutputRef]) -> None:
        named = [ref.output for ref in of if ref.stage == stage.name]
        used = dict.fromkeys([*graph.used_outputs(self.chain.pipeline, stage.name), *named])
        outputs = [name for name in used if not stage.output(name).constant]
        summed = any(stage.is_summed(name) for name in outputs)
        block = stage.block if summed else 1
        step = self._step("tangent", tangent_id(stage.name), stage, outputs, block)
        self.chain.steps[step.id] = step
        if summed:
            self.chain.add_reduction(step)

    def _step(self, kind: Any, name: str, stage: Stage, outputs: list[str], block: int) -> Step:
        along = self.along(stage, outputs, self.reached[stage.name])
        primal = self.chain.steps[primal_id(stage.name)]
        ingredients = {
            "primal": primal.key,
            "along": along_ingredients(along),
            "outputs": outputs,
        } | how(stage)
        return self.chain.step(
            kind, name, stage, keys.key(kind, **ingredients), ingredients, along=along, block=block
        )

    def _source(self, ref: OutputRef) -> Source:
        """Where the tangent of an output is: as its primal, in the tangent or in the sum of it."""
        slot = self.chain.source(ref).slot
        step = self.chain.steps[tangent_id(ref.stage)]
        if self.chain.pipeline.stages[ref.stage].is_summed(ref.output):
            step = self.chain.steps[reduction_id(step.id)]
        return Source(step.id, step.key, tangent_array(ref.output), slot)

    def _moving(self, stage: Stage) -> list[tuple[str, OutputRef]]:
        """The inputs that others move; one with directions of its own moves in no others."""
        active = {name for name, found in self.reached.items() if found}
        own = self.wanted.of_inputs(stage.name)
        found = moving_inputs(self.chain.pipeline, stage, active)
        return [(local, ref) for local, ref in found if local not in own]


def along_ingredients(along: Along) -> dict[str, Any]:
    """What of the directions stands in a key."""
    units = {"units": along.units} if along.units else {}
    return units | {
        "count": along.count,
        "seeds": [list(each) for each in along.seeds],
        "inputs": {
            local: [source.key, source.array, along.numbers[local]]
            for local, source in along.sources.items()
        },
    }
