"""A decaying curve and the area below it."""

import jax.numpy as jnp
import numpy as np


def grid(start, stop, *, count, seed):
    del seed
    return {"t": (np.arange(start, stop) + 0.5) / count}


def scaled(parameters, inputs):
    del inputs
    return {"scaled": parameters["height"] ** 1.5}


def decay(parameters, inputs):
    return {"y": inputs["height"] * jnp.exp(-parameters["rate"] * inputs["t"])}


def area(parameters, inputs):
    del parameters
    return {"area": jnp.sum(inputs["y"])}
