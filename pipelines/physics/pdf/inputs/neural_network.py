"""A neural-network input: x f_k = A_k x^a_k (1-x)^b_k NN_k(x), with the sum rules imposed.

k runs over the evolution basis of three flavours, as in section 3 of arXiv:2109.02653; network,
constants and starting values are our own. One dense network takes (x, ln x) to all NN_k, with tanh
between its layers and a linear last one. Normalisations: A = 1 for Sigma, T3, T8; A_g such that
the total momentum is 1; A_V, A_V3, A_V8 such that the proton holds two u_v, one d_v and no s_v.
"""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics.pdf import flavours
from diffpipe.pipelines.physics.pdf.inputs import quadrature
from diffpipe.pipelines.physics.pdf.inputs.base import Input

NF = 3
ROWS = ("g", "Sigma", "T3", "T8", "V", "V3", "V8")  # as `flavours` orders the basis
NUMBERS = np.array([3.0, 1.0, 3.0])  # int dx of V, V3, V8
HIDDEN = 20  # units in each of two layers
X_MIN = 1e-280  # where the integrals stop: x^0.04 has lost 1e-11 there
MIN_POWER = 0.04  # of x in a convergent integrand: below it that cut is felt
SEED = 1


def density(parameters: Mapping[str, Array], x: np.ndarray) -> Array:
    """Rows as `flavours.FLAVOURS`, shape (11, n); sum rules hold to 1e-10 for moderate weights.

    Parameters: small_x, large_x (7,), the exponents a, b in the order of `ROWS`; w_1 (2, 20), b_1
    (20,), w_2 (20, 20), b_2 (20,), w_3 (20, 7), b_3 (7,), the network. NaN where an integral of a
    sum rule diverges or is not accurate: a below 0.04 (V, V3, V8) or -0.96 (others), b below 0.
    """
    node, weight = quadrature.log_nodes(X_MIN)
    rows = _shapes(parameters, np.concatenate([node, x]))
    found = _normalisations(rows[:, : node.size], node, weight)
    found = jnp.where(_integrable(parameters), found, jnp.nan)
    return jnp.asarray(flavours.to_physical(NF, len(flavours.FLAVOURS))) @ (
        found[:, None] * rows[:, node.size :]
    )


def _shapes(p: Mapping[str, Array], x: np.ndarray) -> Array:
    """x^a (1-x)^b NN(x), shape (7, n)."""
    powers = p["small_x"][:, None] * np.log(x)[None] + p["large_x"][:, None] * np.log1p(-x)[None]
    return jnp.exp(powers) * _network(p, x)


def _network(p: Mapping[str, Array], x: np.ndarray) -> Array:
    """NN_k(x), shape (7, n)."""
    layer = jnp.tanh(np.stack([x, np.log(x)], axis=1) @ p["w_1"] + p["b_1"][None])
    layer = jnp.tanh(layer @ p["w_2"] + p["b_2"][None])
    return (layer @ p["w_3"] + p["b_3"][None]).T


def _normalisations(rows: Array, x: np.ndarray, weight: np.ndarray) -> Array:
    """A_k (7,) from the shapes at the nodes of the quadrature: section 3 of arXiv:2109.02653."""
    momentum_g, momentum_sigma = rows[:2] @ (weight * x)
    gluon = (1.0 - momentum_sigma) / momentum_g
    return jnp.concatenate([gluon[None], jnp.ones(3), NUMBERS / (rows[4:] @ weight)])


def _integrable(p: Mapping[str, Array]) -> Array:
    small_x = p["small_x"]
    converge = jnp.all(small_x > MIN_POWER - 1.0) & jnp.all(small_x[4:] > MIN_POWER)
    return converge & jnp.all(p["large_x"] > 0.0)


def _starting_values(seed: int) -> dict[str, np.ndarray]:
    """A smooth proton: hidden layers at random, their effect on NN_k about a tenth of its bias.

    Units of the first layer turn over at points spread across 1e-7 < x < 1.
    """
    draw = np.random.RandomState(seed).normal  # this stream never changes between versions
    deep = HIDDEN**-0.5
    return {
        "small_x": np.array([-0.1, -0.15, 0.3, 0.3, 0.3, 0.3, 0.3]),
        "large_x": np.array([5.0, 3.5, 4.0, 4.0, 4.0, 4.0, 4.0]),
        "w_1": draw(size=(2, HIDDEN)) * np.array([[1.0], [0.125]]),
        "b_1": draw(size=HIDDEN),
        "w_2": draw(size=(HIDDEN, HIDDEN)) * deep,
        "b_2": draw(size=HIDDEN) * deep,
        "w_3": draw(size=(HIDDEN, len(ROWS))) * 0.1 * deep,
        "b_3": np.array([1.0, 1.7, 0.5, 1.6, 1.0, 1.0, 1.0]),
    }


NN = Input(
    q0=1.3,  # not the 1.65 GeV of arXiv:2109.02653: below mc, so that three flavours are enough
    density=density,
    defaults=_starting_values(SEED),
    alphas=0.118, alphas_scale=91.1876, alphas_flavours=5,
    mc=1.4, mb=4.75,
    order="NNLO",
)  # fmt: skip
