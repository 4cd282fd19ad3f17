"""Small stages with every kind of join; the numbers mean nothing."""

import jax.numpy as jnp
import numpy as np


def lattice(start, stop, *, count, seed, spread):
    """Points spread over (0, spread), each with a label 0, 1 or 2."""
    index = np.arange(start, stop)
    phase = np.modf((index + 1) * 0.6180339887498949 + seed * 0.1)[0]
    return {"x": spread * phase, "label": index % 3, "row": index / count}


def table(parameters, inputs):
    del inputs
    return {"table": jnp.tanh(parameters["offsets"]) * parameters["slope"], "size": jnp.asarray(3)}


def warp(parameters, inputs):
    shift = inputs["table"][inputs["label"]]
    x = inputs["x"] * parameters["slope"]
    pair = jnp.stack([jnp.sin(x + shift), jnp.cos(x)], axis=1)
    return {"pair": pair, "doubled": 2 * inputs["label"]}


def mix(parameters, inputs):
    mixed = jnp.exp(0.3 * jnp.sin(inputs["pair"] @ parameters["matrix"]))
    return {"mixed": mixed * inputs["x"][:, None]}


def join(parameters, inputs):
    del parameters
    left = jnp.sum(inputs["left"] * inputs["right"], axis=1)
    return {"value": left + inputs["table"][0] * inputs["right"][:, 1]}


def totals(parameters, inputs):
    del parameters
    weight = 1.0 + 0.5 * inputs["label"].astype(float)
    return {
        "total": jnp.sum(weight * inputs["value"]),
        "square": jnp.stack([jnp.sum(inputs["value"] ** 2), jnp.sum(weight)]),
    }


def centre(parameters, inputs):
    del parameters
    mean = inputs["total"] / inputs["square"][1]
    return {"centre": jnp.stack([mean, inputs["table"][1]]), "mean": mean}


def deviation(parameters, inputs):
    distance = inputs["value"] - inputs["centre"][0]
    edges = jnp.asarray([-0.5, 0.0, 0.5])
    soft = jnp.exp(-0.5 * ((distance[:, None] - edges[None, :]) / parameters["width"]) ** 2)
    return {"bins": jnp.sum(soft, axis=0)}


def fit(parameters, inputs):
    del parameters
    pull = inputs["bins"] + inputs["centre"][1] - inputs["target"]
    return {"chi2": pull @ jnp.linalg.solve(inputs["covariance"], pull), "pull": pull}
