"""Stages that read densities off a grid: for events, and as parton luminosities."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics import checks
from diffpipe.pipelines.physics.blocks import map_blocks
from diffpipe.pipelines.physics.pdf import flavours, grid
from diffpipe.pipelines.physics.pdf.lhapdf import alpha_s, source

INTERPOLATION = "pdf_interpolation"
DENSITY = "lhapdf_density"
LUMINOSITY = "parton_luminosity"
BLOCK = 1024  # points evaluated at a time


def pdf_interpolation(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Any],
    *,
    flavours: Sequence[int] | None = None,
    alphas: bool = False,
    block: int = BLOCK,
) -> dict[str, Array]:
    """Densities at the momentum fraction and scale of events, from an LHAPDF set.

    Inputs: x (event,); q (event,) in GeV; and `set`, all that the reader `lhapdf` gives, or its
    arrays one by one under their names (pids, x_0, q_0, xf_0, x_1, ..., alphas_q, alphas).
    Outputs: xf (event, flavour), x f(x, Q), log-bicubic as in LHAPDF and linear in the grid;
    alphas (event,), alpha_s(Q), if asked for. xf is zero for x > 1; off the grid both are NaN,
    which a runner refuses.
    Options: flavours, PDG numbers of the columns (gluon 21; zero for what the set has not got), by
    default those of the set in its order; alphas; block, events evaluated at a time.
    Raises ValueError for a wrong option or input. Source: arXiv:1412.7420.
    """
    checks.integer(INTERPOLATION, "block", block, at_least=1)
    of = source.of_set(INTERPOLATION, inputs)
    select = None
    if flavours is not None:
        select = source.columns(of, source.partons(INTERPOLATION, "flavours", flavours))

    def densities(events: Mapping[str, Array]) -> Array:
        found = of.densities(events["x"], events["q"])
        return found if select is None else found @ select

    xf = map_blocks(densities, {name: inputs[name] for name in ("x", "q")}, block)
    return {"xf": xf} | ({"alphas": _alphas(inputs)} if alphas else {})


def lhapdf_density(
    parameters: Mapping[str, Array],
    inputs: Mapping[str, Any],
    *,
    q0: float | None = None,
) -> dict[str, Array]:
    """Densities of a set at one scale, on the nodes of an evolution.

    Inputs: `set`, all that the reader `lhapdf` gives, or its arrays; x (x,). Option or parameter:
    q0 in GeV, by default where the set begins. Outputs: density (11, x), x f in the order of
    `flavours.FLAVOURS`; q0 (). NaN, which a runner refuses, where the set has no values: raise
    x_min of the evolution.
    """
    of = source.of_set(DENSITY, inputs)
    first = source.arrays_of_set(inputs)["q_0"][0] if q0 is None else jnp.asarray(q0, jnp.float64)
    scale = parameters.get("q0", first)
    x = inputs["x"]
    select = source.columns(of, [flavours.pid(name) for name in flavours.FLAVOURS])
    found = of.densities(x, jnp.broadcast_to(scale, x.shape)) @ select
    return {"density": found.T, "q0": scale}


def parton_luminosity(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Any],
    *,
    channels: Sequence[Sequence[int]],
    masses: Sequence[float],
    collider_energy: float,
    points: int = 64,
) -> dict[str, Array]:
    """Parton luminosities L_ab = int_tau^1 dx/x f_a(x, M) f_b(tau/x, M) with tau = M^2/S.

    Inputs: an LHAPDF set as for `pdf_interpolation`, or grid, x, ln_q from `pdf_evolution`.
    Outputs: luminosity (channel, mass), dimensionless and quadratic in the grid; tau (mass,).
    sigma = sum_ab int d tau L_ab(tau) sigma_ab(tau S), both orders of a pair being channels.
    Options: channels, pairs of PDG numbers such as [[21, 21], [2, -2]]; masses M, rising, and
    collider_energy sqrt(S), in GeV; points, Gauss-Legendre nodes in ln x on each side of x =
    sqrt(tau); 64 are good to 2e-6 on a set with some 200 x knots. NaN where tau, or M for a set, is
    off the grid; beyond the scales of `pdf_evolution` its polynomial is continued.
    Raises ValueError for a wrong option or input.
    """
    energy = checks.positive_number(LUMINOSITY, "collider_energy", collider_energy)
    checks.integer(LUMINOSITY, "points", points, at_least=1)
    mass = _masses(masses, energy)
    pairs = _pairs(channels)
    of = source.of_set_or_evolution(LUMINOSITY, inputs)
    tau = (mass / energy) ** 2
    share, weight = _nodes(points)
    x = tau[:, None] ** share  # with tau/x the same nodes, backwards
    at = {"x": x.ravel(), "q": np.repeat(mass, share.size)}
    events = {name: jnp.asarray(each) for name, each in at.items()}
    xf = map_blocks(lambda e: of.densities(e["x"], e["q"]), events, BLOCK).reshape(*x.shape, -1)
    first, second = (xf @ source.columns(of, side) for side in zip(*pairs, strict=True))
    total = jnp.einsum("mkc,mkc,k->cm", first, second[:, ::-1], jnp.asarray(weight))
    # dx/x f_a f_b = d ln x (x f_a) (tau/x f_b) / tau, and ln x runs over |ln tau|
    measure = -np.log(tau) / tau
    return {"luminosity": total * jnp.asarray(measure)[None, :], "tau": jnp.asarray(tau)}


def _alphas(inputs: Mapping[str, Any]) -> Array:
    arrays = source.arrays_of_set(inputs)
    if not {"alphas_q", "alphas"} <= arrays.keys():
        raise ValueError(
            f"{INTERPOLATION}: option alphas needs alphas_q and alphas, which the set has not got"
        )
    return alpha_s.alphas(arrays["alphas_q"], arrays["alphas"], inputs["q"])


def _nodes(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of ln x / ln tau on [0, 1], Gauss-Legendre on both halves."""
    node, weight = grid.gauss(points)
    return np.concatenate([node, 1.0 + node]) / 2.0, np.concatenate([weight, weight]) / 2.0


def _masses(masses: object, energy: float) -> np.ndarray:
    values = checks.rising(LUMINOSITY, "masses", masses, at_least=1)
    checks.positive_number(LUMINOSITY, "masses[0]", values[0])
    if values[-1] >= energy:
        raise ValueError(
            f"{LUMINOSITY}: option masses must be below collider_energy = {energy:g}, got "
            f"{values[-1]:g}"
        )
    return np.array(values)


def _pairs(channels: object) -> list[list[int]]:
    if isinstance(channels, str) or not isinstance(channels, Sequence) or not channels:
        raise ValueError(
            f"{LUMINOSITY}: option channels must be a list of pairs such as [[21, 21], [2, -2]], "
            f"got {channels!r}"
        )
    pairs = [source.partons(LUMINOSITY, f"channels[{i}]", pair) for i, pair in enumerate(channels)]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"{LUMINOSITY}: option channels must be pairs, got {channels!r}")
    return pairs
