"""Results: what a finished plan computed, read from the store without zarr or a framework."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from msgspec import structs

from diffpipe.cache.artefact import Artefact
from diffpipe.cache.errors import DamagedError
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.plan import Plan
from diffpipe.pipelines.core.steps import Source, error_array

_SMALL = 1000  # values of an output that is printed whole
_PRINTABLE = ("float64", "int64", "bool")


@dataclass(frozen=True)
class Curvature:
    """Slope and second derivatives of the objective along the directions named."""

    along: list[str]
    gradient: list[float]
    matrix: list[list[float]]


@dataclass(frozen=True)
class Results:
    """The objective, the gradient, and the scalars and small arrays that are not per event.

    errors: of gradients in parameters of stages that are differentiated by finite differences, the
    estimated error. What other parameters' gradients owe to such a stage is not known.
    """

    objective: float | None
    gradient: Mapping[str, Any]
    outputs: Mapping[str, Any]
    curvature: Curvature | None = None
    errors: Mapping[str, Any] = field(default_factory=dict)


def read_results(store: Store, plan: Plan) -> Results:
    """Read a plan's results; damaged chunks are moved aside, then DamagedError is raised."""
    reader = _Reader(store)
    objective = reader.value(plan.objective) if plan.objective else None
    gradient = {name: _gradient(reader, plan, name) for name in plan.gradients}
    outputs, errors = dict(_outputs(reader, plan)), dict(_errors(reader, plan))
    return Results(objective, gradient, outputs, _curvature(reader, plan), errors)


@dataclass(frozen=True)
class _Reader:
    """Reads once-values; each artefact's manifest is read once."""

    store: Store
    known: dict[str, Artefact | None] = field(default_factory=dict)

    def artefact(self, key: str) -> Artefact | None:
        if key not in self.known:
            self.known[key] = self.store.get(key)
        return self.known[key]

    def has(self, source: Source) -> bool:
        artefact = self.artefact(source.key)
        return artefact is not None and source.array in artefact.specs

    def value(self, source: Source) -> Any:
        artefact = self.artefact(source.key)
        if artefact is None:
            raise DamagedError(f"the artefact of {source.step} is missing from the store")
        try:
            return artefact.values(source.array)
        except (DamagedError, OSError) as error:
            self.store.set_aside_slot(artefact, 0, str(error))
            raise DamagedError(f"a result of {source.step} is damaged: {error}") from error


def _curvature(reader: _Reader, plan: Plan) -> Curvature | None:
    if plan.curvature is None:
        return None
    slope = structs.replace(plan.curvature, array="gradient")
    return Curvature(plan.along, reader.value(slope), reader.value(plan.curvature))


def _gradient(reader: _Reader, plan: Plan, name: str) -> Any:
    """The sum, in the order of the stages, of what each contributes; zero where none does."""
    values = [reader.value(source) for source in plan.gradients[name]]
    return reduce(_add, values) if values else _zeros(plan.parameter_values[name])


def _errors(reader: _Reader, plan: Plan) -> Iterator[tuple[str, Any]]:
    """The estimated errors, added up over the stages that have them."""
    for name, sources in plan.gradients.items():
        beside = [structs.replace(each, array=error_array(each.array)) for each in sources]
        known = [each for each in beside if reader.has(each)]
        if known:
            yield name, reduce(_add, map(reader.value, known))


def _add(left: Any, right: Any) -> Any:
    if isinstance(left, list):
        return [_add(*pair) for pair in zip(left, right, strict=True)]
    return left + right


def _zeros(value: Any) -> Any:
    return [_zeros(each) for each in value] if isinstance(value, list | tuple) else 0.0


def _outputs(reader: _Reader, plan: Plan) -> Iterator[tuple[str, Any]]:
    """The once-outputs and sums that are small, of stages whose values are all there."""
    forward = {step.key for step in plan.steps if step.kind == "primal"}
    for step in plan.steps:
        of_forward = step.key in forward or (step.of is not None and step.of.key in forward)
        artefact = reader.artefact(step.key) if step.over == "once" and of_forward else None
        if artefact is not None and artefact.has(0):
            for name, spec in artefact.specs.items():
                if spec.dtype in _PRINTABLE and spec.nbytes <= 8 * _SMALL:
                    source = Source(step.id, step.key, name, slot=False)
                    yield f"{step.stage}.{name}", reader.value(source)
