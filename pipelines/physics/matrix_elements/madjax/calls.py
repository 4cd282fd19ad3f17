"""Calls into a generated class, one event at a time, mapped over events."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

Evaluated = Callable[[Any, Sequence[Any], Mapping[str, Any]], Any]


@contextmanager
def lenient() -> Iterator[None]:
    """Generated code mixes integers, real and complex numbers, and is meant to."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def over_events(
    function: Evaluated, code: tuple[Any, type], card: Mapping[Any, Array], momenta: Array
) -> Any:
    """function(instance, legs, parameters) of every event, stacked.

    code: the package and one of its classes. Every call gets an instance of its own, since
    evaluations leave tracers on it. card: numbers, or (event,); momenta: (event, leg, 4).
    """
    package, process = code

    def one(values: Mapping[Any, Array], p: Array) -> Any:
        legs = [package.vector(p[leg]) for leg in range(p.shape[0])]
        return function(process(), legs, package.parameters(values))

    axes = {entry: 0 if jnp.ndim(value) else None for entry, value in card.items()}
    with lenient():
        return jax.vmap(one, in_axes=(axes, 0))(dict(card), momenta)


def smatrix(instance: Any, legs: Sequence[Any], parameters: Mapping[str, Any]) -> Array:
    """|M|^2 of one event, summed and averaged."""
    return jnp.asarray(instance.smatrix(legs, parameters)).real


def rows(table: Any, diagrams: int) -> Evaluated:
    """A call for |M|^2 of some helicity configurations, (row,), without the average.

    Called without `smatrix` before it, a class needs a list for the weights of its diagrams.
    """

    def by_row(instance: Any, legs: Sequence[Any], parameters: Mapping[str, Any]) -> Array:
        instance.amp2 = [0.0] * diagrams
        return jnp.asarray(instance.vmap_matrix(legs, jnp.asarray(table), parameters)).real

    return by_row


def masses(code: tuple[Any, type], card: Mapping[Any, Array]) -> tuple[list[Any], list[Any]]:
    """The masses of incoming and outgoing legs in GeV; numbers, or (event,) as in the card."""
    package, process = code
    with lenient():
        sides = process().get_external_masses(package.parameters(dict(card)))
    incoming, outgoing = ([*side] if isinstance(side, tuple | list) else [side] for side in sides)
    return incoming, outgoing
