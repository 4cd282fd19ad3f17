"""Sums over bins where every event is spread by a Gaussian: smooth in all it depends on.

An event at x with bandwidth h has the share Phi((b - x)/h) - Phi((a - x)/h) of its weight in the
interval (a, b), Phi being the normal distribution function: the kernel density estimate integrated
over the interval. In several variables shares multiply. Shares of adjacent intervals add up to that
of both, so no weight is lost but beyond the outermost edges, and none with overflow.

Source: "binned kernel density estimate" of arXiv:2203.05570; K. Cranmer, hep-ex/0011057.
"""

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import Array

from diffpipe.pipelines.physics.analysis.binning import Axis, Group, size

MOST_VARIABLES = 3
ELEMENTS = 2**18  # of the largest array of a block: 2 MiB
LETTERS = "ijk"


def sums(
    group: Group,
    events: Mapping[str, Array],
    values: Array,
    bandwidths: Mapping[str, Array],
    *,
    overflow: bool,
    power: int = 1,
) -> Array:
    """Sums of values (event, k) times share^power over the bins of one group, (bins, k).

    bandwidths: of each variable, scalars in its unit. Events are taken in blocks, which are
    evaluated again in the reverse pass, so that memory does not grow with events times bins.
    """
    block = max(1, ELEMENTS // size(group))
    columns = {axis.variable: events[axis.variable] for axis in group}

    def of_block(part: tuple[dict[str, Array], Array]) -> Array:
        x, summed = part
        kernels = [shares(axis, x[axis.variable], bandwidths, overflow) ** power for axis in group]
        return _contracted(kernels, summed)

    count = values.shape[0]
    if count <= block:
        return of_block((columns, values))
    blocks = -(-count // block)
    parts = jax.tree.map(lambda column: _cut(column, blocks), (columns, values))
    return jnp.sum(jax.lax.map(jax.checkpoint(of_block), parts), axis=0)


def shares(axis: Axis, x: Array, bandwidths: Mapping[str, Array], overflow: bool) -> Array:
    """The share of each event in each interval, (event, interval)."""
    edges = axis.edges[1:-1] if overflow else axis.edges
    below = _normal((edges[None, :] - x[:, None]) / bandwidths[axis.variable])
    if overflow:
        outside = jnp.zeros((x.size, 1)), jnp.ones((x.size, 1))
        below = jnp.concatenate([outside[0], below, outside[1]], axis=1)
    return jnp.diff(below, axis=1)


def _normal(z: Array) -> Array:
    """The normal distribution function, by its tail below zero, so that this keeps its digits."""
    return 0.5 * jax.lax.erfc(-z / math.sqrt(2.0))


def _contracted(kernels: list[Array], values: Array) -> Array:
    """Sum over events of values (event, k) times the product of the kernels, (bins, k)."""
    letters = LETTERS[: len(kernels)]
    terms = ",".join(f"e{letter}" for letter in letters)
    total = jnp.einsum(f"{terms},ev->{letters}v", *kernels, values)
    return total.reshape(-1, values.shape[1])


def _cut(column: Array, blocks: int) -> Array:
    """A column as (block, event of the block, ...), filled up with zeros, which weigh nothing."""
    rows = -(-column.shape[0] // blocks)
    missing = blocks * rows - column.shape[0]
    filled = jnp.pad(column, [(0, missing)] + [(0, 0)] * (column.ndim - 1))
    return filled.reshape(blocks, rows, *column.shape[1:])
