"""A path followed in many small steps, which takes its time."""

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


def mean(parameters, inputs):
    del parameters
    return {"mean": jnp.sum(inputs["x"]) / 480}
