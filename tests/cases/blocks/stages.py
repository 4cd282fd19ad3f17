"""Curves, their mean and the width around it."""

import jax.numpy as jnp
import numpy as np


def grid(start, stop, *, count, seed):
    del seed
    return {"t": (np.arange(start, stop) + 0.5) / count}


def heights(parameters, inputs):
    del inputs
    return {"heights": jnp.exp(parameters["height"])}


def decay(parameters, inputs):
    y = inputs["heights"][None, :] * jnp.exp(-parameters["rate"] * inputs["t"])[:, None]
    return {"y": y, "total": jnp.sum(y, axis=0)}


def mean(parameters, inputs):
    del parameters
    return {"mean": inputs["total"] / 41.0}


def spread(parameters, inputs):
    distance = inputs["y"] - inputs["mean"][None, :]
    square = jnp.sum(distance**2 * jnp.cos(parameters["rate"] * inputs["y"]), axis=0)
    return {"square": square, "count": jnp.asarray(inputs["y"].shape[0])}


def width(parameters, inputs):
    del parameters
    variance = jnp.sum(inputs["square"]) / inputs["count"].astype(float)
    return {"width": variance + jnp.sum(inputs["mean"] ** 2)}
