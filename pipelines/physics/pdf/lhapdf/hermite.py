"""Cubic Hermite interpolation between knots, as weights of the four knots around a point.

On the cell [u_i, u_(i+1)] of width h, with t = (u - u_i)/h, the value is

    (1 + 2t)(1 - t)^2 f_i + t (1 - t)^2 h m_i + t^2 (3 - 2t) f_(i+1) + t^2 (t - 1) h m_(i+1)

where the slope m at a knot is the mean of the difference quotients on its two sides, and the only
one at the first and last knot of a run (the interpolation "logcubic" of arXiv:1412.7420). All of it
is linear in f, so it is a sum of f_(i-1) .. f_(i+2) with weights that depend on u and the knots.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

STENCIL = 4


class Cell(NamedTuple):
    """The cell of each point: its first knot, and whether its run of knots goes on either way."""

    knot: Array  # (event,), int32
    goes_down: Array  # (event,), bool
    goes_up: Array  # (event,), bool

    def stencil(self) -> Array:
        """The knots i-1 .. i+2, (event, 4), int32; beyond the run the end is repeated."""
        down, up = (each.astype(jnp.int32) for each in (self.goes_down, self.goes_up))
        return jnp.stack([self.knot - down, self.knot, self.knot + 1, self.knot + 1 + up], axis=1)


def last_not_above(knots: Array, value: Array, first: Array | int, last: Array | int) -> Array:
    """The last of the knots first..last that is <= value, (event,), int32; `first` if none is.

    knots rise from first to last; these are of each event, or of all.
    """

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high + 1) // 2
        below = take(knots, middle) <= value
        return jnp.where(below, middle, low), jnp.where(below, high, jnp.maximum(middle - 1, low))

    low, high = (jnp.broadcast_to(jnp.int32(end), value.shape) for end in (first, last))
    low, _ = jax.lax.fori_loop(0, knots.size.bit_length(), halve, (low, high))
    return low


def weights(knots: Array, cell: Cell, u: Array) -> Array:
    """Weights (event, 4) of the values at the knots of `cell.stencil()`, at u (event,)."""
    left, low, high, right = take(knots, cell.stencil()).T
    width = high - low
    t = (u - low) / width
    down, up = (jnp.where(each, 0.5, 0.0) for each in (cell.goes_down, cell.goes_up))
    # h m_i = down * back * (f_i - f_(i-1)) + (1 - down) * (f_(i+1) - f_i), likewise m_(i+1)
    back = down * width / jnp.where(cell.goes_down, low - left, 1.0)
    ahead = up * width / jnp.where(cell.goes_up, right - high, 1.0)
    slope_low, slope_high = t * (1.0 - t) ** 2, t**2 * (t - 1.0)
    inner = slope_low * (1.0 - down) + slope_high * (1.0 - up)
    return jnp.stack(
        [
            -slope_low * back,
            (1.0 + 2.0 * t) * (1.0 - t) ** 2 + slope_low * back - inner,
            t**2 * (3.0 - 2.0 * t) - slope_high * ahead + inner,
            slope_high * ahead,
        ],
        axis=1,
    )


def linear_weights(knots: Array, cell: Cell, u: Array) -> Array:
    """As `weights`, of linear interpolation."""
    low, high = take(knots, cell.knot), take(knots, cell.knot + 1)
    t = (u - low) / (high - low)
    zero = jnp.zeros_like(t)
    return jnp.stack([zero, 1.0 - t, t, zero], axis=1)


def take(rows: Array, index: Array) -> Array:
    """rows[index], for indices that are known to be there."""
    return rows.at[index].get(mode="promise_in_bounds")
