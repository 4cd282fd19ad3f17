"""The HERAPDF2.0 inputs at Q0^2 = 1.9 GeV^2: arXiv:1506.06042.

    x g    = A_g x^B_g (1-x)^C_g - A_g2 x^B_g2 (1-x)^25
    x u_v  = A_uv x^B_uv (1-x)^C_uv (1 + E_uv x^2)
    x d_v  = A_dv x^B_dv (1-x)^C_dv
    x Ubar = A_Ubar x^B_Dbar (1-x)^C_Ubar (1 + D_Ubar x),   Ubar = ubar
    x Dbar = A_Dbar x^B_Dbar (1-x)^C_Dbar,                  Dbar = dbar + sbar, sbar = f_s Dbar

A_Ubar = A_Dbar (1 - f_s), so that x ubar and x dbar meet as x -> 0. A_g, A_uv and A_dv follow from
the sum rules of momentum and of the numbers of valence quarks. A_g2, B_g2 are the paper's A'_g,
B'_g.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import gammaln

from diffpipe.pipelines.physics.pdf.inputs.base import Input, from_valence_and_sea, power_law

C_G2 = 25.0  # fixed by the authors
EXPONENTS = {  # of x and of 1 - x, by term
    "g": ("B_g", "C_g"),
    "g2": ("B_g2", "C_g2"),
    "uv": ("B_uv", "C_uv"),
    "dv": ("B_dv", "C_dv"),
    "Ubar": ("B_Dbar", "C_Ubar"),
    "Dbar": ("B_Dbar", "C_Dbar"),
}
MOMENTS = (  # that the sum rules need: term and power k of x, 0 for a number and 1 for momentum
    ("uv", 0), ("uv", 1), ("uv", 2), ("uv", 3), ("dv", 0), ("dv", 1),
    ("Ubar", 1), ("Ubar", 2), ("Dbar", 1), ("g", 1), ("g2", 1),
)  # fmt: skip


class Normalisations(NamedTuple):
    """What the sum rules determine, scalars."""

    a_g: Array
    a_uv: Array
    a_dv: Array


def density(parameters: Mapping[str, Array], x: np.ndarray) -> Array:
    """Rows as `flavours.FLAVOURS`, shape (11, n); NaN where an integral of a sum rule diverges."""
    p, found = parameters, normalisations(parameters)
    g = power_law(found.a_g, p["B_g"], p["C_g"], x) - power_law(
        p["A_g2"], p["B_g2"], jnp.full_like(p["B_g2"], C_G2), x
    )
    u_v = power_law(found.a_uv, p["B_uv"], p["C_uv"], x) * (1.0 + p["E_uv"] * x**2)
    d_v = power_law(found.a_dv, p["B_dv"], p["C_dv"], x)
    ubar = power_law(_a_ubar(p), p["B_Dbar"], p["C_Ubar"], x) * (1.0 + p["D_Ubar"] * x)
    down = power_law(p["A_Dbar"], p["B_Dbar"], p["C_Dbar"], x)
    return from_valence_and_sea(u_v, d_v, ubar, (1.0 - p["f_s"]) * down, p["f_s"] * down, g)


def normalisations(parameters: Mapping[str, Array]) -> Normalisations:
    """A_g, A_uv, A_dv: two u_v, one d_v, and a total momentum of one."""
    p, m = parameters, _moments(parameters)
    a_uv = 2.0 / (m["uv", 0] + p["E_uv"] * m["uv", 2])
    a_dv = 1.0 / m["dv", 0]
    valence = a_uv * (m["uv", 1] + p["E_uv"] * m["uv", 3]) + a_dv * m["dv", 1]
    ubar = _a_ubar(p) * (m["Ubar", 1] + p["D_Ubar"] * m["Ubar", 2])
    quarks = valence + 2.0 * (ubar + p["A_Dbar"] * m["Dbar", 1])
    return Normalisations((1.0 - quarks + p["A_g2"] * m["g2", 1]) / m["g", 1], a_uv, a_dv)


def _moments(p: Mapping[str, Array]) -> dict[tuple[str, int], Array]:
    """int_0^1 dx x^(k-1) x^B (1-x)^C = Beta(k + B, 1 + C) of each (term, k) in `MOMENTS`.

    NaN where it diverges. All at once, as the derivative of one gammaln is long to compile.
    """
    fixed = {**p, "C_g2": jnp.full_like(p["B_g2"], C_G2)}
    small_x, large_x = (
        jnp.stack([fixed[EXPONENTS[term][which]] for term, _ in MOMENTS]) for which in (0, 1)
    )
    first, second = small_x + np.array([float(k) for _, k in MOMENTS]), large_x + 1.0
    logs = gammaln(jnp.stack([first, second, first + second]))
    beta = jnp.exp(logs[0] + logs[1] - logs[2])
    return dict(zip(MOMENTS, jnp.where((first > 0) & (second > 0), beta, jnp.nan), strict=True))


def _a_ubar(p: Mapping[str, Array]) -> Array:
    return p["A_Dbar"] * (1.0 - p["f_s"])


NLO = Input(
    q0=1.9**0.5,
    density=density,
    defaults={
        "B_g": -0.015, "C_g": 9.11, "A_g2": 1.048, "B_g2": -0.167,
        "B_uv": 0.714, "C_uv": 4.84, "E_uv": 13.4,
        "B_dv": 0.806, "C_dv": 4.08,
        "C_Ubar": 8.06, "D_Ubar": 11.9,
        "A_Dbar": 0.176, "B_Dbar": -0.172, "C_Dbar": 4.88,
        "f_s": 0.4,
    },
    alphas=0.118, alphas_scale=91.1876, alphas_flavours=5,
    mc=1.47, mb=4.5,
    order="NLO",
)  # fmt: skip

NNLO = Input(  # more digits than the paper prints: the parameters that xFitter ships for this fit
    q0=1.9**0.5,
    density=density,
    defaults={
        "B_g": -0.061953, "C_g": 5.562367, "A_g2": 0.166087, "B_g2": -0.383100,
        "B_uv": 0.810476, "C_uv": 4.823512, "E_uv": 9.921366,
        "B_dv": 1.029995, "C_dv": 4.846279,
        "C_Ubar": 7.059694, "D_Ubar": 1.548098,
        "A_Dbar": 0.268798, "B_Dbar": -0.127297, "C_Dbar": 9.586246,
        "f_s": 0.4,
    },
    alphas=0.118, alphas_scale=91.1876, alphas_flavours=5,
    mc=1.43, mb=4.5,
    order="NNLO",
)  # fmt: skip
