"""Momentum and numbers of quarks that densities on the grid carry."""

import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics.pdf import grid

COUNTED = 3  # u, d, s
VALENCE = (0, 1)  # u, d: what of them a proton holds is scaled by


def momentum(densities: Array, x_min: float, points: int) -> Array:
    """The share of the proton's momentum in densities x f (flavour, n): 1 for a proton."""
    return _integral(jnp.sum(densities, axis=0), 1, x_min, points)


def numbers(densities: Array, x_min: float, points: int) -> Array:
    """Numbers of u, d and s quarks less their antiquarks, (3,): 2, 1, 0 for a proton."""
    room = densities.shape[0] // 2
    valence = [densities[quark] - densities[room + quark] for quark in range(COUNTED)]
    return jnp.stack([_integral(each, 0, x_min, points) for each in valence])


def kept(densities: Array, like: Array, x_min: float, points: int) -> Array:
    """Densities with the numbers of u and d quarks and the momentum that others carry.

    Both (flavour, n). The valence densities q - qbar of u and d are scaled, then the gluon.
    """
    room, gluon = densities.shape[0] // 2, densities.shape[0] - 1
    ratio = numbers(like, x_min, points) / numbers(densities, x_min, points)
    found = densities
    for quark in VALENCE:
        sea = densities[room + quark]
        found = found.at[quark].set(sea + ratio[quark] * (densities[quark] - sea))
    quarks = [momentum(each.at[gluon].set(0.0), x_min, points) for each in (like, found)]
    gluons = [_integral(each[gluon], 1, x_min, points) for each in (like, found)]
    return found.at[gluon].multiply((gluons[0] + quarks[0] - quarks[1]) / gluons[1])


def _integral(density: Array, power: int, x_min: float, points: int) -> Array:
    """int_0^1 dx x^(power - 1) F(x), F (n,); below x_min a power of x, nothing if that diverges."""
    log_x = np.log(grid.nodes(x_min, points)[-2:])
    same_sign = density[-1] * density[-2] > 0.0
    ratio = jnp.where(same_sign, density[-1] / jnp.where(same_sign, density[-2], 1.0), 1.0)
    slope = jnp.log(ratio) / float(log_x[1] - log_x[0]) + power
    finite = same_sign & (slope > 0.0)
    tail = density[-1] * x_min**power / jnp.where(finite, slope, 1.0)
    return density @ grid.moment_weights(x_min, points, power) + jnp.where(finite, tail, 0.0)
