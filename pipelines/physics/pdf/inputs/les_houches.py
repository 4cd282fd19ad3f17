"""The toy input of the Les Houches benchmark at Q0^2 = 2 GeV^2: eqs. (30)-(34), hep-ph/0204316."""

from collections.abc import Mapping

import numpy as np
from jax import Array

from diffpipe.pipelines.physics.pdf.inputs.base import Input, from_valence_and_sea, power_law


def density(parameters: Mapping[str, Array], x: np.ndarray) -> Array:
    """N x^a (1-x)^b each for u_v, d_v, g, dbar; ubar = (1-x) dbar; s = sbar = f_s (ubar + dbar).

    Rows as `flavours.FLAVOURS`, shape (11, n).
    """
    u_v, d_v, g, dbar = (
        power_law(parameters[f"N_{name}"], parameters[f"a_{name}"], parameters[f"b_{name}"], x)
        for name in ("uv", "dv", "g", "dbar")
    )
    ubar = dbar * (1.0 - x)
    return from_valence_and_sea(u_v, d_v, ubar, dbar, parameters["f_s"] * (ubar + dbar), g)


TOY = Input(
    q0=2.0**0.5,
    density=density,
    defaults={
        "N_uv": 5.107200, "a_uv": 0.8, "b_uv": 3.0,
        "N_dv": 3.064320, "a_dv": 0.8, "b_dv": 4.0,
        "N_g": 1.700000, "a_g": -0.1, "b_g": 5.0,
        "N_dbar": 0.1939875, "a_dbar": -0.1, "b_dbar": 6.0,
        "f_s": 0.2,
    },
    alphas=0.35, alphas_scale=2.0**0.5, alphas_flavours=3,
    mc=2.0**0.5, mb=4.5,
    order="NNLO",  # the same at every order; the benchmark goes to this one (hep-ph/0511119)
)  # fmt: skip
