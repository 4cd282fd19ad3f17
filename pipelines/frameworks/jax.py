"""Stages written in JAX: jitted one by one, differentiated by `jax.vjp`, in float64."""

from typing import Any, final

import jax
import jax.numpy as jnp

from diffpipe.pipelines.core.steps import Call
from diffpipe.pipelines.frameworks import compiled
from diffpipe.pipelines.frameworks.activity import dependent_outputs
from diffpipe.pipelines.frameworks.base import Abstract, Arrays, Both, Pull, Push, TracingFramework
from diffpipe.pipelines.frameworks.stage_code import StageKey

jax.config.update("jax_enable_x64", True)


@final
class JaxFramework(TracingFramework):
    """Parameter values are arguments of the compiled functions, so a change compiles nothing.

    The platform is chosen for the whole process, before JAX is imported.
    """

    def __init__(self, platform: str = "cpu") -> None:
        pass

    def describe(
        self, call: Call, rows: int, parameters: Arrays, inputs: Arrays
    ) -> dict[str, Abstract]:
        del rows  # inputs have them
        return _abstract(
            jax.eval_shape(StageKey.of(call).function(), *_structs(parameters, inputs))
        )

    def depends(self, call: Call, parameters: Arrays, inputs: Arrays) -> set[str]:
        return dependent_outputs(StageKey.of(call).function(), *_structs(parameters, inputs))

    def forward(self, call: Call, parameters: Arrays, inputs: Arrays) -> Arrays:
        outputs: Arrays = compiled.forward(StageKey.of(call))(*_arrays(parameters, inputs))
        return outputs

    def pullback(
        self, call: Call, pull: Pull, parameters: Arrays, inputs: Arrays, cotangents: Arrays
    ) -> Arrays:
        run = compiled.pullback(StageKey.of(call), pull)
        pulled: Arrays = run(*_arrays(parameters, inputs, cotangents))
        return pulled

    def pushforward(
        self, call: Call, push: Push, parameters: Arrays, inputs: Arrays, tangents: Both
    ) -> Arrays:
        run = compiled.pushforward(StageKey.of(call), push)
        pushed: Arrays = run(_arrays(parameters, inputs), _arrays(*tangents))
        return pushed

    def pullbacks(
        self, call: Call, pull: Pull, parameters: Arrays, inputs: Arrays, cotangents: Arrays
    ) -> Arrays:
        run = compiled.pullbacks(StageKey.of(call), pull)
        pulled: Arrays = run(*_arrays(parameters, inputs, cotangents))
        return pulled

    def bend(
        self, call: Call, pull: Pull, push: Push, given: Both, tangents: Both, cotangents: Both
    ) -> Arrays:
        run = compiled.bend(StageKey.of(call), pull, push)
        bent: Arrays = run(*(_arrays(*each) for each in (given, tangents, cotangents)))
        return bent

    def curvature(
        self, call: Call, push: Push, parameters: Arrays, inputs: Arrays, tangents: Both
    ) -> Arrays:
        run = compiled.curvature(StageKey.of(call), push)
        found: Arrays = run(_arrays(parameters, inputs), _arrays(*tangents))
        return found

    def describe_residuals(
        self, call: Call, parameters: Arrays, inputs: Arrays
    ) -> dict[str, Abstract]:
        structs = _structs(parameters, inputs)
        return _abstract(jax.eval_shape(compiled.keeping(StageKey.of(call)), *structs)[1])

    def forward_keeping(
        self, call: Call, parameters: Arrays, inputs: Arrays
    ) -> tuple[Arrays, Arrays]:
        both: tuple[Arrays, Arrays] = compiled.keeping(StageKey.of(call))(
            *_arrays(parameters, inputs)
        )
        return both

    def pullback_from(
        self,
        call: Call,
        pull: Pull,
        parameters: Arrays,
        inputs: Arrays,
        cotangents: Arrays,
        residuals: Arrays,
    ) -> Arrays:
        run = compiled.pullback_from(StageKey.of(call), pull)
        pulled: Arrays = run(*_arrays(parameters, inputs, cotangents, residuals))
        return pulled


def _arrays(*trees: Any) -> Any:
    return jax.tree.map(jnp.asarray, tuple(dict(tree) for tree in trees))


def _structs(*trees: Any) -> Any:
    """Abstract arrays as JAX takes them."""
    return jax.tree.map(
        lambda each: jax.ShapeDtypeStruct(each.shape, each.dtype),
        tuple(dict(tree) for tree in trees),
        is_leaf=lambda each: isinstance(each, Abstract),
    )


def _abstract(outputs: Any) -> dict[str, Abstract]:
    named = {}
    for name, each in outputs.items():
        if not hasattr(each, "shape"):
            raise TypeError(f"the output {name} is a {type(each).__name__}, not an array")
        named[name] = Abstract(tuple(each.shape), str(each.dtype))
    return named
