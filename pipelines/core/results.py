"""Results: what a finished plan computed, read from the store without zarr or a framework."""

import math
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any

from msgspec import structs

from diffpipe.cache.artefact import Artefact
from diffpipe.cache.errors import DamagedError
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.plan import Plan
from diffpipe.pipelines.core.steps import Source, error_array

if TYPE_CHECKING:
    import numpy as np

_SMALL = 1000  # values of an output that is printed whole
_PRINTABLE = ("float64", "int64", "bool")


@dataclass(frozen=True)
class Curvature:
    """Slope and second derivatives of the objective along the directions named."""

    along: list[str]
    gradient: list[float]
    matrix: list[list[float]]


@dataclass(frozen=True)
class Stored:
    """An array that is too large to be given as numbers: one row per event, in the store.

    Where several arrays are named they are to be added up.
    """

    shape: list[int]
    arrays: list[str]
    norm: float


@dataclass(frozen=True)
class Results:
    """The objective, the gradient, and the scalars and small arrays that are not per event.

    errors: of gradients in parameters of stages that are differentiated by finite differences, the
    estimated error. What other parameters' gradients owe to such a stage is not known.
    tangents: of outputs, along the direction asked for; jacobian: output -> parameter -> its
    block, (*of the output, *of the parameter); products: parameter -> H v, a row per direction;
    gradients: of several objectives, each with its own.
    """

    objective: float | None
    gradient: Mapping[str, Any]
    outputs: Mapping[str, Any]
    curvature: Curvature | None = None
    errors: Mapping[str, Any] = field(default_factory=dict)
    tangents: Mapping[str, Any] = field(default_factory=dict)
    jacobian: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    products: Mapping[str, Any] = field(default_factory=dict)
    gradients: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def read_results(store: Store, plan: Plan) -> Results:
    """Read a plan's results; damaged chunks are moved aside, then DamagedError is raised."""
    reader = _Reader(store)
    objective = reader.value(plan.objective) if plan.objective else None
    gradient = {name: _gradient(reader, plan, name) for name in plan.gradients}
    several = plan.goal.several
    return Results(
        objective,
        {} if several else gradient,
        dict(_outputs(reader, plan)),
        _curvature(reader, plan),
        dict(_errors(reader, plan)),
        tangents={n: _tangent(reader, source) for n, source in plan.goal.tangents.items()},
        jacobian=_jacobian(reader, plan),
        gradients={each: _row(gradient, row) for row, each in enumerate(several)},
        products={n: _product(reader, plan, n) for n in plan.goal.products},
    )


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
        artefact = self._there(source)
        try:
            return artefact.values(source.array)
        except (DamagedError, OSError) as error:
            self.store.set_aside_slot(artefact, 0, str(error))
            raise DamagedError(f"a result of {source.step} is damaged: {error}") from error

    def array(self, source: Source, shard: int = 0) -> "np.ndarray":
        """One slot as an array."""
        artefact = self._there(source)
        try:
            return artefact.read(source.array, shard)
        except DamagedError as error:
            self.store.set_aside_slot(artefact, shard, str(error), array=source.array)
            raise

    def stored(self, sources: list[Source]) -> Stored:
        """Arrays with a row per event, which are added up; raises DamagedError."""
        artefacts = [self._there(each) for each in sources]
        paths = [str(a.folder / each.array) for a, each in zip(artefacts, sources, strict=True)]
        squares = 0.0
        for shard in range(artefacts[0].slots):
            total = reduce(operator.add, (self.array(each, shard) for each in sources))
            squares += float((abs(total) ** 2).sum())
        shape = artefacts[0].specs[sources[0].array].shape
        return Stored(list(shape), paths, math.sqrt(squares))

    def _there(self, source: Source) -> Artefact:
        artefact = self.artefact(source.key)
        if artefact is None:
            raise DamagedError(f"the artefact of {source.step} is missing from the store")
        return artefact


def _row(gradient: Mapping[str, Any], row: int) -> Mapping[str, Any]:
    """The gradient of one of several objectives."""
    return {n: each if isinstance(each, Stored) else each[row] for n, each in gradient.items()}


def _tangent(reader: _Reader, source: Source) -> Any:
    """The tangent along the only direction."""
    return reader.stored([source]) if source.slot else reader.array(source)[0].tolist()


def _product(reader: _Reader, plan: Plan, name: str) -> Any:
    """H v of a parameter, a row per direction; zero where nothing moves."""
    values = [reader.value(source) for source in plan.goal.products[name]]
    still = [_zeros(plan.parameter_values[name]) for _ in plan.goal.along]
    return reduce(_add, values) if values else still


def _jacobian(reader: _Reader, plan: Plan) -> Mapping[str, Mapping[str, Any]]:
    """The blocks; of outputs with a row per event, the tangents as they are stored."""
    wanted = plan.goal.jacobian
    if wanted is None:
        return {}
    from diffpipe.pipelines.core.sweeps import matrices  # here, since it needs NumPy

    rows = {name: each for name, each in wanted.pushed.items() if each.source.slot}
    whole = structs.replace(
        wanted,
        rows=[row for row in wanted.rows if row.name not in rows],
        pushed={name: each for name, each in wanted.pushed.items() if name not in rows},
    )
    by_event = {name: {"*": reader.stored([each.source])} for name, each in rows.items()}
    return {**matrices.assemble(whole, reader.array), **by_event}


def _curvature(reader: _Reader, plan: Plan) -> Curvature | None:
    bent = plan.goal.curvature
    if bent is None:
        return None
    slope = structs.replace(bent, array="gradient")
    return Curvature(plan.goal.along, reader.value(slope), reader.value(bent))


def _gradient(reader: _Reader, plan: Plan, name: str) -> Any:
    """The sum, in the order of the stages, of what each contributes; zero where none does."""
    sources = plan.gradients[name]
    if any(source.slot for source in sources):
        return reader.stored(sources)
    values = [reader.value(source) for source in sources]
    if values:
        return reduce(_add, values)
    zeros = _zeros(plan.parameter_values[name])
    return [zeros for _ in plan.goal.several] or zeros


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
