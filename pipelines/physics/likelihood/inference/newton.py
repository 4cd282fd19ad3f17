"""The minimum of a smooth function in a box: Newton's method with the exact Hessian.

A step minimises the quadratic model at theta over the box, damped where it has to be:

    (H_ff + nu D^2) p_f = -(g_f + H_fh p_h),   D^2 = |diag H|

on the free components f, while the held ones h stay (fixed, or at a bound that the function pushes
against) or go to the bound that the step would cross. nu is FLOOR as long as steps succeed, and is
raised tenfold after one that does not: Hessian not positive definite, function not finite there,
or not lowered as the model says. In the metric of D a step is the same in whatever units the
parameters are, and a direction in which the function is flat is one in which nothing moves.

Sources: Bertsekas, SIAM J. Control Optim. 20 (1982) 221 (projected Newton); Nocedal and Wright,
Numerical Optimization, chapters 4 and 10 (damping); Hager and Zhang, SIAM J. Optim. 16 (2005) 170
(a step near the minimum is judged by slopes, as the difference of two values is rounding).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.scipy.linalg import cho_factor, cho_solve

FLOOR = 1e-10  # least damping: far below the curvature of any direction that data determine
RAISED = 1e-3  # damping after the first step that failed
SUFFICIENT = 1e-4  # part of the predicted decrease that a step has to achieve
TURNED = 0.05  # least curvature of a model made convex; the diagonal has 1
GOOD = 0.75  # part that makes the model good enough for less damping
BY_SLOPES = 1e-7  # predicted decrease below which slopes judge: 0.0004 sigma from the minimum
SMALL = 1e-13  # predicted decrease of a converged function: 5e-7 sigma from the minimum
TINY = 1e-24  # predicted decrease that rounding leaves; smaller needs no further step
IMPROVED = 0.25  # while a step still lessens the predicted decrease by this, one more is made
MOST_ITERATIONS = 200
MOST_DAMPING = 1e8  # steps are then 1e-8 of what they should be: there is no way on


class Point(NamedTuple):
    """A function's value (), gradient (n,) and Hessian (n, n)."""

    value: Array
    gradient: Array
    hessian: Array


class Box(NamedTuple):
    """Bounds (n,), infinite where there is none, and the components (n,) that do not move."""

    lower: Array
    upper: Array
    fixed: Array


class Minimum(NamedTuple):
    """Where the search ended: theta (n,), the function there, and how it got there."""

    theta: Array
    point: Point
    converged: Array
    iterations: Array


class _State(NamedTuple):
    theta: Array
    point: Point
    damping: Array
    step: Array
    predicted: Array  # decrease that the quadratic model expects of the step
    small: Array  # that decrease is what a converged function has
    converged: Array
    iterations: Array


def minimise(evaluate: Callable[[Array], Point], start: Array, box: Box) -> Minimum:
    """The minimum of a function in a box, from `start` (n,), moved into the box where it is not.

    evaluate: theta (n,) -> Point; a value that is not finite is one to stay away from. Converged
    is a point where the quadratic model, positive definite on the free components, expects a
    decrease below SMALL; steps go on below that as long as they improve.
    """
    start = jnp.where(box.fixed, start, jnp.clip(start, box.lower, box.upper))
    end = lax.while_loop(_goes_on, lambda state: _next(evaluate, state, box), _first(start))
    return Minimum(end.theta, end.point, end.converged, end.iterations)


def scales(hessian: Array) -> Array:
    """The metric D (n,): roots of the curvatures, 1 where the function has none."""
    curvature = jnp.abs(jnp.diagonal(hessian))
    least = 1e-24 * jnp.max(curvature)  # units may differ by 12 orders, more is rounding
    return jnp.where(curvature > least, jnp.sqrt(curvature), 1.0)


def _first(start: Array) -> _State:
    """Before the start is evaluated: a step of length zero from a value that any other betters."""
    zero = jnp.zeros_like(start)
    point = Point(jnp.asarray(jnp.inf), zero, jnp.eye(start.size))
    no, none = jnp.asarray(False), jnp.asarray(0, jnp.int64)
    return _State(start, point, jnp.asarray(FLOOR), zero, jnp.asarray(0.0), no, no, none)


def _goes_on(state: _State) -> Array:
    alive = (state.iterations == 0) | jnp.isfinite(state.point.value)
    able = (state.iterations < MOST_ITERATIONS) & (state.damping < MOST_DAMPING)
    return ~state.converged & alive & able


