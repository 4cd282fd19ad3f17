"""Stages written in JAX: jitted one by one, differentiated by `jax.vjp`, in float64."""

from collections.abc import Callable
from functools import cache
from typing import Any, final

import jax
import jax.numpy as jnp

from diffpipe.pipelines.core.steps import (
    Call,
    cotangent_array,
    gradient_array,
    tangent_array,
)
from diffpipe.pipelines.frameworks import directions, residuals
from diffpipe.pipelines.frameworks.activity import dependent_outputs
from diffpipe.pipelines.frameworks.base import Abstract, Arrays, Pull, Push, TracingFramework
from diffpipe.pipelines.frameworks.residuals import Recipe
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
        outputs: Arrays = _forward(StageKey.of(call))(*_arrays(parameters, inputs))
        return outputs

    def pullback(
        self, call: Call, pull: Pull, parameters: Arrays, inputs: Arrays, cotangents: Arrays
    ) -> Arrays:
        run = _pullback(StageKey.of(call), pull)
        pulled: Arrays = run(*_arrays(parameters, inputs, cotangents))
        return pulled

    def pushforward(
        self, call: Call, push: Push, parameters: Arrays, inputs: Arrays, tangents: Arrays
    ) -> Arrays:
        run = _pushforward(StageKey.of(call), push)
        pushed: Arrays = run(*_arrays(parameters, inputs, tangents))
        return pushed

    def curvature(
        self, call: Call, push: Push, parameters: Arrays, inputs: Arrays, tangents: Arrays
    ) -> Arrays:
        run = _curvature(StageKey.of(call), push)
        found: Arrays = run(*_arrays(parameters, inputs, tangents))
        return found

    def describe_residuals(
        self, call: Call, parameters: Arrays, inputs: Arrays
    ) -> dict[str, Abstract]:
        structs = _structs(parameters, inputs)
        return _abstract(jax.eval_shape(_keeping(StageKey.of(call)), *structs)[1])

    def forward_keeping(
        self, call: Call, parameters: Arrays, inputs: Arrays
    ) -> tuple[Arrays, Arrays]:
        both: tuple[Arrays, Arrays] = _keeping(StageKey.of(call))(*_arrays(parameters, inputs))
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
        run = _pullback_from(StageKey.of(call), pull)
        pulled: Arrays = run(*_arrays(parameters, inputs, cotangents, residuals))
        return pulled


@cache
def _forward(stage: StageKey) -> Callable[..., Any]:
    return jax.jit(stage.function())


@cache
def _pullback(stage: StageKey, pull: Pull) -> Callable[..., Any]:
    """cotangents of the outputs -> cotangents of what is active, with the forward pass inside."""

    def run(parameters: Any, inputs: Any, cotangents: Any) -> Any:
        of_active = _of_active(stage, pull.outputs, parameters, inputs)
        active = {
            "inputs": {name: inputs[name] for name in pull.inputs},
            "parameters": {name: parameters[name] for name in pull.parameters},
        }
        _, vjp = jax.vjp(of_active, active)
        return _named(pull, *vjp(cotangents))

    return jax.jit(run)


@cache
def _pushforward(stage: StageKey, push: Push) -> Callable[..., Any]:
    """The tangents of all directions, with the forward pass inside, computed once for them."""

    def run(parameters: Any, inputs: Any, tangents: Any) -> Any:
        of_active = _of_active(stage, push.outputs, parameters, inputs)
        point, along = directions.stacked(push, parameters, inputs, tangents)

        def pushed(tangent: Any) -> Any:
            return jax.jvp(of_active, (point,), (tangent,))[1]

        names = jax.eval_shape(of_active, point)
        axes = {name: int(name in push.event_outputs) for name in names}
        found = jax.vmap(pushed, out_axes=axes)(along)
        return {tangent_array(name): each for name, each in found.items()}

    return jax.jit(run)


@cache
def _curvature(stage: StageKey, push: Push) -> Callable[..., Any]:
    """Gradient and Hessian of a scalar output along the directions, by forward over reverse."""
    (output,) = push.outputs

    def run(parameters: Any, inputs: Any, tangents: Any) -> Any:
        of_active = _of_active(stage, push.outputs, parameters, inputs)
        point, along = directions.stacked(push, parameters, inputs, tangents)

        def slope(active: Any) -> Any:
            return jax.grad(lambda each: of_active(each)[output])(active)

        def bent(tangent: Any) -> Any:
            return directions.inner(along, jax.jvp(slope, (point,), (tangent,))[1])

        gradient = directions.inner(along, slope(point))
        return {"gradient": gradient, "curvature": jax.vmap(bent)(along)}

    return jax.jit(run)


def _of_active(
    stage: StageKey, names: tuple[str, ...], parameters: Any, inputs: Any
) -> Callable[[Any], Any]:
    """The named outputs that are differentiable, as a function of what moves."""

    def outputs(active: Any) -> Any:
        found = stage.function()(parameters | active["parameters"], inputs | active["inputs"])
        return {name: found[name] for name in names if _is_differentiable(found[name])}

    return outputs


@cache
def _keeping(stage: StageKey) -> Callable[..., Any]:
    def run(parameters: Any, inputs: Any) -> Any:
        outputs, leaves, _ = _vjp(stage, parameters, inputs)
        return outputs, residuals.pack(stage.name, leaves)

    return jax.jit(run)


@cache
def _pullback_from(stage: StageKey, pull: Pull) -> Callable[..., Any]:
    def run(parameters: Any, inputs: Any, cotangents: Any, packed: Any) -> Any:
        shapes, recipe = _trace(stage, parameters, inputs)
        vjp = residuals.rebuild(recipe, (parameters, inputs), residuals.unpack(recipe, packed))
        zeros = {name: jnp.zeros(each.shape, each.dtype) for name, each in shapes.items()}
        return _named(pull, *vjp(zeros | cotangents))

    return jax.jit(run)


def _vjp(stage: StageKey, parameters: Any, inputs: Any) -> tuple[Any, list[Any], Recipe]:
    """All outputs, the leaves to store, and the recipe; with respect to all that has a gradient."""
    function = stage.function()
    moving = {name: value for name, value in inputs.items() if _is_differentiable(value)}

    def of_active(active: Any) -> Any:
        outputs = function(parameters | active["parameters"], inputs | active["inputs"])
        smooth = {name: value for name, value in outputs.items() if _is_differentiable(value)}
        return smooth, outputs

    active = {"inputs": moving, "parameters": parameters}
    return residuals.vjp_with_recipe(of_active, active, (parameters, inputs))


def _trace(stage: StageKey, parameters: Any, inputs: Any) -> tuple[Any, Recipe]:
    """The shapes of the differentiable outputs, and the recipe, without computing anything."""
    recipes: list[Recipe] = []

    def run(parameters: Any, inputs: Any) -> Any:
        outputs, _, recipe = _vjp(stage, parameters, inputs)
        recipes.append(recipe)
        return {name: value for name, value in outputs.items() if _is_differentiable(value)}

    return jax.eval_shape(run, parameters, inputs), recipes[0]


def _is_differentiable(value: Any) -> bool:
    return hasattr(value, "dtype") and bool(jnp.issubdtype(value.dtype, jnp.inexact))


def _named(pull: Pull, active: Any) -> dict[str, Any]:
    """The active cotangents under the names of their arrays."""
    named = {cotangent_array(name): active["inputs"][name] for name in pull.inputs}
    return named | {gradient_array(name): active["parameters"][name] for name in pull.parameters}


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
