"""Z -> e+ e- at truth level, and what is made of the measured energies, in JAX."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
from jax import Array
from jax.scipy.special import ndtri


def truth(
    parameters: Mapping[str, Array],
    inputs: Mapping[str, Array],
    *,
    mass_window: Sequence[float],
    most_rapidity: float,
) -> dict[str, Array]:
    """Two electrons of a Z without transverse momentum, from five uniform numbers per event.

    Inputs: unit (event, 5) in (0, 1). Outputs: m_ll (event,) GeV, from a Breit-Wigner in m within
    the window, of mass m_z and width gamma_z (GeV); energy (event, 2) GeV and eta (event, 2) of the
    electrons, for a Z with flat rapidity and decay angles as 1 + cos^2; noise (event, 2), normal;
    produced (), the number of events, a sum.
    """
    unit = inputs["unit"]
    m_ll = _breit_wigner(unit[:, 0], parameters["m_z"], parameters["gamma_z"], mass_window)
    rapidity = most_rapidity * (2.0 * unit[:, 1] - 1.0)
    cos_theta = _one_plus_square(unit[:, 2])
    half = jnp.arctanh(cos_theta)
    eta = jnp.stack([rapidity + half, rapidity - half], axis=1)
    p_t = 0.5 * m_ll * jnp.sqrt(1.0 - cos_theta**2)
    return {
        "m_ll": m_ll,
        "energy": p_t[:, None] * jnp.cosh(eta),
        "eta": eta,
        "noise": ndtri(unit[:, 3:5]),
        "produced": jnp.sum(jnp.ones_like(m_ll)),
    }


def mass(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
) -> dict[str, Array]:
    """The mass of two electrons from measured energies, GeV (event,): directions are exact."""
    ratio = jnp.prod(inputs["measured"] / inputs["energy"], axis=1)
    return {"m_ll": inputs["m_ll"] * jnp.sqrt(ratio)}


def expected(parameters: Mapping[str, Array], inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The expected counts (bin,), where `n_events` are produced, from those of the sample."""
    return {"counts": parameters["n_events"] / inputs["produced"] * inputs["moments"][:, 0]}


def _breit_wigner(unit: Array, mass: Array, width: Array, window: Sequence[float]) -> Array:
    """m with a density as 1 / ((m - mass)^2 + width^2 / 4) in the window, by its inverse."""
    low, high = (jnp.arctan(2.0 * (edge - mass) / width) for edge in window)
    return mass + 0.5 * width * jnp.tan(low + unit * (high - low))


def _one_plus_square(unit: Array) -> Array:
    """c in (-1, 1) with a density as 1 + c^2: the root of c^3 + 3 c = 8 u - 4 (Cardano)."""
    half = 4.0 * unit - 2.0
    root = jnp.sqrt(1.0 + half**2)
    return jnp.cbrt(half + root) + jnp.cbrt(half - root)
