"""Evolved densities at given x and Q^2, with their derivatives by the values they come from."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics.pdf import flavours, grid, options, stage
from diffpipe.pipelines.physics.pdf.evolution.theory import Theory, coupling_at, running_of
from diffpipe.pipelines.physics.pdf.parameters import COUPLINGS, MASSES, OWN
from diffpipe.pipelines.physics.pdf.point.evaluation import (
    Case,
    arguments,
    constants_of,
    evaluate,
    ready,
)
from diffpipe.pipelines.physics.pdf.point.origin import Origin
from diffpipe.pipelines.physics.pdf.problem import problem
from diffpipe.pipelines.physics.refusal import RefusedError, did_you_mean

USUAL_X_MIN = 1e-7
ALIASES = {long: short for short, long in MASSES.values()}
THEORY = (*COUPLINGS, *(short for short, _ in MASSES.values()), "q0", "kr", "q2")
ALL = "all"


class Report(NamedTuple):
    """x f (q, flavour, x), flavours as pids; alphas (q,), alpha_s(muR^2 = q2); and derivatives."""

    pids: tuple[int, ...]
    xf: np.ndarray
    alphas: np.ndarray
    gradient: Mapping[str, np.ndarray]
    alphas_gradient: Mapping[str, np.ndarray]


def case(
    origin: Origin,
    chosen: Mapping[str, Any],
    given: Mapping[str, np.ndarray],
    x: np.ndarray,
) -> Case:
    """The case of an origin, options of the stage and values set; ValueError for a wrong one.

    given: by name, `q2` (q,) among them, in place of what comes with the origin. x: where densities
    will be asked for, in the range of the origin and the grid.
    """
    values = _values(origin, given)
    _check_x(x, max(origin.x_min, options.SMALLEST_X_MIN))
    _check_q2(np.asarray(values["q2"]))
    settled = {
        "order": origin.order,
        "nf": _flavours_of_set(origin, chosen, values),
        "alphas_scale": origin.alphas_scale,
        "x_min": max(min([USUAL_X_MIN, *x]), origin.x_min),
        **{name: value for name, value in chosen.items() if value is not None},
    }
    made = Case(
        origin, {name: value for name, value in settled.items() if value is not None}, values
    )
    _check_scale(made)
    parameters, inputs = arguments(made.origin.density, values, constants_of(made))
    stage.check_pdf_evolution(parameters, inputs, **made.options)
    return made


def report(of: Case, x: np.ndarray, wrt: Sequence[str] = ()) -> Report:
    """Densities at x (x,) and their derivatives by the values named in `wrt`, or by "all" scalars.

    Each derivative holds the other values of the case; it is zero where nothing depends on the
    value. `alphas` is alpha_s as it is given; `alphas_mz` and `alphas_q0` are alpha_s there however
    it is given; `q` is the root of q2. Raises RefusedError for an unknown name and for an array.
    """
    names = _scalars(of) if list(wrt) == [ALL] else list(wrt)
    tangents = [_tangent(of, name) for name in names]
    found, slopes = evaluate(of, tangents)
    weights = grid.basis(x, of.plan.x_min, of.plan.points)
    return Report(
        tuple(flavours.pid(name) for name in flavours.names(of.plan.flavours[-1])),
        _at(weights, found["grid"]),
        np.asarray(found["alphas"]),
        {name: _at(weights, each["grid"]) for name, each in zip(names, slopes, strict=True)},
        {name: np.asarray(each["alphas"]) for name, each in zip(names, slopes, strict=True)},
    )


# --- values ---------------------------------------------------------------------------------------


def _values(origin: Origin, given: Mapping[str, np.ndarray]) -> dict[str, Array]:
    named: dict[str, np.ndarray] = {}
    for name, value in given.items():
        own = _canonical(origin, name)
        if own in named:
            raise RefusedError(f"{name} is given twice", hint="give it once")
        if own in THEORY and own != "q2" and np.ndim(value):
            raise RefusedError(f"{name} is one number, got a list", hint=f"--set {name}=<number>")
        named[own] = value
    couplings = [name for name in COUPLINGS if name in named]
    if len(couplings) > 1:
        raise RefusedError(
            f"alpha_s is given more than once: {', '.join(couplings)}", hint="give one of them"
        )
    usual = {
        name: value
        for name, value in origin.values.items()
        if not (couplings and name in COUPLINGS)
    }
    all_of_them = {"kr": np.float64(1.0), **usual, **named}
    return {name: jnp.asarray(value, jnp.float64) for name, value in all_of_them.items()}


def _canonical(origin: Origin, name: str) -> str:
    """The name of a value as the evolution has it; RefusedError for one that is not known."""
    short = ALIASES.get(name, name)
    if short == "alphas" and origin.density is not None:
        return "alphas_mz"  # what comes from elsewhere has no scale of its own but M_Z
    if short in THEORY:
        return short
    own = OWN + name.removeprefix(OWN)
    if own in origin.values or origin.any_parameter:
        return own
    known = [each.removeprefix(OWN) for each in origin.values if each.startswith(OWN)]
    raise RefusedError(f"there is no value {name!r}", hint=did_you_mean(name, [*THEORY, *known]))


def _scalars(of: Case) -> list[str]:
    """The names of all scalars, q2 among them."""
    names = [name for name, value in of.values.items() if name == "q2" or not np.ndim(value)]
    return [name.removeprefix(OWN) for name in names]


def _tangent(of: Case, name: str) -> dict[str, Array]:
    """The direction in the case's values along which the named one grows by one."""
    own, size = ("q2", 2.0 * jnp.sqrt(of.values["q2"])) if name == "q" else _direction(of, name)
    if own in of.values and own != "q2" and of.values[own].ndim:
        raise RefusedError(
            f"{name} is an array of shape {of.values[own].shape}; derivatives here are by scalars",
            hint="the stage pdf_evolution in a pipeline gives the gradient of an objective by it",
        )
    still = {each: jnp.zeros_like(value) for each, value in of.values.items()}
    return {**still, own: still[own] + size} if own in still else still


