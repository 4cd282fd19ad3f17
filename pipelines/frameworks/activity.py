"""Which outputs of a JAX function depend on its arguments, read from its jaxpr.

Conservative: an equation with one dependent operand makes all its results dependent.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
from jax.extend.core import Literal


def dependent_outputs(function: Callable[..., Mapping[str, Any]], *arguments: Any) -> set[str]:
    """The names of the outputs that an argument can reach."""
    traced, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
    reached = set(traced.jaxpr.invars)
    for equation in traced.jaxpr.eqns:
        if any(not isinstance(each, Literal) and each in reached for each in equation.invars):
            reached.update(equation.outvars)
    names = jax.tree.leaves({name: name for name in shapes})
    return {
        name
        for name, each in zip(names, traced.jaxpr.outvars, strict=True)
        if not isinstance(each, Literal) and each in reached
    }
