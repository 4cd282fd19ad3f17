"""The stage that turns numbers in the unit cube into momenta flat in n-body phase space."""

import functools
import operator
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
from jax import Array

from diffpipe.pipelines.physics import checks
from diffpipe.pipelines.physics.events import decays

STAGE = "phase_space"
EDGE = 2.0**-53  # numbers of the unit cube are kept this far from 0 and 1
GEV = 1.0


def phase_space(
    parameters: Mapping[str, Array],
    inputs: Mapping[str, Array],
    *,
    masses: Sequence[float | str],
    energy: float | str | None = None,
    incoming: Sequence[float | str] = (0.0, 0.0),
) -> dict[str, Array]:
    """Momenta of two incoming and n outgoing legs, and the phase space that each event stands for.

    Parameters: those that the options name, in GeV; masses not below zero.
    Inputs: unit (event, 3n-4), numbers in (0, 1): n-2 intermediate masses, then (1 + cos(theta))/2
    and phi/(2 pi) of each of n-1 decays; energy (event,), sqrt(s) in GeV, unless it is an option.
    Outputs: momenta (event, 2+n, 4), [E, px, py, pz] in GeV in the centre-of-mass frame, the two
    incoming along +z and -z before the outgoing in the order of `masses`; weight (event,) in
    GeV^(2n-4), so that the mean of weight * f over the unit cube is the integral of f over
    dPhi_n = prod d^3p_i/((2 pi)^3 2 E_i) (2 pi)^4 delta^4(P - sum p_i). For massless legs it is
    constant; for others it can be large, and its variance is finite.
    The weight is zero where sqrt(s) does not exceed the masses, outgoing or incoming, and outside
    the unit cube; the momenta are then those of some other energy, finite with finite derivatives.
    Derivatives are exact with respect to sqrt(s), masses and unit numbers, in either mode; second
    ones with respect to sqrt(s) and masses alone.
    Options: masses, n of them, incoming, two, and energy: numbers in GeV or names of parameters.
    Raises ValueError for a wrong option, and for a `unit` with another number of columns.
    Source: S. Platzer, arXiv:1308.2922.
    """
    legs = _masses("masses", masses, parameters)
    beams = _masses("incoming", incoming, parameters)
    if len(beams) != 2:
        raise ValueError(f"{STAGE}: option incoming must list two masses, got {list(incoming)!r}")
    unit = _unit(inputs["unit"], len(legs))
    sqrt_s = _sqrt_s(energy, parameters, inputs)
    physical, sqrt_s = _above(_total(legs), _total(beams), sqrt_s, unit)
    unit = jnp.clip(unit, EDGE, 1.0 - EDGE)
    available = sqrt_s - _total(legs)
    chain = decays.decays(available, legs, unit[:, : len(legs) - 2])
    outgoing = decays.momenta(chain, unit[:, len(legs) - 2 :])
    return {
        "momenta": jnp.concatenate([_collision(sqrt_s, beams), outgoing], axis=1),
        "weight": jnp.where(physical, decays.weight(chain, available), 0.0),
    }


def _above(legs: Array, beams: Array, sqrt_s: Array, unit: Array) -> tuple[Array, Array]:
    """Which events are possible, and sqrt(s) with some possible energy for those that are not."""
    threshold = jnp.maximum(legs, beams)
    within = jnp.all((unit >= 0.0) & (unit <= 1.0), axis=1)
    physical = within & (sqrt_s > threshold)
    return physical, jnp.where(physical, sqrt_s, jax.lax.stop_gradient(2.0 * threshold + GEV))


def _total(masses: Sequence[Array]) -> Array:
    return functools.reduce(operator.add, masses)


def _collision(sqrt_s: Array, beams: Sequence[Array]) -> Array:
    """Two legs along +z and -z in their centre-of-mass frame, (event, 2, 4)."""
    (first, second), total = beams, beams[0] + beams[1]
    difference = first - second
    squared = (sqrt_s - total) * (sqrt_s + total) * (sqrt_s - difference) * (sqrt_s + difference)
    along = 0.5 * jnp.sqrt(squared) / sqrt_s
    three = jnp.stack([jnp.zeros_like(along), jnp.zeros_like(along), along], axis=1)
    return jnp.stack([decays.on_shell(three, first), decays.on_shell(-three, second)], axis=1)


def _masses(name: str, values: object, parameters: Mapping[str, Array]) -> list[Array]:
    if isinstance(values, str) or not isinstance(values, Sequence) or len(values) < 2:
        raise ValueError(
            f"{STAGE}: option {name} must list at least two masses, each a number in GeV or the "
            f"name of a parameter, got {values!r}"
        )
    return [
        _scalar(f"{name}[{place}]", value, parameters, checks.not_negative)
        for place, value in enumerate(values)
    ]


def _scalar(
    name: str,
    value: object,
    parameters: Mapping[str, Array],
    check: Callable[[str, str, object], float],
) -> Array:
    """What an option says: a number, or a parameter by its local name."""
    if not isinstance(value, str):
        return jnp.asarray(check(STAGE, name, value))
    if parameters[value].shape:
        raise ValueError(
            f"{STAGE}: option {name} must name a parameter that is one number, got {value!r} of "
            f"shape {parameters[value].shape}"
        )
    return parameters[value]


def _unit(unit: Array, legs: int) -> Array:
    if unit.shape[1:] != (3 * legs - 4,):
        raise ValueError(
            f"{STAGE}: input unit has shape {unit.shape}, and {legs} outgoing legs need "
            f"(event, {3 * legs - 4}): for the source unit_cube, dimensions: {3 * legs - 4}"
        )
    return unit


def _sqrt_s(energy: object, parameters: Mapping[str, Array], inputs: Mapping[str, Array]) -> Array:
    """sqrt(s) per event in GeV, from the input or the option."""
    if (energy is None) == ("energy" not in inputs):
        raise ValueError(
            f"{STAGE}: energy must be either an option or an input (event,), got the option "
            f"{energy!r} and the inputs {sorted(inputs)}"
        )
    events = inputs["unit"].shape[:1]
    if energy is not None:
        value = _scalar("energy", energy, parameters, checks.positive_number)
        return jnp.broadcast_to(value, events)
    if inputs["energy"].shape != events:
        raise ValueError(
            f"{STAGE}: input energy has shape {inputs['energy'].shape}, one number for each of "
            f"{events[0]} events is needed"
        )
    return inputs["energy"]
