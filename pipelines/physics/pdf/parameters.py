"""The values that an evolution depends on, from a stage's parameters, options and input."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from diffpipe.pipelines.physics.pdf.evolution.coupling import FOUR_PI
from diffpipe.pipelines.physics.pdf.evolution.theory import Theory
from diffpipe.pipelines.physics.pdf.inputs import catalogue
from diffpipe.pipelines.physics.pdf.inputs.base import Input
from diffpipe.pipelines.physics.pdf.options import STAGE
from diffpipe.pipelines.physics.refusal import RefusedError, did_you_mean

OWN = "pdf."  # before the names of the parameters of the input
M_Z_GEV = 91.1876
M_TOP_GEV = 172.5
MASSES = {4: ("mc", "m_c"), 5: ("mb", "m_b"), 6: ("mt", "m_t")}
COUPLINGS = ("alphas_mz", "alphas_q0", "alphas")
OTHERS = ("q0", "kr", "scales")
KNOWN = (*COUPLINGS, *OTHERS, *(name for names in MASSES.values() for name in names))
TABLE = "table"


class Coupling(NamedTuple):
    """alpha_s as it is given: at muR in GeV, with so many flavours."""

    value: Array
    scale: Array
    flavours: int


def known_input(name: str) -> Input | None:
    """The input of that name, None for one that comes from elsewhere; RefusedError otherwise."""
    if ":" in name or name == TABLE:
        return None
    if name not in catalogue.INPUTS:
        raise RefusedError(
            f"{STAGE}: there is no input {name!r}",
            hint=did_you_mean(name, [*catalogue.INPUTS, TABLE])
            + "; or lhapdf:<set>/<member>, or <module>:<function>",
        )
    return catalogue.INPUTS[name]


def own_parameters(parameters: Mapping[str, Array]) -> dict[str, Array]:
    """Those of the input, by its own names; RefusedError for one that nothing takes."""
    for name in parameters:
        if not name.startswith(OWN) and name not in KNOWN:
            hint = did_you_mean(name, [*KNOWN, f"{OWN}<name>"])
            raise RefusedError(f"{STAGE} takes no parameter {name!r}", hint=hint)
    return {
        name.removeprefix(OWN): value for name, value in parameters.items() if name.startswith(OWN)
    }


def given(
    name: str,
    parameters: Mapping[str, Array],
    inputs: Mapping[str, Array],
    option: Any,
    default: Any,
) -> Array:
    """A value from where it is given: a parameter, an input, an option, else the default."""
    for place in (parameters, inputs):
        if name in place:
            return place[name]
    value = default if option is None else option
    if value is None:
        raise RefusedError(
            f"{STAGE}: {name} is not given, and the input has none", hint="give it as a parameter"
        )
    return jnp.asarray(value, jnp.float64)


def theory(
    parameters: Mapping[str, Array],
    q0: Array,
    kr: Array,
    input: Input | None,
    flavours: Sequence[int],
    alphas_scale: float | None,
    alphas_flavours: int | None,
) -> tuple[Theory, int]:
    """The values, and with how many flavours the coupling is given."""
    coupling = _coupling(parameters, q0, input, flavours, alphas_scale, alphas_flavours)
    met = {coupling.flavours, *flavours}
    masses = {nf: _mass(nf, parameters, input) for nf in range(min(met) + 1, max(met) + 1)}
    return Theory(coupling.value / FOUR_PI, coupling.scale, masses, q0, kr), coupling.flavours


def _coupling(
    parameters: Mapping[str, Array],
    q0: Array,
    input: Input | None,
    flavours: Sequence[int],
    scale: float | None,
    nf: int | None,
) -> Coupling:
    fixed = flavours[0] if len(flavours) == 1 else None
    names = [name for name in COUPLINGS if name in parameters]
    if len(names) > 1:
        raise RefusedError(f"{STAGE}: alpha_s is given more than once: {', '.join(names)}")
    if names == ["alphas_q0"]:
        return Coupling(parameters["alphas_q0"], q0, nf or flavours[0])
    if names == ["alphas_mz"] or input is None:
        value = given("alphas_mz", parameters, {}, None, None)
        at = jnp.asarray(M_Z_GEV if scale is None else scale, jnp.float64)
        return Coupling(value, at, nf or fixed or 5)
    value = parameters.get("alphas", jnp.asarray(input.alphas, jnp.float64))
    at = jnp.asarray(input.alphas_scale if scale is None else scale, jnp.float64)
    return Coupling(value, at, nf or fixed or input.alphas_flavours)


def _mass(nf: int, parameters: Mapping[str, Array], input: Input | None) -> Array:
    default = {4: input.mc, 5: input.mb, 6: M_TOP_GEV} if input else {6: M_TOP_GEV}
    for name in MASSES[nf]:
        if name in parameters:
            return parameters[name]
    return given(MASSES[nf][0], {}, {}, None, default.get(nf))
