"""The response of a calorimeter: expected counts in bins of measured energy. Energies in GeV."""

import jax.numpy as jnp
from jax.scipy.special import expit, ndtr

THRESHOLD, TURN_ON = 30.0, 4.0  # GeV, of the trigger
RESOLUTION = 0.8  # sigma = RESOLUTION sqrt(energy), in sqrt(GeV)


def smear(parameters, inputs, *, edges):
    """Counts in bins of measured energy (bin,), of events with true energies (event,)."""
    energy = inputs["energy"]
    bend = 1.0 + (energy / parameters["saturation"]) ** 2
    measured = (parameters["scale"] * energy / jnp.sqrt(bend))[:, None]
    accepted = expit((measured - THRESHOLD) / TURN_ON)
    edges = jnp.array(edges, float)[None, :]
    below = ndtr((edges - measured) / (RESOLUTION * jnp.sqrt(measured)))
    return {"content": jnp.sum(accepted * jnp.diff(below, axis=1), axis=0)}
