"""The strong coupling of an LHAPDF set that tabulates it (`AlphaS_Type: ipol`)."""

import jax.numpy as jnp
from jax import Array

from diffpipe.pipelines.physics.pdf.lhapdf import hermite


def alphas(alphas_q: Array, values: Array, q: Array) -> Array:
    """alpha_s(Q) at Q (event,) in GeV, (event,), from the arrays of the reader `lhapdf`.

    Cubic Hermite in ln Q^2 on the run of knots between two thresholds, which stand twice among the
    knots alphas_q (knot,) in GeV; at a threshold the run above it counts. NaN outside the knots.
    Linear in the values (knot,), differentiable in Q. Source: arXiv:1412.7420.
    """
    inside = (q >= alphas_q[0]) & (q <= alphas_q[-1])
    safe = jnp.where(inside, q, alphas_q[0])
    last = alphas_q.size - 1
    knot = hermite.last_not_above(alphas_q, safe, 0, last)
    knot = jnp.minimum(knot, last - 1)
    below, above = jnp.maximum(knot - 1, 0), jnp.minimum(knot + 2, last)
    cell = hermite.Cell(
        knot,
        hermite.take(alphas_q, below) < hermite.take(alphas_q, knot),
        hermite.take(alphas_q, knot + 1) < hermite.take(alphas_q, above),
    )
    weights = hermite.weights(jnp.log(alphas_q), cell, jnp.log(safe))
    found = jnp.sum(hermite.take(values, cell.stencil()) * weights, axis=1)
    return jnp.where(inside, found, jnp.nan)
