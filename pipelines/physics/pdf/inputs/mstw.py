"""The MSTW 2008 inputs at Q0 = 1 GeV: eqs. (6)-(12) and Table 4 of arXiv:0901.0002."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics.pdf.flavours import GLUON
from diffpipe.pipelines.physics.pdf.inputs.base import Input, power_law

# u_v, d_v, S, dbar - ubar, g, s + sbar, s - sbar to FLAVOURS
TO_FLAVOURS = np.array(
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


NORMS = ("A_u", "A_d", "A_S", "A_Delta", "A_g", "A_plus", "A_minus")


def leading_order(parameters: Mapping[str, Array], x: np.ndarray) -> Array:
    """The parametrisation at LO, rows as `flavours.FLAVOURS`, shape (11, n).

    Parameters carry the names of the paper's Table 4 in ASCII: A_u, eta_1, ..., x_0; eta_4 itself,
    where the table gives eta_4 - eta_2. The power of x of s - sbar is fixed at 0.2.
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
    return TO_FLAVOURS @ (norm * powers * factor)


def next_to_leading_order(parameters: Mapping[str, Array], x: np.ndarray) -> Array:
    """As `leading_order`, with the second term A_g2 x^delta_g2 (1-x)^eta_g2 of the gluon."""
    p = parameters
    second = power_law(p["A_g2"], p["delta_g2"], p["eta_g2"], x)
    return leading_order(parameters, x).at[GLUON].add(second)


LO = Input(
    q0=1.0,
    density=leading_order,
    defaults={
        "A_u": 1.4335, "eta_1": 0.45232, "eta_2": 3.0409, "eps_u": -2.3737, "gamma_u": 8.9924,
        "A_d": 5.0903, "eta_3": 0.71978, "eta_4": 5.1244, "eps_d": -4.3654, "gamma_d": 7.473,
        "A_S": 0.59964, "delta_S": -0.16276, "eta_S": 8.8801, "eps_S": -2.9012, "gamma_S": 16.865,
        "A_Delta": 8.9413, "eta_Delta": 1.876, "gamma_Delta": 8.4703, "delta_Delta": -36.507,
        "A_g": 0.0012216, "delta_g": -0.83657, "eta_g": 2.3882,
        "eps_g": -38.997, "gamma_g": 1445.5,
        "A_plus": 0.10302, "eta_plus": 13.242,
        "A_minus": -0.011523, "eta_minus": 10.285, "x_0": 0.017414,
    },
    alphas=0.68183, alphas_scale=1.0, alphas_flavours=3,
    mc=1.40, mb=4.75,
    order="LO",
    norms=NORMS,
)  # fmt: skip

NLO = Input(
    q0=1.0,
    density=next_to_leading_order,
    defaults={
        "A_u": 0.25871, "eta_1": 0.29065, "eta_2": 3.2432, "eps_u": 4.0603, "gamma_u": 30.687,
        "A_d": 12.288, "eta_3": 0.96809, "eta_4": 5.9435, "eps_d": -3.8911, "gamma_d": 6.0542,
        "A_S": 0.31620, "delta_S": -0.21515, "eta_S": 9.2726, "eps_S": -2.6022, "gamma_S": 30.785,
        "A_Delta": 8.1084, "eta_Delta": 1.8691, "gamma_Delta": 13.609, "delta_Delta": -59.289,
        "A_g": 1.0805, "delta_g": -0.42848, "eta_g": 3.0225, "eps_g": -2.2922, "gamma_g": 3.4894,
        "A_g2": -1.1168, "delta_g2": -0.42776, "eta_g2": 32.869,
        "A_plus": 0.047915, "eta_plus": 9.7466,
        "A_minus": -0.011629, "eta_minus": 11.261, "x_0": 0.016050,
    },
    alphas=0.49128, alphas_scale=1.0, alphas_flavours=3,
    mc=1.40, mb=4.75,
    order="NLO",
    norms=(*NORMS, "A_g2"),
)  # fmt: skip
