"""What is special to muon pairs: their momenta, kinematics, and how a mass window stands out."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from diffpipe.pipelines.physics import checks
from diffpipe.pipelines.physics.refusal import RefusedError

STAGE = "zmumu"
MUON = 13  # PDG number of the mu-
MUONS = ("1", "2")


def from_columns(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
) -> dict[str, Array]:
    """Momenta and charges of two muons from the columns of a ROOT file.

    Inputs, each (event,): E1, px1, py1, pz1 in GeV and the charge Q1, and the same of muon 2.
    Outputs: momenta (event, 2, 4), [E, px, py, pz] in GeV; charges (event, 2).
    """
    legs = [[inputs[word + muon] for word in ("E", "px", "py", "pz")] for muon in MUONS]
    charges = [inputs["Q" + muon] for muon in MUONS]
    momenta = [jnp.stack(leg, axis=1) for leg in legs]
    return {"momenta": jnp.stack(momenta, axis=1), "charges": jnp.stack(charges, axis=1)}


def from_legs(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
) -> dict[str, Array]:
    """Momenta and charges of mu- and mu+ from the legs of a Les Houches event file.

    Inputs: momenta (event, leg, 4), [E, px, py, pz] in GeV; pdg (event, leg), with one mu- and one
    mu+. Outputs: momenta (event, 2, 4) in GeV; charges (event, 2), -1 and 1.
    """
    momenta, pdg = inputs["momenta"], inputs["pdg"]
    muons = [(pdg == number).astype(momenta.dtype) for number in (MUON, -MUON)]
    chosen = [jnp.einsum("el,elk->ek", each, momenta) for each in muons]
    charges = jnp.broadcast_to(jnp.array([[-1.0, 1.0]]), (pdg.shape[0], 2))
    return {"momenta": jnp.stack(chosen, axis=1), "charges": charges}


def check_from_legs(
    parameters: Mapping[str, Any],  # noqa: ARG001  the runner gives both
    inputs: Mapping[str, Any],
) -> None:
    """Refuse events without one mu- and one mu+ (the runner calls it for one shard)."""
    pdg = np.asarray(inputs["pdg"])
    pairs = ((pdg == MUON).sum(axis=1) == 1) & ((pdg == -MUON).sum(axis=1) == 1)
    if not pairs.all():
        event = int(np.argmin(pairs))
        raise RefusedError(
            f"{STAGE}: event {event} has the legs {pdg[event].tolist()}, not one mu- (13) and one "
            "mu+ (-13)",
            hint="write a file of events with one muon pair",
        )


def kinematics(
    parameters: Mapping[str, Array],  # noqa: ARG001  a stage takes both
    inputs: Mapping[str, Array],
) -> dict[str, Array]:
    """What muon pairs are selected by.

    Inputs: momenta (event, 2, 4), [E, px, py, pz] in GeV; charges (event, 2).
    Outputs, each (event,): pt1, pt2 in GeV; abs_eta1, abs_eta2, |eta| = arsinh(|pz|/pt); m_mumu in
    GeV; charge_product.
    """
    momenta, charges = inputs["momenta"], inputs["charges"]
    pt = jnp.hypot(momenta[:, :, 1], momenta[:, :, 2])
    abs_eta = jnp.arcsinh(jnp.abs(momenta[:, :, 3]) / pt)
    energy, *three = jnp.sum(momenta, axis=1).T
    squared = energy**2 - sum(component**2 for component in three)
    return {
        "pt1": pt[:, 0],
        "pt2": pt[:, 1],
        "abs_eta1": abs_eta[:, 0],
        "abs_eta2": abs_eta[:, 1],
        "m_mumu": jnp.sqrt(squared),
        "charge_product": charges[:, 0] * charges[:, 1],
    }


def significance(
    parameters: Mapping[str, Array],
    inputs: Mapping[str, Array],
    *,
    edges: Sequence[float],
    sidebands: Sequence[Sequence[float]],
) -> dict[str, Array]:
    """s/sqrt(s + b) of a mass window, the background taken from sidebands.

    The background per GeV is taken to be the mean over the sidebands, where all is background; b is
    that times the width of the window, and s what the window holds beyond b.
    Parameters: m_low, m_high, the window in GeV. Inputs: window (2, 1 + cuts), yields of the stage
    `selection` with the window's cuts; spectrum (bin, 1), events in bins of the mass.
    Outputs, each (): signal and background, events in the window; significance.
    Options: edges of the spectrum, GeV; sidebands, pairs of these edges.
    """
    rising = checks.rising(STAGE, "edges", edges, at_least=2)
    chosen, width = _sidebands(rising, sidebands)
    per_gev = jnp.sum(inputs["spectrum"][chosen, 0]) / width
    total = inputs["window"][0, -1]
    background = per_gev * (parameters["m_high"] - parameters["m_low"])
    signal = total - background
    return {
        "signal": signal,
        "background": background,
        "significance": signal / jnp.sqrt(total),
    }


def check_significance(
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Any],
    **options: Any,  # noqa: ARG001
) -> None:
    """Refuse a window that is empty or upside down."""
    low, high = float(parameters["m_low"]), float(parameters["m_high"])
    if not low < high:
        raise RefusedError(
            f"{STAGE}: the window from m_low = {low:g} to m_high = {high:g} GeV is empty",
            hint="m_low must lie below m_high",
        )
    if not float(inputs["window"][0, -1]) > 0.0:
        raise RefusedError(
            f"{STAGE}: empty selection: no event is left in the window",
            hint="loosen the cuts, or look at the units of the file",
        )


def _sidebands(edges: list[float], sidebands: Sequence[Sequence[float]]) -> tuple[Any, float]:
    """Which bins are in sidebands, and the width of these in GeV."""
    centres = 0.5 * (np.array(edges[1:]) + np.array(edges[:-1]))
    chosen = np.zeros(centres.size, dtype=bool)
    for number, band in enumerate(sidebands):
        low, high = _band(edges, f"sidebands[{number}]", band)
        chosen |= (centres > low) & (centres < high)
    if not chosen.any():
        raise ValueError(f"{STAGE}: option sidebands must name pairs of edges, got {sidebands!r}")
    return chosen, float(np.diff(edges)[chosen].sum())


def _band(edges: list[float], name: str, band: Sequence[float]) -> list[float]:
    ends = checks.rising(STAGE, name, band, at_least=2)
    if len(ends) != 2 or not set(ends) <= set(edges):
        raise ValueError(f"{STAGE}: option {name} must be two of the edges {edges}, got {band}")
    return ends
