"""The response of a calorimeter: expected counts in bins of measured energy, and its derivatives.

Energies are in GeV.
"""

import numpy as np
from scipy.special import expit, ndtr

THRESHOLD, TURN_ON = 30.0, 4.0  # GeV, of the trigger
RESOLUTION = 0.8  # sigma = RESOLUTION sqrt(energy), in sqrt(GeV)


def smear(parameters, inputs, *, edges):
    """Counts in bins of measured energy (bin,), of events with true energies (event,)."""
    measured, _ = _measured(parameters, inputs["energy"])
    return {"content": np.sum(_shares(measured, np.array(edges))[0], axis=0)}


def vjp_smear(parameters, inputs, cotangents, *, edges):
    """The gradients of parameters and inputs, for a cotangent (bin,) of the counts."""
    measured, along = _measured(parameters, inputs["energy"])
    pulled = _shares(measured, np.array(edges))[1] @ cotangents["content"]
    gradients = {name: np.sum(pulled * along[name]) for name in parameters}
    return gradients, {"energy": pulled * along["energy"]}


def jvp_smear(parameters, inputs, parameter_tangents, input_tangents, *, edges):
    """The tangent (bin,) of the counts, for tangents of all parameters and inputs."""
    measured, along = _measured(parameters, inputs["energy"])
    tangents = {**parameter_tangents, **input_tangents}
    pushed = sum(along[name] * tangent for name, tangent in tangents.items())
    return {"content": pushed @ _shares(measured, np.array(edges))[1]}


def _measured(parameters, energy):
    """The mean measured energies (event,), and their derivatives by name."""
    scale, saturation = parameters["scale"], parameters["saturation"]
    bend = 1.0 + (energy / saturation) ** 2
    measured = scale * energy / np.sqrt(bend)
    return measured, {
        "scale": measured / scale,
        "saturation": measured * (bend - 1.0) / (bend * saturation),
        "energy": scale / bend**1.5,
    }


def _shares(measured, edges):
    """What events add to bins, and its slope in the mean measured energy: both (event, bin)."""
    mean = measured[:, None]
    width = RESOLUTION * np.sqrt(mean)
    z = (edges[None, :] - mean) / width
    inside = np.diff(ndtr(z), axis=1)
    inside_slope = np.diff(_density(z) * (-1.0 / width - z / (2.0 * mean)), axis=1)
    accepted = expit((mean - THRESHOLD) / TURN_ON)
    accepted_slope = accepted * (1.0 - accepted) / TURN_ON
    return accepted * inside, accepted_slope * inside + accepted * inside_slope


def _density(z):
    return np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
