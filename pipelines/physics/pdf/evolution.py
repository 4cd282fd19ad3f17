"""DGLAP evolution on the grid, through flavour thresholds.

d F/d ln a = -(P0 + a P1 + ...)/(b0 + b1 a + ...) F, not expanded further, by Runge-Kutta steps of
fourth order in ln a. Between two thresholds the sequence of steps is fixed and their length is not,
so the result is differentiable in the coupling and in the positions of the thresholds.
Source: section 2 of hep-ph/0408244, whose a and P_k are those used here.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics.pdf import coupling, flavours, kernels

OFFSETS = np.array([0.0, 0.5, 0.5, 1.0])  # of the classical Runge-Kutta method's four stages
SHARES = np.array([1.0, 2.0, 2.0, 1.0]) / 6.0


class Settings(NamedTuple):
    """What is fixed before any value is known."""

    order: str
    flavours: tuple[int, ...]  # active flavours between thresholds, e.g. (3, 4, 5)
    x_min: float
    points: int
    steps: int  # to each threshold, and from the last one to the first scale
    steps_between_scales: int


class Evolved(NamedTuple):
    """Densities x f at the scales asked, (n, scale, 11), and a = alpha_s/(4 pi) there, (scale,)."""

    densities: Array
    a: Array


class Step(NamedTuple):
    """The steps of a whole evolution, one after the other: what the loop runs over."""

    segment: np.ndarray  # (step,) index of the number of flavours
    arrival: np.ndarray  # (step,) the segment if it begins with this step, otherwise 0
    strength: Array  # (step, 4, order) what multiplies P_k (x) F at each of a step's four stages


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
    rows = jnp.asarray(flavours.to_basis(first, last)) @ physical
    history = _advance(rows, steps, settings)
    first_scale = len(settings.flavours) * settings.steps - 1
    at_scale = history[first_scale :: settings.steps_between_scales]
    densities = jnp.einsum("fr,srn->nsf", flavours.to_physical(last), at_scale)
    return Evolved(densities, at_ends[len(thresholds) :])


def _steps(log_a: Array, settings: Settings) -> Step:
    """From ln a at the start, at the thresholds and at the scales."""
    intervals, segments = np.arange(log_a.size - 1), len(settings.flavours)
    counts = np.where(intervals < segments, settings.steps, settings.steps_between_scales)
    segment = np.minimum(np.repeat(intervals, counts), segments - 1).astype(np.int32)
    arrival = segment * np.diff(segment, prepend=segment[:1])
    return Step(segment, arrival, _strength(log_a, counts, segment, settings))


def _strength(log_a: Array, counts: np.ndarray, segment: np.ndarray, settings: Settings) -> Array:
    """-h a^k/(b0 + b1 a + ...), h being the step's length in ln a.

    counts: the number of steps in each interval between the points of log_a.
    """
    ends = np.eye(counts.size + 1)  # ln a at a stage is linear in log_a: constant matrices
    start, length = ends[:-1], np.diff(ends, axis=0) / counts[:, None]
    start, length = np.repeat(start, counts, axis=0), np.repeat(length, counts, axis=0)
    number = np.concatenate([np.arange(count) for count in counts])
    passed = (number[:, None] + OFFSETS[None, :])[:, :, None]  # lengths since the interval began
    a = jnp.exp((start[:, None] + passed * length[:, None]) @ log_a)
    betas = np.array([coupling.beta_coefficients(settings.order, nf) for nf in settings.flavours])
    powers = [a**k for k in range(betas.shape[1])]
    beta = sum(power * betas[segment, k, None] for k, power in enumerate(powers))
    return jnp.stack([-(length @ log_a)[:, None] * power / beta for power in powers], axis=2)


def _advance(rows: Array, steps: Step, settings: Settings) -> Array:
    """The rows of the evolution basis after each step, (step, 2 nf + 1, n)."""
    matrices, arrivals = _matrices(settings), _arrivals(settings.flavours)

    def step(before: Array, now: Step) -> tuple[Array, Array]:
        own = jax.tree.map(lambda stack: stack[now.segment], matrices)
        after = _runge_kutta(arrivals[now.arrival] @ before, now.strength, own)
        return after, after

    # kept for the reverse pass: the rows before each step, not the matrices of each
    return jax.lax.scan(jax.checkpoint(step), rows, steps)[1]


def _matrices(settings: Settings) -> tuple[kernels.KernelMatrices, ...]:
    """Kernels of each order with a leading axis over the segments."""
    by_segment = [
        kernels.matrices(settings.order, nf, settings.x_min, settings.points)
        for nf in settings.flavours
    ]
    return jax.tree.map(lambda *parts: jnp.asarray(np.stack(parts)), *by_segment)


def _arrivals(numbers: Sequence[int]) -> Array:
    """What happens to the rows where a segment begins; the first stands for no arrival."""
    rows = 2 * numbers[-1] + 1
    later = [flavours.arrival(nf, numbers[-1]) for nf in numbers[1:]]
    return jnp.asarray(np.stack([np.eye(rows), *later]))


def _runge_kutta(rows: Array, strength: Array, matrices: Sequence[kernels.KernelMatrices]) -> Array:
    """One step of the classical method of fourth order; strength (4, order)."""

    def stage(
        carry: tuple[Array, Array], now: tuple[Array, Array, Array]
    ) -> tuple[tuple[Array, Array], None]:
        change, total = carry
        offset, share, strength = now
        change = _change(rows + offset * change, strength, matrices)
        return (change, total + share * change), None

    # a loop over the four stages rather than four copies: less code to compile
    stages = jnp.asarray(OFFSETS), jnp.asarray(SHARES), strength
    return jax.lax.scan(stage, (jnp.zeros_like(rows), rows), stages)[0][1]


def _change(rows: Array, strength: Array, matrices: Sequence[kernels.KernelMatrices]) -> Array:
    terms = [strength[k] * _convolve(kernel, rows) for k, kernel in enumerate(matrices)]
    return sum(terms[1:], terms[0])


def _convolve(kernel: kernels.KernelMatrices, rows: Array) -> Array:
    nf, n = rows.shape[0] // 2, rows.shape[1]
    quarks = jnp.einsum("sij,sfj->sfi", kernel.quarks, rows[1:].reshape(2, nf, n))
    singlet = kernel.singlet @ rows[:2].reshape(-1)
    return jnp.pad(quarks.reshape(-1, n), ((1, 0), (0, 0))) + jnp.pad(
        singlet.reshape(2, n), ((0, 2 * nf - 1), (0, 0))
    )
