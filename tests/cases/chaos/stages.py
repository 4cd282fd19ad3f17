"""A path followed for every event, bent; its mean, and how the events lie around it."""

import jax
import jax.numpy as jnp
import numpy as np


def grid(start, stop, *, count, seed):
    del seed
    return {"t": (np.arange(start, stop) + 0.5) / count}


def path(parameters, inputs, *, rounds):
    def step(x, _):
        return x + inputs["t"] / rounds * jnp.sin(parameters["rate"] * x), None

    first = jnp.full_like(inputs["t"], 1.0) * parameters["start"]
    return {"x": jax.lax.scan(step, first, None, length=rounds)[0]}


def warp(parameters, inputs):
    angle = parameters["bend"][0] + parameters["bend"][1] * inputs["t"]
    return {"x": inputs["x"] * jnp.cos(angle) + inputs["x"] ** 2 * jnp.sin(angle)}


def total(parameters, inputs):
    del parameters
    weight = 1.0 + inputs["t"]
    return {"total": jnp.stack([jnp.sum(weight * inputs["x"]), jnp.sum(weight)])}


def centre(parameters, inputs):
    del parameters
    return {"centre": inputs["total"][0] / inputs["total"][1]}


def spread(parameters, inputs, *, bins):
    edges = jnp.linspace(-1.0, 1.0, bins)
    distance = inputs["x"] - inputs["centre"]
    pull = (distance[:, None] - edges[None, :]) / parameters["width"]
    return {"bins": jnp.sum(jnp.exp(-0.5 * pull**2), axis=0)}


def fit(parameters, inputs):
    del parameters
    share = inputs["bins"] / jnp.sum(inputs["bins"]) * inputs["bins"].size
    return {"chi2": jnp.mean((share - 0.3) ** 2) + inputs["centre"] ** 2}
