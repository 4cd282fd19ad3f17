"""Results: what a finished plan computed, read from the store without zarr or a framework."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from diffpipe.cache.chunks import ArraySpec
from diffpipe.cache.errors import DamagedError
from diffpipe.cache.store import Artefact, Store
from diffpipe.pipelines.core.plan import Plan
from diffpipe.pipelines.core.steps import Source

_SMALL = 1000  # values of an output that is printed whole
_PRINTABLE = ("float64", "int64", "bool")


@dataclass(frozen=True)
class Results:
    """The objective, the gradient, and the scalars and small arrays that are not per event."""

    objective: float | None
    gradient: Mapping[str, Any]
    outputs: Mapping[str, Any]


def read_results(store: Store, plan: Plan) -> Results:
    """Read a plan's results; damaged chunks are moved aside, then DamagedError is raised."""
    objective = _value(store, plan.objective) if plan.objective else None
    gradient = {name: _gradient(store, plan, name) for name in plan.gradients}
    return Results(objective, gradient, dict(_outputs(store, plan)))


def _gradient(store: Store, plan: Plan, name: str) -> Any:
    """The sum, in the order of the stages, of what each contributes; zero where none does."""
    values = [_value(store, source) for source in plan.gradients[name]]
    if not values:
        return _zeros(plan.parameter_values[name])
    total = values[0]
    for each in values[1:]:
        total = _add(total, each)
    return total


def _add(left: Any, right: Any) -> Any:
    if isinstance(left, list):
        return [_add(*pair) for pair in zip(left, right, strict=True)]
    return left + right


def _zeros(value: Any) -> Any:
    return [_zeros(each) for each in value] if isinstance(value, list | tuple) else 0.0


def _outputs(store: Store, plan: Plan) -> Iterator[tuple[str, Any]]:
    for step in plan.steps:
        if step.over == "once" and step.kind != "pullback" and "pullback" not in step.id:
            artefact = store.get(step.key)
            if artefact is not None and artefact.has(0):
                for name, spec in artefact.specs.items():
                    if _is_small(spec):
                        source = Source(step.id, step.key, name, slot=False)
                        yield f"{step.stage}.{name}", _value(store, source)


def _is_small(spec: ArraySpec) -> bool:
    return spec.dtype in _PRINTABLE and spec.nbytes <= 8 * _SMALL


def _value(store: Store, source: Source) -> Any:
    artefact = _artefact(store, source)
    try:
        return artefact.values(source.array)
    except (DamagedError, OSError) as error:
        store.set_aside_slot(artefact, 0, str(error))
        raise DamagedError(f"a result of {source.step} is damaged: {error}") from error


def _artefact(store: Store, source: Source) -> Artefact:
    artefact = store.get(source.key)
    if artefact is None:
        raise DamagedError(f"the artefact of {source.step} is missing from the store")
    return artefact
