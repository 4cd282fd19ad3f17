"""DGLAP evolution on the grid, through flavour thresholds, to any scales.

Each number of flavours is a leg, with steps of equal length in ln a between its ends. The sequence
of legs and steps is fixed and their ends are not, so all is differentiable in the coupling, the
positions of the thresholds and the scales. A scale cuts the step that it lies in; it belongs to the
leg on whose side of the thresholds it lies. Downwards all goes backwards.
The legs are a loop, so that one of them is compiled and not each.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics.pdf import flavours
from diffpipe.pipelines.physics.pdf.evolution import coupling, runge_kutta, state
from diffpipe.pipelines.physics.pdf.evolution.coupling import Running
from diffpipe.pipelines.physics.pdf.evolution.state import State
from diffpipe.pipelines.physics.pdf.evolution.theory import Theory, coupling_at, running_of
from diffpipe.pipelines.physics.pdf.kernels.tables import KernelMatrices, MatchingMatrices

FAR = 1e3  # ln mu^2 beyond all scales: where the last leg would end


class Settings(NamedTuple):
    """What is fixed before any value is known."""

    order: str
    flavours: tuple[int, ...]  # those met upwards, e.g. (3, 4, 5), from the number at q0
    flavours_below: tuple[int, ...]  # those met downwards, e.g. (4, 3); empty: never down
    steps: int  # within each leg


class Kernels(NamedTuple):
    """Constants of the grid."""

    numbers: tuple[int, ...]  # of flavours, in the order of the first axis
    matrices: KernelMatrices  # with that axis before all others
    matching: MatchingMatrices | None  # from NNLO on


class Evolved(NamedTuple):
    """At each scale: what `read` makes of the state, and a = alpha_s(muR)/(4 pi), (scale,)."""

    values: Array
    a: Array


def evolve(
    start: State,
    theory: Theory,
    a_flavours: int,
    scales: Array,
    settings: Settings,
    kernels: Kernels,
    axis: int,
    read: Callable[[State, Array], Array],
) -> Evolved:
    """`start` at theory.q0 evolved to each scale muF (GeV), (scale,).

    axis: the length of the flavour axis; read: from a state and the matrix of `to_physical` that
    belongs to it, (axis, row), to an array.
    """
    running = running_of(theory, settings.order)
    log_q02 = 2.0 * jnp.log(theory.q0) + running.log_kr
    a = coupling_at(theory, a_flavours, log_q02, settings.flavours[0], running)
    log_scales = 2.0 * jnp.log(scales) + running.log_kr
    walk = _Walk(running, kernels, settings.steps, log_scales, axis, read)
    above = _upwards(walk, settings.flavours, _Place(start, a, log_q02))
    if not settings.flavours_below:
        return above
    below = _downwards(walk, settings.flavours_below, _Place(start, a, log_q02))
    return _chosen(log_scales < log_q02, below, above)


class _Walk(NamedTuple):
    """What stays the same from leg to leg."""

    running: Running
    kernels: Kernels
    steps: int
    log_scales: Array  # ln muR^2 of the scales asked
    axis: int
    read: Callable[[State, Array], Array]


class _Place(NamedTuple):
    """Where a leg begins."""

    now: State
    a: Array
    log_mu2: Array


class _Leg(NamedTuple):
    """One number of flavours."""

    nf: Array  # int32
    left: Array  # legs that follow, int32
    end: Array  # ln muR^2 where it ends: the next threshold, or far off
    kernels: KernelMatrices
    projection: Array  # (axis, row)


def _upwards(walk: _Walk, numbers: Sequence[int], place: _Place) -> Evolved:
    thresholds = [walk.running.log_m2[nf] for nf in numbers[1:]]

    def travel(place: _Place, leg: _Leg) -> tuple[_Place, Evolved]:
        place, found = _travel(walk, place, leg, upwards=True)
        if not thresholds:
            return place, found
        a = coupling.gain_flavour(place.a, walk.running)
        now = state.gain_flavour(place.now, leg.nf, leg.left, a, walk.kernels.matching)
        return _Place(now, a, place.log_mu2), found

    legs = _legs(walk, numbers, [*thresholds, jnp.asarray(FAR)])
    found = jax.lax.scan(travel, place, legs)[1]
    return _of_leg(found, sum(_passed(walk.log_scales >= each) for each in thresholds))


def _downwards(walk: _Walk, numbers: Sequence[int], place: _Place) -> Evolved:
    thresholds = [walk.running.log_m2[nf + 1] for nf in numbers[1:]]

    def travel(place: _Place, leg: _Leg) -> tuple[_Place, Evolved]:
        place, found = _travel(walk, place, leg, upwards=False)
        if not thresholds:
            return place, found
        now = state.lose_flavour(place.now, leg.nf, place.a, walk.kernels.matching)
        a = coupling.lose_flavour(place.a, walk.running)
        return _Place(now, a, place.log_mu2), found

    legs = _legs(walk, numbers, [*thresholds, jnp.asarray(-FAR)])
    found = jax.lax.scan(travel, place, legs)[1]
    return _of_leg(found, sum(_passed(walk.log_scales < each) for each in thresholds))


def _legs(walk: _Walk, numbers: Sequence[int], ends: Sequence[Array]) -> _Leg:
    """All legs, with their number as first axis."""
    places = np.array([walk.kernels.numbers.index(nf) for nf in numbers])
    room, count = max(numbers), len(numbers)
    projections = [flavours.to_physical(nf, walk.axis, room) for nf in numbers]
    return _Leg(
        jnp.asarray(np.array(numbers, np.int32)),
        jnp.asarray(np.arange(count - 1, -1, -1, dtype=np.int32)),
        jnp.stack(list(ends)),
        jax.tree.map(lambda block: block[places], walk.kernels.matrices),
        jnp.asarray(np.stack(projections)),
    )


def _travel(walk: _Walk, place: _Place, leg: _Leg, *, upwards: bool) -> tuple[_Place, Evolved]:
    """The end of a leg, and what is found at the scales on the way."""
    scales = _clipped(walk.log_scales, place.log_mu2, leg.end, upwards)
    end = _end(scales, leg.end, upwards)
    nf, order = leg.nf.astype(place.a.dtype), walk.running.order
    ends = coupling.run(place.a, jnp.append(scales, end) - place.log_mu2, order, nf)
    log_a, log_ends = jnp.log(place.a), jnp.log(ends)
    mesh, place_of_scale = _mesh(log_a, log_ends, walk.steps)
    strengths = runge_kutta.strengths(mesh[:-1], jnp.diff(mesh), order, nf, walk.running.log_kr)

    def advance(now: State, strength: Array) -> tuple[State, State]:
        after = runge_kutta.step(now, strength, leg.kernels)
        return after, after

    final, history = jax.lax.scan(advance, place.now, strengths)
    at_scales = jax.tree.map(lambda block: block[place_of_scale], history)
    values = jax.vmap(lambda now: walk.read(now, leg.projection))(at_scales)
    return _Place(final, ends[-1], end), Evolved(values, ends[:-1])


def _mesh(begin: Array, points: Array, steps: int) -> tuple[Array, Array]:
    """Where the steps of a leg begin and end in ln a, and the step that ends at each scale.

    points (scale + 1,): ln a at the scales and at the end. To equal steps the scales are added as
    points of their own; the only scale is the end itself.
    """
    *scales, end = points
    length = (end - begin) / steps
    equal = begin + length * np.arange(1, steps + 1, dtype=np.float64)
    if len(scales) == 1:
        return jnp.append(begin, equal), jnp.full(1, steps - 1)
    every = jnp.append(equal, points[:-1])
    order = jnp.argsort(jnp.abs(every - begin))
    return jnp.append(begin, every[order]), jnp.argsort(order)[steps:]


def _clipped(log_scales: Array, begin: Array, end: Array, upwards: bool) -> Array:
    """The scales, moved to the nearer end of the leg where they lie outside."""
    if upwards:
        scales = jnp.where(log_scales >= begin, log_scales, begin)
        return jnp.where(scales <= end, scales, end)
    scales = jnp.where(log_scales <= begin, log_scales, begin)
    return jnp.where(scales >= end, scales, end)


def _end(scales: Array, end: Array, upwards: bool) -> Array:
    """Where the leg's steps end: at the only scale, so that it needs no step of its own."""
    if scales.size == 1:
        return scales[0]
    farthest = jnp.max(scales) if upwards else jnp.min(scales)
    return jnp.where(jnp.abs(end) < FAR, end, farthest)


def _passed(thresholds: Array) -> Array:
    return thresholds.astype(jnp.int32)


def _of_leg(found: Evolved, leg: Array | int) -> Evolved:
    """For each scale what was found on its leg."""
    scale = np.arange(found.a.shape[1])
    return jax.tree.map(lambda each: each[leg, scale], found)


def _chosen(condition: Array, first: Evolved, second: Evolved) -> Evolved:
    def choose(one: Array, other: Array) -> Array:
        return jnp.where(condition.reshape(-1, *[1] * (one.ndim - 1)), one, other)

    return jax.tree.map(choose, first, second)
