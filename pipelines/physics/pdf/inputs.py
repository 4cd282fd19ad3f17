"""Parton densities at the starting scale, as momentum densities x f(x)."""

from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np
from jax import Array

MSTW2008LO = "mstw2008lo"
LES_HOUCHES_TOY = "les_houches_toy"


def physical(light: Mapping[str, Array]) -> Array:
    """Rows in the order of `flavours.FLAVOURS`, shape (11, n); charm and bottom vanish."""
    zero = jnp.zeros_like(light["g"])
    quarks = [light["u"], light["d"], light["s"], zero, zero]
    antiquarks = [light["ubar"], light["dbar"], light["sbar"], zero, zero]
    return jnp.stack([*quarks, *antiquarks, light["g"]])


def mstw2008lo(parameters: Mapping[str, Array], x: np.ndarray) -> Array:
    """The MSTW 2008 LO parametrisation at Q0 = 1 GeV: eqs. (6)-(12) of arXiv:0901.0002.

    Parameters carry the names of the paper's Table 4 in ASCII: A_u, eta_1, ..., x_0; eta_4 stands
    for eta_2 + (eta_4 - eta_2). The strange asymmetry's power of x is fixed at 0.2.
    """
    valence_u = _shape(parameters, x, "A_u", "eta_1", "eta_2", "eps_u", "gamma_u")
    valence_d = _shape(parameters, x, "A_d", "eta_3", "eta_4", "eps_d", "gamma_d")
    sea = _shape(parameters, x, "A_S", "delta_S", "eta_S", "eps_S", "gamma_S")
    strange = _shape(parameters, x, "A_plus", "delta_S", "eta_plus", "eps_S", "gamma_S")
    gluon = _shape(parameters, x, "A_g", "delta_g", "eta_g", "eps_g", "gamma_g")
    asymmetry = _strange_asymmetry(parameters, x)
    light_sea, difference = 0.25 * (sea - strange), 0.5 * _sea_difference(parameters, x)
    ubar, dbar = light_sea - difference, light_sea + difference
    return physical(
        {
            "u": valence_u + ubar,
            "d": valence_d + dbar,
            "s": 0.5 * (strange + asymmetry),
            "ubar": ubar,
            "dbar": dbar,
            "sbar": 0.5 * (strange - asymmetry),
            "g": gluon,
        }
    )


def _shape(
    parameters: Mapping[str, Array],
    x: np.ndarray,
    norm: str,
    small_x: str,
    large_x: str,
    root: str,
    linear: str,
) -> Array:
    """A x^d (1-x)^n (1 + e sqrt x + g x), the parameters by name."""
    power = jnp.exp(parameters[small_x] * np.log(x) + parameters[large_x] * np.log1p(-x))
    return parameters[norm] * power * (1.0 + parameters[root] * np.sqrt(x) + parameters[linear] * x)


def _sea_difference(parameters: Mapping[str, Array], x: np.ndarray) -> Array:
    """x (dbar - ubar): eq. (9) of arXiv:0901.0002."""
    large_x = parameters["eta_S"] + 2.0
    power = jnp.exp(parameters["eta_Delta"] * np.log(x) + large_x * np.log1p(-x))
    polynomial = 1.0 + parameters["gamma_Delta"] * x + parameters["delta_Delta"] * x**2
    return parameters["A_Delta"] * power * polynomial


def _strange_asymmetry(parameters: Mapping[str, Array], x: np.ndarray) -> Array:
    """x (s - sbar): eq. (12) of arXiv:0901.0002."""
    power = jnp.exp(0.2 * np.log(x) + parameters["eta_minus"] * np.log1p(-x))
    return parameters["A_minus"] * power * (1.0 - x / parameters["x_0"])


def les_houches_toy(parameters: Mapping[str, Array], x: np.ndarray) -> Array:  # noqa: ARG001
    """The benchmark input at Q0^2 = 2 GeV^2, no parameters: eqs. (30)-(34) of hep-ph/0204316."""
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
    return physical({name: jnp.asarray(value) for name, value in light.items()})


INPUTS: dict[str, Callable[[Mapping[str, Array], np.ndarray], Array]] = {
    MSTW2008LO: mstw2008lo,
    LES_HOUCHES_TOY: les_houches_toy,
}
