"""Masses and couplings that follow from the inputs, in JAX, so that gradients reach the inputs.

Relations of the tree-level Standard Model with (MZ, alpha, Gf) as electroweak inputs, as in
A. Denner, arXiv:0709.1075, section 2 and appendix A; the covariant derivative is
d - i gs T^a G^a - i g T^a W^a - i g' Y B, the strong coupling gs is factored out of all of them.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

CHARGES = {"up": 2.0 / 3.0, "down": -1.0 / 3.0, "neutrino": 0.0, "lepton": -1.0}
ISOSPINS = {"up": 0.5, "down": -0.5, "neutrino": 0.5, "lepton": -0.5}
YUKAWAS = {"b": "ymb", "t": "ymt", "ta-": "ymtau"}


def constants(inputs: Mapping[str, Array]) -> dict[str, Array]:
    """All masses, widths and couplings by name; masses in GeV.

    inputs: every name of `parameters.INPUTS`. Couplings are the coefficients of the terms of the
    Lagrangian that `interactions` lists; `gs` is the strong coupling itself.
    """
    given = dict(inputs)
    mw, e, sw, cw = electroweak(given)
    found = given | {"MW": mw, "gs": square_root(4.0 * math.pi * given["aS"])}
    found |= _fermion_couplings(e, sw, cw)
    found |= _boson_couplings(e, sw, cw)
    return found | _higgs_couplings(given, mw, e, sw, cw)


def electroweak(inputs: Mapping[str, Array]) -> tuple[Array, Array, Array, Array]:
    """MW, e, sin and cos of the weak mixing angle.

    MW^2 = MZ^2/2 + sqrt(MZ^4/4 - pi alpha MZ^2/(sqrt(2) Gf)), cos = MW/MZ.
    """
    mz2 = inputs["MZ"] ** 2
    alpha = 1.0 / inputs["aEWM1"]
    shift = math.pi * alpha * mz2 / (math.sqrt(2.0) * inputs["Gf"])
    mw2 = 0.5 * mz2 + square_root(0.25 * mz2**2 - shift)
    cw2 = mw2 / mz2
    mw, e = square_root(mw2), square_root(4.0 * math.pi * alpha)
    return mw, e, square_root(1.0 - cw2), square_root(cw2)


def square_root(value: Any) -> Any:
    """The root, by NumPy where no JAX array is given: looking at a process compiles nothing."""
    return jnp.sqrt(value) if isinstance(value, Array) else np.sqrt(value)


def _fermion_couplings(e: Array, sw: Array, cw: Array) -> dict[str, Array]:
    """Photon e Q; Z (e/(sw cw)) (T3 P_L - Q sw^2); W e/(sqrt(2) sw) P_L."""
    found = {"w": e / (math.sqrt(2.0) * sw)}
    for kind, charge in CHARGES.items():
        found[f"a_{kind}"] = e * charge
        found[f"z_left_{kind}"] = e / (sw * cw) * (ISOSPINS[kind] - charge * sw**2)
        found[f"z_right_{kind}"] = -e * sw / cw * charge
    return found


def _boson_couplings(e: Array, sw: Array, cw: Array) -> dict[str, Array]:
    """Self-couplings of photon, Z and W; g = e/sw."""
    g, gz = e / sw, e * cw / sw
    return {"wwa": -e, "wwz": -gz, "wwww": g**2, "wwaa": -(e**2), "wwaz": -e * gz, "wwzz": -(gz**2)}


def _higgs_couplings(
    inputs: Mapping[str, Array], mw: Array, e: Array, sw: Array, cw: Array
) -> dict[str, Array]:
    """Higgs couplings, v = 2 MW sw/e = (sqrt(2) Gf)^-1/2; Yukawa ones from ymb, ymt, ymtau."""
    g, mh2 = e / sw, inputs["MH"] ** 2
    v = 1.0 / square_root(math.sqrt(2.0) * inputs["Gf"])
    found = {f"h_{name}": -inputs[mass] / v for name, mass in YUKAWAS.items()}
    gluons = gluon_higgs(inputs, v)
    return found | {
        "wwh": g * mw,
        "zzh": g * mw / cw**2,
        "wwhh": 0.5 * g**2,
        "zzhh": 0.5 * (g / cw) ** 2,
        "hhh": -3.0 * mh2 / v,
        "hhhh": -3.0 * mh2 / v**2,
        "ggh": -gluons,
        "gggh": gluons,
        "ggggh": -gluons,
    }


def gluon_higgs(inputs: Mapping[str, Array], v: Array) -> Array:
    """Effective coupling of two gluons to the Higgs boson over gs^2: 1/(12 pi^2 v) F, in 1/GeV.

    The term is (gs^2/(48 pi^2 v)) F h G^a_mn G^a mn, F the top loop expanded in
    tau = MH^2/(4 MT^2): 1 + 7 tau/30 + 2 tau^2/21 + 26 tau^3/525 (arXiv:hep-ph/9504378, its
    expansion below threshold; MadGraph's `heft` model uses the same terms).
    """
    tau = inputs["MH"] ** 2 / (4.0 * inputs["MT"] ** 2)
    form = 1.0 + tau * (7.0 / 30.0 + tau * (2.0 / 21.0 + tau * 26.0 / 525.0))
    return form / (12.0 * math.pi**2 * v)
