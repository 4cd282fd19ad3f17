"""The functions that JAX compiles of a stage: itself, and all its derivatives.

Each is made once for a stage and what is asked of it; JAX compiles it for each shape of its inputs.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp

from diffpipe.pipelines.core.steps import cotangent_array, gradient_array, tangent_array
from diffpipe.pipelines.frameworks import directions, residuals
from diffpipe.pipelines.frameworks.base import Pull, Push
from diffpipe.pipelines.frameworks.directions import behind, each_of, in_front
from diffpipe.pipelines.frameworks.residuals import Recipe
from diffpipe.pipelines.frameworks.stage_code import StageKey
from diffpipe.pipelines.physics.scans.modes import forward_mode


@cache
def forward(stage: StageKey) -> Callable[..., Any]:
    return jax.jit(stage.function())


@cache
def pullback(stage: StageKey, pull: Pull) -> Callable[..., Any]:
    """cotangents of the outputs -> cotangents of what is active, with the forward pass inside."""

    def run(parameters: Any, inputs: Any, cotangents: Any) -> Any:
        return _vjp_of_active(stage, pull, parameters, inputs)(cotangents)

    return jax.jit(run)


@cache
def pullbacks(stage: StageKey, pull: Pull) -> Callable[..., Any]:
    """The pullbacks of many cotangents, with one forward pass inside."""

    def run(parameters: Any, inputs: Any, cotangents: Any) -> Any:
        first = {n: in_front(n, each, pull.event_outputs) for n, each in cotangents.items()}
        found = each_of(_vjp_of_active(stage, pull, parameters, inputs), first)
        rows = frozenset(cotangent_array(name) for name in pull.event_inputs)
        return {name: behind(name, each, rows) for name, each in found.items()}

    return jax.jit(run)


def _vjp_of_active(
    stage: StageKey, pull: Pull, parameters: Any, inputs: Any
) -> Callable[[Any], dict[str, Any]]:
    """cotangents of the outputs -> the arrays of the pullback."""
    active = {
        "inputs": {name: inputs[name] for name in pull.inputs},
        "parameters": {name: parameters[name] for name in pull.parameters},
    }
    _, vjp = jax.vjp(_of_active(stage, pull.outputs, parameters, inputs), active)
    return lambda cotangents: _named(pull, *vjp(cotangents))


@cache
def bend(stage: StageKey, pull: Pull, push: Push) -> Callable[..., Any]:
    """The tangents of a pullback, by forward over reverse; what it is taken of moves, too."""

    def run(given: Any, tangents: Any, cotangents: Any) -> Any:
        (parameters, inputs), (weights, moving) = given, cotangents
        point, along = directions.stacked(push, given, tangents)

        def pulled(moved: Any, weights: Any) -> Any:
            at = parameters | moved["parameters"], inputs | moved["inputs"]
            return _vjp_of_active(stage, pull, *at)(weights)

        def bent(row: Any) -> Any:
            still = {n: jnp.zeros_like(each) for n, each in weights.items() if n not in moving}
            tangent, of_weights = row
            return jax.jvp(pulled, (point, weights), (tangent, still | of_weights))[1]

        first = {n: in_front(n, each, pull.event_outputs) for n, each in moving.items()}
        found = each_of(bent, (along, first))
        rows = frozenset(cotangent_array(name) for name in pull.event_inputs)
        return {tangent_array(n): behind(n, each, rows) for n, each in found.items()}

    return jax.jit(run)


@cache
def pushforward(stage: StageKey, push: Push) -> Callable[..., Any]:
    """The tangents of all directions, with the forward pass inside, computed once for them."""

    def run(given: Any, tangents: Any) -> Any:
        of_active = _of_active(stage, push.outputs, *given)
        point, along = directions.stacked(push, given, tangents)

        def pushed(tangent: Any) -> Any:
            return jax.jvp(of_active, (point,), (tangent,))[1]

        with forward_mode():  # in which a scan with snapshots is a plain one
            found = each_of(pushed, along)
        return {tangent_array(n): behind(n, each, push.event_outputs) for n, each in found.items()}

    return jax.jit(run)


@cache
def curvature(stage: StageKey, push: Push) -> Callable[..., Any]:
    """Gradient and Hessian of a scalar output along the directions, by forward over reverse."""
    (output,) = push.outputs

    def run(given: Any, tangents: Any) -> Any:
        of_active = _of_active(stage, push.outputs, *given)
        point, along = directions.stacked(push, given, tangents)

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
def keeping(stage: StageKey) -> Callable[..., Any]:
    def run(parameters: Any, inputs: Any) -> Any:
        outputs, leaves, _ = _vjp(stage, parameters, inputs)
        return outputs, residuals.pack(stage.name, leaves)

    return jax.jit(run)


@cache
def pullback_from(stage: StageKey, pull: Pull) -> Callable[..., Any]:
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
