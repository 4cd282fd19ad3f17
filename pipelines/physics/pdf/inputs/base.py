"""What an input of the evolution is: densities at a starting scale, with their parameters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics.pdf.flavours import FLAVOURS

Density = Callable[[Mapping[str, Array], np.ndarray], Array]


@dataclass(frozen=True, eq=False)  # defaults may be arrays, which have no single truth value
class Input:
    """Parton densities where evolution starts, and the theory they were determined with.

    density: from its parameters and momentum fractions x (n,), constants between 0 and 1 in any
    order, to the momentum densities x f (11, n), rows as `flavours.FLAVOURS`.
    """

    q0: float  # GeV, where the densities are given
    density: Density
    defaults: Mapping[str, float | np.ndarray]  # of all parameters, names without "pdf."
    alphas: float  # alpha_s as the authors give it: in the MSbar scheme, ...
    alphas_scale: float  # ... at this scale, GeV, ...
    alphas_flavours: int  # ... with this number of flavours
    mc: float  # pole masses, GeV
    mb: float
    order: str  # of the fit: "LO", "NLO" or "NNLO"
    nf: int = 3  # flavours at q0
    norms: tuple[str, ...] = ()  # parameters that are normalisations; all others are shapes


def power_law(norm: Array, small_x: Array, large_x: Array, x: np.ndarray) -> Array:
    """A x^a (1-x)^b for scalars A, a, b, shape (n,)."""
    return norm * jnp.exp(small_x * np.log(x) + large_x * np.log1p(-x))


def from_valence_and_sea(
    u_v: Array, d_v: Array, ubar: Array, dbar: Array, sbar: Array, g: Array
) -> Array:
    """Rows as `FLAVOURS` (11, n) of a proton with s = sbar and no heavy quarks."""
    light = {
        "u": u_v + ubar,
        "d": d_v + dbar,
        "s": sbar,
        "ubar": ubar,
        "dbar": dbar,
        "sbar": sbar,
        "g": g,
    }
    zero = jnp.zeros_like(g)
    return jnp.stack([light.get(name, zero) for name in FLAVOURS])
