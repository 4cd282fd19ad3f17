"""A little evolution of a start on nodes; the numbers mean nothing."""

import jax.numpy as jnp
import numpy as np


def points(start, stop, *, count, seed):
    del count, seed
    return {"index": np.arange(start, stop) % 5}


def evolve(parameters, inputs, *, damping):
    """The density (point,) after one step."""
    step = parameters["alpha"] * inputs["matrix"] - damping * jnp.eye(inputs["start"].size)
    return {"density": inputs["start"] + step @ inputs["start"]}


def value(parameters, inputs):
    return {"value": jnp.sin(parameters["coupling"] * inputs["density"][inputs["index"]])}


def total(parameters, inputs):
    del parameters
    return {"total": jnp.sum(inputs["value"])}
