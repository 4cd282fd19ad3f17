"""Pipelines that are wide at one end: many parameters and few outputs, or the other way round."""

# ruff: noqa: ARG001 (a stage is given its parameters, though it has none)

import jax.numpy as jnp
import numpy as np


def lattice(start, stop, *, count, seed):
    """Points that are spread evenly over (0, 1)."""
    del seed
    return {"x": (np.arange(start, stop) + 0.5) / count}


def wave(parameters, inputs):
    """A number per event that three parameters move. Shape (event,)."""
    x = inputs["x"]
    return {"y": parameters["a"] * jnp.sin(parameters["b"] * x) + parameters["c"] * x**2}


def spectrum(parameters, inputs, *, size):
    """Sums over events at many frequencies. Shape (frequency,)."""
    phases = jnp.outer(inputs["x"], jnp.arange(1.0, size + 1.0))
    return {"power": jnp.cos(phases).T @ jnp.tanh(inputs["y"])}


def series(parameters, inputs):
    """A number per event that many coefficients move. Shape (event,)."""
    coefficients = parameters["coefficients"]
    phases = jnp.outer(inputs["x"], jnp.arange(1.0, coefficients.size + 1.0))
    return {"y": jnp.tanh(jnp.sin(phases) @ coefficients)}


def powers(parameters, inputs):
    """Three moments. Shape (moment,)."""
    return {"moments": jnp.stack([jnp.sum(inputs["y"] ** k) for k in (1, 2, 3)])}


def unfold(parameters, inputs, *, size):
    """Many numbers from three, and a parameter of its own. Shape (frequency,)."""
    phases = jnp.outer(jnp.arange(1.0, size + 1.0) / size, inputs["moments"] / 100.0)
    return {"power": jnp.sum(jnp.sin(phases), axis=1) * parameters["scale"]}


def total(parameters, inputs):
    """A number of many. Shape ()."""
    return {"value": jnp.sum(inputs["power"] ** 2)}
