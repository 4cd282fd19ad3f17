"""Functions compiled as one piece, apart from what surrounds them.

Left to itself, XLA on a CPU fuses an amplitude into few loops that compute the same currents again
and again: ten times slower, and slow to compile. A kernel is a call that it does not inline, so its
results are made once. On other platforms the calls are ordinary.

The functions of this package use operators and methods that NumPy's arrays have, too: given those,
they run as they stand, and compile nothing.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.xla_metadata import set_xla_metadata

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Make calls of `function` a piece of their own: arrays in and out, keywords static."""
    compiled: dict[tuple[tuple[str, Any], ...], Callable[..., Any]] = {}

    @wraps(function)
    def call(*arrays: Any, **static: Any) -> Any:
        if all(
            isinstance(each, np.ndarray | np.generic | float) for each in jax.tree.leaves(arrays)
        ):
            return function(*arrays, **static)
        key = tuple(sorted(static.items()))
        if key not in compiled:
            compiled[key] = jax.jit(lambda *given: function(*given, **static))
        if jax.default_backend() != "cpu":
            return compiled[key](*arrays)
        with set_xla_metadata(inlineable="false"):
            return compiled[key](*arrays)

    return cast(F, call)


def namespace(array: Any) -> Any:
    """The module of an array's functions."""
    return np if isinstance(array, np.ndarray) else jnp


def as_complex(real: Any, imaginary: Any) -> Any:
    """real + i imaginary."""
    if isinstance(real, np.ndarray):
        return real + 1j * imaginary
    return jax.lax.complex(*jnp.broadcast_arrays(real, imaginary))