def _direction(of: Case, name: str) -> tuple[str, Array]:
    own, one = _canonical(of.origin, name), jnp.ones(())
    if own in COUPLINGS and own != of.coupling:
        return of.coupling, one if name == "alphas" else _rate(of, own)
    if own not in of.values and own not in THEORY:
        known = [each.removeprefix(OWN) for each in of.values]
        raise RefusedError(f"there is no value {name!r}", hint=did_you_mean(name, known))
    return own, one


def _rate(of: Case, coupling: str) -> Array:
    """How alpha_s as it is given changes with alpha_s elsewhere, masses and scales kept."""
    here = ready(of)
    values = {name: value for name, value in of.values.items() if name != of.coupling}
    chosen = {name: value for name, value in of.options.items() if name != "alphas_scale"}
    moved = arguments(of.origin.density, {**values, coupling: jnp.ones(())}, constants_of(of))
    there = problem(*moved, chosen)
    theory = here.theory._replace(masses={**there.theory.masses, **here.theory.masses})
    between = here.alphas_flavours, there.alphas_flavours
    return 1.0 / _slope(theory, there.theory.a_scale, here.plan.order, between)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _slope(theory: Theory, scale: Array, order: str, between: tuple[int, int]) -> Array:
    """How the coupling at a scale (GeV) changes with that which is given."""
    nf, target = between
    running = running_of(theory, order)

    def there(a: Array) -> Array:
        given, log_mu2 = theory._replace(a=a), 2.0 * jnp.log(scale)
        return coupling_at(given, nf, log_mu2, target, running)

    return jax.jvp(there, (theory.a,), (jnp.ones(()),))[1]


# --- options --------------------------------------------------------------------------------------


def _flavours_of_set(
    origin: Origin, chosen: Mapping[str, Any], values: Mapping[str, Array]
) -> int | None:
    """In VFNS a set has the flavours whose thresholds are not above q0; else the stage knows."""
    if origin.scales is None or chosen.get("scheme") == "FFNS":
        return None
    masses = [values[name] for name, _ in MASSES.values() if name in values]
    return options.FEWEST + sum(bool(mass <= values["q0"]) for mass in masses)


def _check_x(x: np.ndarray, lowest: float) -> None:
    outside = x[~((x >= lowest) & (x <= 1.0))]
    if outside.size:
        raise RefusedError(
            f"x = {outside[0]:g} is outside the range of x, {lowest:g} to 1",
            hint=f"ask for {lowest:g} <= x <= 1",
        )


def _check_q2(q2: np.ndarray) -> None:
    wrong = q2[~((q2 > 0.0) & np.isfinite(q2))]
    if wrong.size:
        raise RefusedError(f"q2 must be above zero, got {wrong[0]:g}", hint="muF^2 in GeV^2")


def _check_scale(of: Case) -> None:
    """An origin that is known at some scales only must be asked at one of them."""
    q0 = of.values.get("q0")
    if of.origin.scales is None or q0 is None:
        return
    low, high = of.origin.scales
    if not low <= q0 <= high:
        raise RefusedError(
            f"q0 = {float(q0):g} GeV is outside the scales of the set, {low:g} to {high:g} GeV",
            hint=f"set q0 to {low:g}, or leave it out",
        )


def _at(weights: np.ndarray, densities: Array) -> np.ndarray:
    return np.einsum("xn,nqf->qfx", weights, densities)
