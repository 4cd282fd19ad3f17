"""DGLAP evolution on the grid, through flavour thresholds.

d F/d ln a = -(P0 + a P1 + ...)/(b0 + b1 a + ...) F, not expanded further, by Runge-Kutta steps of
fourth order in ln a. Between two thresholds the sequence of steps is fixed and their length is not,
so the result is differentiable in the coupling and in the positions of the thresholds.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics.pdf import coupling, kernels
from diffpipe.pipelines.physics.pdf.flavours import (
    Basis,
    add_flavours,
    pack,
    to_basis,
    to_physical,
    unpack,
    widen,
)

OFFSETS = (0.0, 0.5, 0.5, 1.0)  # of the classical Runge-Kutta method's four stages
SHARES = (1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0)


class Settings(NamedTuple):
    """What is fixed before any value is known."""

    order: str
    flavours: tuple[int, ...]  # active flavours between thresholds, e.g. (3, 4, 5)
    x_min: float
    points: int
    steps: int  # to each threshold, and from the last one to the first scale
    steps_between_scales: int


class Evolved(NamedTuple):
    """Densities x f at the scales asked, (scale, 11, n), and a = alpha_s/(4 pi) there, (scale,)."""

    densities: Array
    a: Array


class Step(NamedTuple):
    """The steps of a whole evolution, one after the other: what the loop runs over."""

    length: Array  # (step,) in ln a
    segment: Array  # (step,) which number of flavours
    arrives: Array  # (step, flavours - 1) which T and V appear just before the step


def evolve(
    physical: Array,
    a: Array,
    q0: float,
    thresholds: Sequence[Array],
    scales: np.ndarray,
    settings: Settings,
) -> Evolved:
    """Densities x f (11, n) at q0 GeV evolved through thresholds (GeV) to rising scales (GeV).

    The number of thresholds is one less than that of `settings.flavours`; every scale is reached
    with the last number of flavours, wherever the thresholds lie.
    """
    at_ends = coupling.at_scales(a, q0, thresholds, scales, settings.order, settings.flavours)
    steps = _steps(jnp.log(jnp.concatenate([a[None], at_ends])), settings)
    first, last = settings.flavours[0], settings.flavours[-1]
    state = widen(to_basis(physical, first), last)
    history = _advance(state, jnp.log(a), steps, settings)
    at_scale = len(steps.segment) - 1 - settings.steps_between_scales * np.arange(scales.size)[::-1]
    rows = jax.tree.map(lambda leaf: leaf[at_scale], history)
    densities = jax.vmap(lambda row: to_physical(row, last))(rows)
    return Evolved(densities, at_ends[len(thresholds) :])


def _steps(log_a: Array, settings: Settings) -> Step:
    """From ln a at the start, at the thresholds and at the scales."""
    segments, intervals = len(settings.flavours), np.arange(log_a.size - 1)
    per_interval = np.where(intervals < segments, settings.steps, settings.steps_between_scales)
    interval_of_step = np.repeat(intervals, per_interval)
    arrives = np.zeros((interval_of_step.size, settings.flavours[-1] - 1), dtype=bool)
    for number, nf in enumerate(settings.flavours[1:], start=1):
        arrives[number * settings.steps, nf - 2] = True
    length = jnp.diff(log_a) / per_interval.astype(np.float64)
    segment_of_step = np.minimum(interval_of_step, segments - 1).astype(np.int32)
    return Step(length[interval_of_step], jnp.asarray(segment_of_step), jnp.asarray(arrives))


def _advance(state: Basis, log_a: Array, steps: Step, settings: Settings) -> Basis:
    """The state after each step."""
    matrices = _stacked(
        [
            kernels.matrices(settings.order, nf, settings.x_min, settings.points)
            for nf in settings.flavours
        ]
    )
    betas = jnp.asarray(
        [coupling.beta_coefficients(settings.order, nf) for nf in settings.flavours]
    )

    def step(carry: tuple[Array, Array], now: Step) -> tuple[tuple[Array, Array], Array]:
        before, log_a = carry
        own = jax.tree.map(lambda stack: stack[now.segment], matrices)
        start = pack(add_flavours(unpack(before), now.arrives))
        after = _runge_kutta(start, log_a, now.length, own, betas[now.segment])
        return (after, log_a + now.length), after

    # kept for the reverse pass: the state before each step, not the matrices of each
    return unpack(jax.lax.scan(jax.checkpoint(step), (pack(state), log_a), steps)[1])


def _stacked(
    by_segment: Sequence[tuple[kernels.KernelMatrices, ...]],
) -> tuple[kernels.KernelMatrices, ...]:
    """Kernels of each order with a leading axis over the segments."""
    return jax.tree.map(lambda *parts: jnp.asarray(np.stack(parts)), *by_segment)


def _runge_kutta(
    state: Array,
    log_a: Array,
    length: Array,
    matrices: Sequence[kernels.KernelMatrices],
    betas: Array,
) -> Array:
    """One step of the classical method of fourth order, on the packed state."""

    def stage(
        carry: tuple[Array, Array], tableau: tuple[Array, Array]
    ) -> tuple[tuple[Array, Array], None]:
        slope, total = carry
        offset, share = tableau
        moved = offset * length
        slope = _derivative(state + moved * slope, log_a + moved, matrices, betas)
        return (slope, total + share * length * slope), None

    # a loop over the four stages rather than four copies: less code to compile
    tableau = jnp.asarray(OFFSETS), jnp.asarray(SHARES)
    return jax.lax.scan(stage, (jnp.zeros_like(state), state), tableau)[0][1]


def _derivative(
    state: Array, log_a: Array, matrices: Sequence[kernels.KernelMatrices], betas: Array
) -> Array:
    """-(P0 + a P1 + ...) F / (b0 + b1 a + ...): eq. (2.20) of hep-ph/0408244, unexpanded."""
    powers = [jnp.exp(k * log_a) for k in range(len(matrices))]
    beta = sum(power * betas[k] for k, power in enumerate(powers))
    terms = [
        (-power / beta) * pack(_convolve(kernel, unpack(state)))
        for power, kernel in zip(powers, matrices, strict=True)
    ]
    return sum(terms[1:], terms[0])


def _convolve(kernel: kernels.KernelMatrices, state: Basis) -> Basis:
    return Basis(
        (state.singlet.reshape(-1) @ kernel.singlet.T).reshape(state.singlet.shape),
        state.plus @ kernel.ns_plus.T,
        state.valence @ kernel.valence.T,
        state.minus @ kernel.ns_minus.T,
    )
