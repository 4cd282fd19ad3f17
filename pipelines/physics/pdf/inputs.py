"""Parton densities at the starting scale, as momentum densities x f(x)."""

from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics.pdf.flavours import FLAVOURS

MSTW2008LO = "mstw2008lo"
LES_HOUCHES_TOY = "les_houches_toy"

# u_v, d_v, S, dbar - ubar, g, s + sbar, s - sbar to FLAVOURS
MSTW_FLAVOURS = np.array(
    [
        [1, 0, 0.25, -0.5, 0, -0.25, 0],
        [0, 1, 0.25, 0.5, 0, -0.25, 0],
        [0, 0, 0, 0, 0, 0.5, 0.5],
        [0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0.25, -0.5, 0, -0.25, 0],
        [0, 0, 0.25, 0.5, 0, -0.25, 0],
        [0, 0, 0, 0, 0, 0.5, -0.5],
        [0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 0, 0],
    ]
)


def mstw2008lo(parameters: Mapping[str, Array], x: np.ndarray) -> Array:
    """The MSTW 2008 LO parametrisation at Q0 = 1 GeV: eqs. (6)-(12) of arXiv:0901.0002.

    Rows in the order of `flavours.FLAVOURS`, shape (11, n). Parameters carry the names of the
    paper's Table 4 in ASCII: A_u, eta_1, ..., x_0; eta_4 itself, where the table gives
    eta_4 - eta_2. The power of x of s - sbar is fixed at 0.2.
    """
    p = parameters
    zero, minus_power = jnp.zeros_like(p["x_0"]), jnp.full_like(p["x_0"], 0.2)
    shapes = [  # A x^d (1-x)^n (1 + e sqrt x + g x + h x^2): A, d, n, e, g, h
        (p["A_u"], p["eta_1"], p["eta_2"], p["eps_u"], p["gamma_u"], zero),
        (p["A_d"], p["eta_3"], p["eta_4"], p["eps_d"], p["gamma_d"], zero),
        (p["A_S"], p["delta_S"], p["eta_S"], p["eps_S"], p["gamma_S"], zero),
        (p["A_Delta"], p["eta_Delta"], p["eta_S"] + 2.0, zero, p["gamma_Delta"], p["delta_Delta"]),
        (p["A_g"], p["delta_g"], p["eta_g"], p["eps_g"], p["gamma_g"], zero),
        (p["A_plus"], p["delta_S"], p["eta_plus"], p["eps_S"], p["gamma_S"], zero),
        (p["A_minus"], minus_power, p["eta_minus"], zero, -1.0 / p["x_0"], zero),
    ]
    columns = [jnp.stack(column)[:, None] for column in zip(*shapes, strict=True)]
    norm, small_x, large_x, root, linear, square = columns
    powers = jnp.exp(small_x * np.log(x)[None] + large_x * np.log1p(-x)[None])
    factor = 1.0 + root * np.sqrt(x)[None] + linear * x[None] + square * (x * x)[None]
    return MSTW_FLAVOURS @ (norm * powers * factor)


def les_houches_toy(parameters: Mapping[str, Array], x: np.ndarray) -> Array:  # noqa: ARG001
    """The benchmark input at Q0^2 = 2 GeV^2, without parameters: section 1.3 of hep-ph/0204316."""
    dbar = 0.1939875 * x**-0.1 * (1.0 - x) ** 6
    ubar = (1.0 - x) * dbar
    strange = 0.2 * (ubar + dbar)
    light = {
        "u": 5.1072 * x**0.8 * (1.0 - x) ** 3 + ubar,
        "d": 3.06432 * x**0.8 * (1.0 - x) ** 4 + dbar,
        "s": strange,
        "ubar": ubar,
        "dbar": dbar,
        "sbar": strange,
        "g": 1.7 * x**-0.1 * (1.0 - x) ** 5,
    }
    zero = np.zeros_like(x)
    return jnp.asarray(np.stack([light.get(name, zero) for name in FLAVOURS]))


INPUTS: dict[str, Callable[[Mapping[str, Array], np.ndarray], Array]] = {
    MSTW2008LO: mstw2008lo,
    LES_HOUCHES_TOY: les_houches_toy,
}
