"""The fit as one function: what fitted parameters do not reach is computed once, the rest is left.

Nothing here knows of parton densities: the stages and their order are the pipeline's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from diffpipe.pipelines.core import functions
from diffpipe.pipelines.core.environment import Environment
from diffpipe.pipelines.core.identity import Identity
from diffpipe.pipelines.core.model import Function, Pipeline, Stage

Outputs = Mapping[str, Mapping[str, Array]]  # by stage and output


@dataclass(frozen=True, eq=False)  # arrays have no single truth value
class Problem:
    """A fit: start (weight,), the fitted parameters end to end; outputs of every stage from them.

    key: that of the objective in a store, so of everything that it depends on; settings are no
    part of it.
    """

    key: str
    start: Array
    outputs: Callable[[Array], Outputs]

    def pulls(self, weights: Array) -> Array:
        """(prediction - measured)/error of each data point, (point,)."""
        return self.outputs(weights)["chi2"]["pulls"]


def problem(made: Pipeline) -> Problem:
    """The fit of a pipeline: of its parameters with `fit: true`, all others as they are."""
    values = {name: jnp.asarray(np.array(p.value, float)) for name, p in made.parameters.items()}
    fitted = {name: values[name] for name, each in made.parameters.items() if each.fit}
    start, unravel = ravel_pytree(fitted)
    reached = _reached(made, set(fitted))
    fixed: dict[str, Mapping[str, Array]] = {}
    for stage in made.stages.values():
        if stage.name not in reached:
            fixed[stage.name] = jax.jit(_function(stage))(*_arguments(stage, values, fixed))

    def outputs(weights: Array) -> Outputs:
        found, given = dict(fixed), values | unravel(weights)
        for stage in made.stages.values():
            if stage.name in reached:
                found[stage.name] = _function(stage)(*_arguments(stage, given, found))
        return found

    assert made.objective is not None
    key = Identity(made, Environment.current()).primals[made.objective.stage]
    return Problem(key, start, outputs)


def _reached(made: Pipeline, fitted: set[str]) -> set[str]:
    """The stages whose outputs depend on a fitted parameter."""
    reached: set[str] = set()
    for stage in made.stages.values():
        above = {ref.stage for _, ref in stage.output_inputs()}
        if fitted & set(stage.parameters.values()) or reached & above:
            reached.add(stage.name)
    return reached


def _function(stage: Stage) -> Callable[..., Mapping[str, Array]]:
    assert isinstance(stage.function, Function)
    return partial(functions.load(stage.function), **stage.options)


def _arguments(
    stage: Stage, values: Mapping[str, Array], outputs: Outputs
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A stage's parameters and inputs, by its own names."""
    parameters = {local: values[name] for local, name in stage.parameters.items()}
    inputs = {local: outputs[ref.stage][ref.output] for local, ref in stage.output_inputs()}
    return parameters, inputs
