"""A first look at a process of a package: evaluated at a few points, its insides inspected."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics.matrix_elements import points
from diffpipe.pipelines.physics.matrix_elements.madjax import calls, frame, slha
from diffpipe.pipelines.physics.refusal import RefusedError

PROBES = 20
SINGLE = (jnp.complex64, jnp.float32)
UNEXPECTED = (AttributeError, IndexError, KeyError, TypeError, ValueError)
Code = tuple[Any, type]


@dataclass(frozen=True, eq=False)
class Look:
    """What was seen of a class; None where its insides are not as expected.

    values: |M|^2 (point,); table: helicities (row, leg); by_row: (point, row), not averaged;
    flows: the shapes of the colour flows' amplitudes; single: whether anything is computed in
    single precision.
    """

    values: np.ndarray
    table: np.ndarray | None
    by_row: np.ndarray | None
    flows: tuple[tuple[int, ...], ...] | None
    diagrams: int
    single: bool


def look(code: Code, transformation: np.ndarray) -> Look:
    """Evaluate a class (package, class) at sample points, with all at rest and with all moving.

    Helicities of massive particles depend on the frame: some configurations vanish in one only.
    """
    card = slha.entries({}, code[0].entries)
    seen: dict[str, Any] = {}
    try:
        momenta = _momenta(code, card) @ transformation.T
        traced = jax.jit(lambda *given: _probe(code, seen, *given)).trace(card, momenta)
        values, by_row = jax.tree.map(np.asarray, traced.lower().compile()(card, momenta))
    except Exception as error:
        raise RefusedError(
            f"{code[1].__name__} cannot be evaluated: {type(error).__name__}: {error}",
            hint="particles of spin 3/2 and 2, and many models other than the Standard Model, "
            "come out as code that JAX cannot trace",
        ) from error
    instance, single = seen["instance"], _is_single(traced.jaxpr.jaxpr)
    diagrams = len(getattr(instance, "amp2", ()))
    return Look(values, _table(instance), by_row, _flows(instance), diagrams, single)


def _momenta(code: Code, card: Mapping[Any, Array]) -> np.ndarray:
    incoming, outgoing = calls.masses(code, card)
    at_rest = points.sample([*map(float, incoming)], [*map(float, outgoing)], PROBES)
    return np.concatenate([at_rest, at_rest @ frame.boost().T])


def _probe(code: Code, seen: dict[str, Any], card: Mapping[Any, Array], p: Array) -> Any:
    """|M|^2 of each point, and of each row of helicities if the class evaluates them as one."""

    def watched(instance: Any, legs: Any, parameters: Any) -> Any:
        seen["instance"], by_row = instance, _watch(instance)
        return calls.smatrix(instance, legs, parameters), by_row[-1] if by_row else None

    return calls.over_events(watched, code, card, p)


def _watch(instance: Any) -> list[Array]:
    """What the instance's own calls of vmap_matrix will return."""
    results: list[Array] = []
    if (original := getattr(instance, "vmap_matrix", None)) is not None:

        def vmap_matrix(*given: Any) -> Any:
            found = original(*given)
            results.append(jnp.asarray(found).real)
            return found

        instance.vmap_matrix = vmap_matrix
    return results


def _table(instance: Any) -> np.ndarray | None:
    try:
        return np.array(instance.helEvals[0][0], dtype=int)
    except UNEXPECTED:
        return None


def _flows(instance: Any) -> tuple[tuple[int, ...], ...] | None:
    try:
        return tuple(jnp.shape(each) for each in instance.jamp[-1])
    except UNEXPECTED:
        return None


def _is_single(jaxpr: Any) -> bool:
    return any(dtype in SINGLE for dtype in _dtypes(jaxpr))


def _dtypes(jaxpr: Any) -> Iterator[Any]:
    """The dtypes of all that is computed, in inner functions, too."""
    for equation in jaxpr.eqns:
        for each in (*equation.invars, *equation.outvars):
            yield getattr(each.aval, "dtype", None)
        for parameter in jax.tree.leaves(equation.params):
            inner = getattr(parameter, "jaxpr", parameter)
            if hasattr(inner, "eqns"):
                yield from _dtypes(inner)
