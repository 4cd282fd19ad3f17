"""Maximum-likelihood fits, differentiated by the implicit function theorem.

At the maximum the slope of log L along the free parameters f vanishes, whatever model and data x:

    d theta_f = -H_ff^-1 (d/dx d log L/d theta_f) dx        (theta: implicit function theorem)
    d max log L = (d log L/dx) dx                           (value: envelope theorem)

with H the Hessian of log L. So derivatives cost one solution with H and never run through the
iterations: arXiv:2105.15183, Section 2.

At a bound theta_hat has a kink: where the slope pushes against the bound it does not move, and
where the slope vanishes too it moves to one side only. The derivative of theta is therefore refused
(NaN) as soon as a parameter sits at its bound. The value has no kink there: theta_hat that stays
contributes nothing, one that is let go contributes to second order, and so the envelope theorem
holds. Test statistics are made of values: a signal strength at its bound 0 is no obstacle to them.
A fit that has not converged has no derivatives at all: all are NaN.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from diffpipe.pipelines.physics.likelihood.inference import newton

LogLikelihood = Callable[[Array, Any, Array], Array]
ROWS = 128  # of a Hessian at once: memory goes with them times the size of the model
AT_BOUND = 1e-10  # distance from a bound, relative to one or to the bound, that counts as none


class Fit(NamedTuple):
    """A maximum-likelihood fit of n parameters.

    theta (n,), the best fit; log_likelihood (), its value there; gradient (n,) of log L there, a
    diagnostic without derivatives; converged (); at_bound (n,), free parameters that sit at a
    bound; iterations ().
    """

    theta: Array
    log_likelihood: Array
    gradient: Array
    converged: Array
    at_bound: Array
    iterations: Array


class _Problem(NamedTuple):
    model: Any
    data: Array
    start: Array
    box: newton.Box


class _Solution(NamedTuple):
    fit: Fit
    inverse: Array  # (n, n), of the Hessian of -log L on the free parameters


def maximise(
    log_likelihood: LogLikelihood,
    model: Any,
    data: Array,
    *,
    start: Array,
    lower: Array,
    upper: Array,
    fixed: Array,
) -> Fit:
    """The parameters that maximise a likelihood within bounds.

    log_likelihood(theta (n,), model, data (m,)) -> () closes over no traced array: what it depends
    on is in `model`, any tree of arrays. start, lower, upper (n,), infinite where there is no
    bound; fixed (n,) bool: parameters held at their start, so that a profile likelihood is a fit
    with its parameter fixed. Where log L is not finite the fit does not go.
    Derivatives, forward and reverse, with respect to model, data and the start of fixed parameters:
    theta by the implicit function theorem, NaN if a parameter sits at its bound; log_likelihood by
    the envelope theorem, there too; both NaN if the fit has not converged. In a direction in which
    the likelihood is flat theta stays where it is.
    """
    model = jax.tree.map(jnp.asarray, model)
    problem = _Problem(model, data, start, newton.Box(lower, upper, fixed))
    return _solution(log_likelihood, problem).fit


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _solution(log_likelihood: LogLikelihood, problem: _Problem) -> _Solution:
    def slope(theta: Array) -> tuple[Array, tuple[Array, Array]]:
        value, gradient = jax.value_and_grad(
            lambda theta: -log_likelihood(theta, problem.model, problem.data)
        )(theta)
        return gradient, (value, gradient)

    def evaluate(theta: Array) -> newton.Point:
        _, push, (value, gradient) = jax.linearize(slope, theta, has_aux=True)
        return newton.Point(value, gradient, _columns(push, theta.size))

    end = newton.minimise(evaluate, problem.start, problem.box)
    at_bound = _at_bound(end.theta, problem.box)
    value, gradient = -end.point.value, -end.point.gradient
    fit = Fit(end.theta, value, gradient, end.converged, at_bound, end.iterations)
    return _Solution(fit, _inverse(end.point.hessian, problem.box.fixed))


@_solution.defjvp
def _solution_jvp(
    log_likelihood: LogLikelihood, primals: tuple[_Problem], tangents: tuple[_Problem]
) -> tuple[_Solution, _Solution]:
    (problem,), (moved,) = primals, tangents
    solution = _solution(log_likelihood, problem)
    fit, fixed = solution.fit, problem.box.fixed
    point = (fit.theta, problem.model, problem.data)
    along = (jnp.where(fixed, moved.start, 0.0), moved.model, moved.data)
    _, value_moved = jax.jvp(log_likelihood, point, along)
    _, slope_moved = jax.jvp(jax.grad(log_likelihood), point, along)
    theta_moved = along[0] + _followed(log_likelihood, solution, problem, slope_moved)
    tangent = jax.tree.map(_no_tangent, solution)
    tangent_fit = tangent.fit._replace(
        theta=theta_moved, log_likelihood=_unless_refused(fit.converged, value_moved)
    )
    return solution, tangent._replace(fit=tangent_fit)


def _followed(
    log_likelihood: LogLikelihood, solution: _Solution, problem: _Problem, slope_moved: Array
) -> Array:
    """How the free parameters follow a slope (n,) of log L that has moved."""
    fit, free = solution.fit, ~problem.box.fixed
    known = fit.converged & ~jnp.any(fit.at_bound)
    slope = jax.grad(log_likelihood)

    def matrix(vector: Array) -> Array:
        along = jnp.where(free, vector, 0.0)
        _, curved = jax.jvp(
            lambda theta: slope(theta, problem.model, problem.data), (fit.theta,), (along,)
        )
        return jnp.where(free, -curved, vector)

    def solve(_: Any, right: Array) -> Array:
        return jnp.where(known | jnp.all(right == 0.0), solution.inverse @ right, jnp.nan)

    moved = lax.custom_linear_solve(
        matrix, jnp.where(free, slope_moved, 0.0), solve, symmetric=True
    )
    return jnp.where(free, moved, 0.0)


def _unless_refused(known: Array, tangent: Array) -> Array:
    """The tangent, NaN where it is not known; its transpose does the same to a cotangent.

    A product with NaN would also turn cotangents of zero into NaN: those of outputs that nobody
    asked for.
    """

    def solve(_: Any, right: Array) -> Array:
        return jnp.where(known | (right == 0.0), right, jnp.nan)

    return lax.custom_linear_solve(lambda vector: vector, tangent, solve, symmetric=True)


def _columns(push: Callable[[Array], Array], n: int) -> Array:
    """The matrix (n, n) of a linear function that is symmetric, some rows at a time."""
    one = jnp.eye(n)
    return jax.vmap(push)(one) if n <= ROWS else lax.map(push, one, batch_size=ROWS)


def _no_tangent(each: Array) -> Array | np.ndarray:
    if jnp.issubdtype(each.dtype, jnp.inexact):
        return jnp.zeros_like(each)
    return np.zeros(each.shape, jax.dtypes.float0)


def _at_bound(theta: Array, box: newton.Box) -> Array:
    near = [
        jnp.abs(theta - bound) <= AT_BOUND * jnp.maximum(1.0, jnp.abs(theta))
        for bound in (box.lower, box.upper)
    ]
    return ~box.fixed & (near[0] | near[1])


def _inverse(hessian: Array, fixed: Array) -> Array:
    """Inverse on the free parameters, without the directions in which the function is flat."""
    metric = newton.scales(hessian)
    one = jnp.eye(fixed.size)
    scaled = jnp.where(fixed[:, None] | fixed[None, :], one, hessian / jnp.outer(metric, metric))
    curvatures, directions = jnp.linalg.eigh(scaled)
    inverted = jnp.where(curvatures > newton.FLOOR, 1.0 / curvatures, 0.0)
    return (directions * inverted[None, :]) @ directions.T / jnp.outer(metric, metric)
