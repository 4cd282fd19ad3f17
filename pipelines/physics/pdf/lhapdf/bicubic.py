"""Log-bicubic interpolation of an LHAPDF set, as LHAPDF does it ("logcubic").

Cubic Hermite in ln x and in ln Q^2 (`hermite`) on the subgrid of Q, the upper one at a threshold;
linear in both on a subgrid of two or three Q knots. The result is linear in the grid, and has a
continuous derivative in x and Q within a subgrid. Source: arXiv:1412.7420.

Not done: LHAPDF's extrapolation and its flag ForcePositive, which are not linear in the grid.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics.pdf.lhapdf import hermite

MIN_CUBIC = 4  # Q knots of a subgrid
EDGE = 1e-12  # an end of the grid, up to rounding, is on it


class Knots(NamedTuple):
    """The knots of all subgrids, one run after the other."""

    value: Array  # (knot,)
    log: Array  # (knot,)


class Table(NamedTuple):
    """A set made ready for events; the last three say what run of knots a Q knot goes with."""

    rows: Array  # (pair of knots, flavour): subgrid by subgrid, Q fastest
    x: Knots
    q: Knots
    q_run: Array  # (Q knot, 2), first and last Q knot of the subgrid, int32
    x_run: Array  # (Q knot, 2), first and last x knot of the subgrid, int32
    offset: Array  # (Q knot,), row of the subgrid's first pair, int32


class Scale(NamedTuple):
    """The subgrid of each event and its interpolation in Q; see `scale`."""

    q_cell: hermite.Cell
    weights: Array  # (event, 4); NaN outside the grid
    q_run: Array  # (event, 2)
    x_run: Array  # (event, 2)
    offset: Array  # (event,)


def table(arrays: Mapping[str, Array]) -> Table:
    """From the arrays x_0, q_0, xf_0, x_1, ... of the reader `lhapdf`; raises ValueError."""
    count = sum(1 for name in arrays if name.startswith("xf_"))
    subgrids = [[arrays[f"{name}_{i}"] for name in ("x", "q", "xf")] for i in range(count)]
    for number, (x, q, xf) in enumerate(subgrids):
        if xf.shape[:2] != (x.size, q.size) or min(x.size, q.size) < 2:
            raise ValueError(
                f"subgrid {number} has {x.size} x knots, {q.size} Q knots and values of shape "
                f"{xf.shape}"
            )
    every_x, every_q, every_xf = zip(*subgrids, strict=True)
    q_counts, x_counts = ([each.size for each in every] for every in (every_q, every_x))
    pairs = [x * q for x, q in zip(x_counts, q_counts, strict=True)]
    return Table(
        jnp.concatenate([each.reshape(-1, each.shape[-1]) for each in every_xf]),
        _knots(every_x),
        _knots(every_q),
        jnp.asarray(np.repeat(_runs(q_counts), q_counts, axis=0)),
        jnp.asarray(np.repeat(_runs(x_counts), q_counts, axis=0)),
        jnp.asarray(np.repeat(_runs(pairs)[:, 0], q_counts)),
    )


def scale(of: Table, q: Array) -> Scale:
    """Subgrid and interpolation of each event at Q (event,) in GeV; shared by its densities."""
    low, high = of.q.value[0] * (1.0 - EDGE), of.q.value[-1] * (1.0 + EDGE)
    inside = (q >= low) & (q <= high)
    safe = jnp.where(inside, q, of.q.value[0])
    knot = hermite.last_not_above(of.q.value, safe, 0, of.q.value.size - 1)
    run = hermite.take(of.q_run, knot)
    cell = _cell(knot, run)
    found = _weights(of.q, cell, jnp.log(safe), run)
    return Scale(
        cell,
        jnp.where(inside[:, None], found, jnp.nan),
        run,
        hermite.take(of.x_run, knot),
        hermite.take(of.offset, knot),
    )


def densities(of: Table, x: Array, at: Scale) -> Array:
    """x f(x, Q) per event, (event, flavour), the flavours as in the set.

    x (event,); `at` from `scale`. Zero for x > 1. For x below the grid, or between its end and 1,
    and for Q outside the grid, the value is NaN, which a runner refuses.
    """
    on_grid = (x >= of.x.value[0] * (1.0 - EDGE)) & (x <= of.x.value[-1])
    safe = jnp.where(on_grid, x, of.x.value[-1])
    first, last = at.x_run.T
    cell = _cell(hermite.last_not_above(of.x.value, safe, first, last), at.x_run)
    x_weights = _weights(of.x, cell, jnp.log(safe), at.q_run)
    x_knots = cell.stencil() - first[:, None]
    q_knots = at.q_cell.stencil() - at.q_run[:, :1]
    length = at.q_run[:, 1:] - at.q_run[:, :1] + 1
    pairs = (at.offset[:, None] + x_knots * length)[:, :, None] + q_knots[:, None, :]
    both = x_weights[:, :, None] * at.weights[:, None, :]
    size = hermite.STENCIL**2
    # one gather of whole rows: of those tried, the fastest with its transpose, a scatter
    rows = hermite.take(of.rows, pairs.reshape(-1, size))
    values = jnp.einsum("epf,ep->ef", rows, both.reshape(-1, size))
    return jnp.where(on_grid[:, None], values, jnp.where(x > 1.0, 0.0, jnp.nan)[:, None])


def _knots(every: Sequence[Array]) -> Knots:
    values = jnp.concatenate(every)
    return Knots(values, jnp.log(values))


def _runs(counts: Sequence[int]) -> np.ndarray:
    """First and last index of runs that follow each other, (run, 2), int32."""
    ends = np.cumsum(counts)
    return np.stack([ends - counts, ends - 1], axis=1).astype(np.int32)


def _cell(knot: Array, run: Array) -> hermite.Cell:
    """The cell that begins at the knot, or the last of its run."""
    first, last = run.T
    begin = jnp.minimum(knot, last - 1)
    return hermite.Cell(begin, begin > first, begin + 1 < last)


def _weights(knots: Knots, cell: hermite.Cell, log: Array, q_run: Array) -> Array:
    """Cubic, but linear on the subgrids with few Q knots."""
    cubic = (q_run[:, 1:] - q_run[:, :1]) >= MIN_CUBIC - 1
    linear = hermite.linear_weights(knots.log, cell, log)
    return jnp.where(cubic, hermite.weights(knots.log, cell, log), linear)
