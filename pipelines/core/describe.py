"""Describe: the shape and dtype of everything a plan will store, before anything runs.

Stages are evaluated abstractly, in order; every join is checked; an artefact that does not exist
yet is created empty. This is where a wrong shape, dtype, option or output name is found.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from diffpipe.cache.errors import PipelineError, UsageError, did_you_mean
from diffpipe.cache.specs import ArraySpec
from diffpipe.cache.store import Store
from diffpipe.pipelines.core import cuts
from diffpipe.pipelines.core.compute import parameters, run_source
from diffpipe.pipelines.core.conform import check_declared, check_storable
from diffpipe.pipelines.core.data import read_data
from diffpipe.pipelines.core.environment import cpu_type
from diffpipe.pipelines.core.plan import Plan
from diffpipe.pipelines.core.steps import (
    Call,
    Given,
    Source,
    Step,
    cotangent_array,
    error_array,
    gradient_array,
    tangent_array,
)
from diffpipe.pipelines.core.units import per
from diffpipe.pipelines.frameworks.base import Abstract
from diffpipe.pipelines.frameworks.plain import declared, is_declared
from diffpipe.pipelines.frameworks.registry import runner, tracer
from diffpipe.pipelines.frameworks.stage_code import reporting

Specs = dict[str, ArraySpec]


@dataclass
class Description:
    """The arrays of every step of a plan, as far as they are known.

    framework: the one that this process may import; None: any. Others go on where it stops, from
    the artefacts that it has made.
    """

    plan: Plan
    store: Store
    framework: str | None = None
    specs: dict[str, Specs] = field(default_factory=dict)  # key -> its arrays

    def run(self) -> None:
        """Describe all steps in order; raises PipelineError, StageError, UsageError."""
        for step in self.plan.steps:
            if self._is_of_another(step):
                return
            for key, specs in self._of(step).items():
                self.specs[key] = specs
        self._check_outputs()
        self._check_objective()

    def create(self) -> None:
        """Make the artefacts that were described and do not exist yet."""
        for step in self.plan.steps:
            if step.id in self.plan.to_create and step.key in self.specs:
                self._create(step)

    def given(self, step: Step, shard: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
        """The parameters and the inputs of one slot of a step, without their values."""
        return self._abstract(parameters(_call(step))), self._inputs(step, shard)

    def _is_of_another(self, step: Step) -> bool:
        """Whether another framework has to be asked for the shapes of a step."""
        if self.framework in (None, step.framework) or step.kind != "primal":
            return False
        call = _call(step)
        asked = not call.source and not is_declared(call)
        return asked and step.id in self.plan.to_create and self.store.get(step.key) is None

    def _create(self, step: Step) -> None:
        manifest = {
            "kind": step.kind,
            "stage": step.stage,
            "pipeline": self.plan.pipeline,
            "slots": step.slots,
            "ingredients": step.ingredients,
            "parents": sorted({source.key for source in step.reads()}),
            "platform": step.platform,
            "cpu": cpu_type(),
        }
        self.store.create(step.key, manifest, self.specs[step.key])
        if step.residuals:  # of a linear stage they may be no arrays at all
            kept = manifest | {"kind": "residuals", "parents": [step.key]}
            self.store.create(step.residuals, kept, self.specs[step.residuals])

    def _of(self, step: Step) -> dict[str, Specs]:
        """The arrays of a step's artefacts: as stored, else as its framework says."""
        stored = {key: self.store.get(key) for key in (step.key, step.residuals) if key}
        if all(stored.values()):
            return {key: dict(each.specs) for key, each in stored.items() if each}
        if step.kind == "primal":
            return self._primal(step)
        return {step.key: _DESCRIBE[step.kind](self, step)}

    def _primal(self, step: Step) -> dict[str, Specs]:
        call = _call(step)
        outputs = _describe_source(call) if call.source else self._outputs(step, 0)
        if not call.source and call.sample and call.sample[0] % call.sample[1]:
            self._check_rows(step, self._outputs(step, step.slots - 1), step.slots - 1)
        self._check_declared(call, outputs)
        found = {step.key: {name: cuts.output(step, name, each) for name, each in outputs.items()}}
        if step.residuals:
            kept = tracer(step).describe_residuals(call, *self.given(step))
            found[step.residuals] = {
                name: ArraySpec.per_shard(step.slots, each.shape, each.dtype)
                for name, each in kept.items()
            }
        return found

    def _outputs(self, step: Step, shard: int) -> dict[str, Abstract]:
        call = _call(step)
        given = self.given(step, shard)
        with reporting(step.stage):
            rows = call.rows(shard)
            if is_declared(call):
                outputs = declared(call, rows)
            else:
                outputs = runner(step).describe(call, rows, *given)
            moving = tracer(step).depends(call, *given) if call.constant else set()
        self._check_rows(step, outputs, shard)
        for name in moving.intersection(call.constant):
            text = f"stage {step.stage}: output {name} is declared constant, and is not"
            hint = "it is computed from a parameter or an input: take the declaration away"
            raise PipelineError(text, hint=hint, stage=step.stage)
        return outputs

    def _inputs(self, step: Step, shard: int) -> dict[str, Any]:
        return {name: self._input(step, source, shard) for name, source in step.inputs.items()}

    def _input(self, step: Step, source: Any, shard: int) -> Any:
        if not isinstance(source, Source):
            return self._abstract(read_data(source))
        arrays = self.specs[source.key]
        if source.array not in arrays:
            producer = self.plan.step(source.step).stage
            raise PipelineError(
                f"stage {step.stage} uses {producer}.{source.array}, which is not given",
                hint=did_you_mean(source.array, arrays),
                stage=step.stage,
            )
        spec = arrays[source.array]
        return Abstract(spec.slot_shape(shard if source.slot else 0), spec.dtype)

    def _abstract(self, values: Any) -> Any:
        if isinstance(values, Mapping):
            return {name: self._abstract(each) for name, each in values.items()}
        return Abstract(values.shape, str(values.dtype))

    def _check_rows(self, step: Step, outputs: Mapping[str, Abstract], shard: int) -> None:
        call = _call(step)
        if call.sample is None:
            return
        rows = call.rows(shard)
        for name, each in outputs.items():
            if name not in call.summed and each.shape[:1] != (rows,):
                raise PipelineError(
                    f"stage {step.stage}: output {name} has shape {each.shape} for {rows} events",
                    hint=f"give one row per event, or declare outputs: {{{name}: {{sum: true}}}}",
                    stage=step.stage,
                )

    def _check_declared(self, call: Call, outputs: Mapping[str, Abstract]) -> None:
        for name in {**call.units, **call.declared}:
            if name not in outputs:
                hint = did_you_mean(name, outputs)
                text = f"stage {call.stage} declares output {name!r}, which it does not give"
                raise PipelineError(text, hint=hint, stage=call.stage)
        for name, each in outputs.items():
            check_storable(call, name, each)
            check_declared(call, name, each)

    def _pullback(self, step: Step) -> Specs:
        call = _call(step)
        found: Specs = {}
        for name in step.active_inputs:
            source = step.inputs[name]
            assert isinstance(source, Source)
            spec = self.specs[source.key][source.array]
            if Abstract(spec.shape, spec.dtype).is_differentiable:
                found[cotangent_array(name)] = self._cotangent(step, source, spec)
        values = parameters(call)
        for name in step.active_parameters:
            unit = per("objective", call.parameter_units[name])
            found[gradient_array(name)] = cuts.partial(step, values[name].shape, "float64", unit)
        if step.count is not None:
            found = {name: cuts.many_of(step, spec, step.count) for name, spec in found.items()}
        if call.steps is not None:
            found |= {error_array(name): spec for name, spec in found.items()}
        self._check_seeds(step)
        return found

    def _bend(self, step: Step) -> Specs:
        assert step.along is not None
        many = step.along.count
        pulled = self._pullback(step)
        return {
            tangent_array(name): cuts.many_of(step, spec, many) for name, spec in pulled.items()
        }

    def _check_seeds(self, step: Step) -> None:
        """Refuse cotangents that do not fit their outputs."""
        outputs = self.specs[step.ingredients["primal"]]
        for name, seed in step.seeds.items():
            if name not in outputs:
                text = f"there is no output {step.stage}.{name} to start a backward sweep from"
                raise UsageError(text, hint=did_you_mean(name, outputs))
            spec = outputs[name]
            shape = spec.shape[1:] if spec.placement == "shard" else spec.shape
            dtype = seed.dtype if isinstance(seed, Given) else "float64"
            if (tuple(seed.shape), dtype) != (shape, spec.dtype):
                raise UsageError(
                    f"the cotangent of {step.stage}.{name} is {dtype} {tuple(seed.shape)}, and "
                    f"the output {spec.dtype} {shape}",
                    hint="a cotangent has the shape and the dtype of its output",
                )

    def _cotangent(self, step: Step, source: Source, spec: ArraySpec) -> ArraySpec:
        if source.slot:
            return spec
        return cuts.partial(step, spec.shape, spec.dtype, spec.unit)

    def _tangent(self, step: Step) -> Specs:
        assert step.along is not None
        primal = self.specs[step.ingredients["primal"]]
        found = {name: primal[name] for name in step.along.outputs}
        return {
            tangent_array(name): cuts.many_of(step, spec, step.along.count)
            for name, spec in found.items()
            if Abstract(spec.shape, spec.dtype).is_differentiable
        }

    def _curvature(self, step: Step) -> Specs:
        assert step.along is not None
        count = step.along.count
        return {
            "gradient": ArraySpec.once((count,), "float64", "objective"),
            "curvature": ArraySpec.once((count, count), "float64", "objective"),
        }

    def _sum(self, step: Step) -> Specs:
        assert step.of is not None
        return {
            name: ArraySpec.once(spec.shape[1:], spec.dtype, spec.unit)
            for name, spec in self.specs[step.of.key].items()
            if spec.placement == "shard"
        }

    def _check_outputs(self) -> None:
        for name, source in (self.plan.outputs | self.plan.goal.tangents).items():
            arrays = self.specs[source.key]
            if source.array not in arrays and name in self.plan.goal.tangents:
                text = f"--of {name} is not float64 or complex128: it has no tangent"
                raise UsageError(text)
            if source.array not in arrays:
                asked = "the objective " if name == self.plan.objective_name else "--of "
                hint = did_you_mean(source.array, arrays)
                raise UsageError(f"{asked}{name} does not exist", hint=hint)

    def _check_objective(self) -> None:
        objective = self.plan.objective
        if objective is None:
            return
        spec = self.specs[objective.key][objective.array]
        if self.plan.direction != "forward" and (spec.shape, spec.dtype) != ((), "float64"):
            raise UsageError(
                f"the objective {self.plan.objective_name} has shape {spec.shape} and dtype "
                f"{spec.dtype}; a gradient is taken of a float64 scalar",
                hint="diffpipe run jacobian takes the derivatives of arrays",
            )


_DESCRIBE: dict[str, Callable[[Description, Step], Specs]] = {
    "pullback": Description._pullback,
    "tangent": Description._tangent,
    "bend": Description._bend,
    "curvature": Description._curvature,
    "reduction": Description._sum,
}


def _describe_source(call: Call) -> dict[str, Abstract]:
    """The columns of an event source, from its first events (a source is cheap to start)."""
    assert call.sample is not None
    few = min(call.sample[0], call.sample[1], 2)
    with reporting(call.stage):
        columns = run_source(call, 0, few)
        found = {}
        for name, each in columns.items():
            if each.shape[:1] != (few,):
                raise ValueError(f"column {name} has shape {each.shape} for {few} events")
            found[name] = Abstract((call.sample[1], *each.shape[1:]), str(each.dtype))
    return found


def _call(step: Step) -> Call:
    assert step.call is not None
    return step.call