def _next(evaluate: Callable[[Array], Point], state: _State, box: Box) -> _State:
    trial = jnp.where(box.fixed, state.theta, jnp.clip(state.theta + state.step, *box[:2]))
    point = evaluate(trial)
    gain = _gain(state, point)
    accepted = gain >= SUFFICIENT  # false for NaN
    theta = jnp.where(accepted, trial, state.theta)
    kept = Point(*(jnp.where(accepted, *each) for each in zip(point, state.point, strict=True)))
    damping = _damping(state.damping, gain)
    step, predicted, convex = _step(theta, kept, damping, box)
    small = convex & (damping <= FLOOR) & (jnp.abs(predicted) <= SMALL)
    at_rest = (jnp.abs(predicted) <= TINY) | (predicted > IMPROVED * state.predicted)
    # a step that fails where hardly any decrease is left fails by rounding
    rounding = state.small & ~accepted & jnp.isfinite(point.value)
    done = (small & at_rest) | rounding
    return _State(theta, kept, damping, step, predicted, small, done, state.iterations + 1)


def _gain(state: _State, point: Point) -> Array:
    """The decrease that a step achieved, over that which the model predicted; NaN if unknown."""
    by_slopes = -0.5 * jnp.vdot(state.point.gradient + point.gradient, state.step)
    near = (state.predicted <= BY_SLOPES) & (state.iterations > 0)
    decrease = jnp.where(near, by_slopes, state.point.value - point.value)
    known = jnp.isfinite(point.value) & jnp.all(jnp.isfinite(point.gradient))
    return jnp.where(known, decrease, jnp.nan) / jnp.where(
        state.predicted > 0, state.predicted, 1.0
    )


def _damping(damping: Array, gain: Array) -> Array:
    relaxed = jnp.where(damping > RAISED, 0.1 * damping, FLOOR)
    kept = jnp.where(gain >= GOOD, relaxed, damping)
    return jnp.where(gain >= SUFFICIENT, kept, jnp.maximum(10.0 * damping, RAISED))


class _Holding(NamedTuple):
    held: Array
    displacement: Array  # of the held components, in units of the metric; zero for the others
    scaled: Array  # the step in units of the metric
    settled: Array


def _step(theta: Array, point: Point, damping: Array, box: Box) -> tuple[Array, Array, Array]:
    """The damped minimum of the model in the box, the decrease it predicts, and H_ff > 0."""
    metric = scales(point.hessian)
    slope, pushed = point.gradient / metric, _pushed(theta, point.gradient, box)
    curvature, convex = _convex(_without(pushed, point.hessian / jnp.outer(metric, metric)))
    room = (box.lower - theta) * metric, (box.upper - theta) * metric

    def hold(state: _Holding) -> _Holding:
        scaled = _solved(curvature, slope, damping, state)
        low, high = (~state.held & (scaled < room[0])), (~state.held & (scaled > room[1]))
        displacement = jnp.where(low, room[0], jnp.where(high, room[1], state.displacement))
        return _Holding(state.held | low | high, displacement, scaled, ~jnp.any(low | high))

    zero = jnp.zeros_like(theta)
    first = _Holding(pushed, zero, zero, jnp.asarray(False))
    scaled = lax.while_loop(lambda state: ~state.settled, hold, first).scaled
    predicted = -(slope @ scaled + 0.5 * scaled @ (curvature @ scaled))
    return scaled / metric, predicted, convex


def _pushed(theta: Array, gradient: Array, box: Box) -> Array:
    """Components that stay: fixed, or at a bound beyond which the function would be smaller."""
    below, above = theta <= box.lower, theta >= box.upper
    return box.fixed | (below & (gradient > 0.0)) | (above & (gradient < 0.0))


def _without(held: Array, matrix: Array) -> Array:
    """The matrix on the other components, the unit matrix on the held ones."""
    return jnp.where(held[:, None] | held[None, :], jnp.eye(held.size), matrix)


def _convex(curvature: Array) -> tuple[Array, Array]:
    """The curvature if it is positive definite, else that with |eigenvalues|; and which it is.

    Where it is not, the minimum is far and steps are kept short: no eigenvalue below TURNED.
    """
    known = jnp.all(jnp.isfinite(cho_factor(curvature + FLOOR * jnp.eye(len(curvature)))[0]))

    def turned(matrix: Array) -> Array:
        eigenvalues, directions = jnp.linalg.eigh(matrix)
        return (directions * jnp.maximum(jnp.abs(eigenvalues), TURNED)[None, :]) @ directions.T

    return lax.cond(known, lambda matrix: matrix, turned, curvature), known


def _solved(curvature: Array, slope: Array, damping: Array, state: _Holding) -> Array:
    """The step, in units of the metric, that minimises the damped model with some held."""
    matrix = _without(state.held, curvature + damping * jnp.eye(slope.size))
    right = -(slope + curvature @ state.displacement)
    return cho_solve(cho_factor(matrix), jnp.where(state.held, state.displacement, right))
