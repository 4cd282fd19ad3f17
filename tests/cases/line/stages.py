"""Events on a grid, counted in five bins with weights of a parabola."""

import jax.numpy as jnp
import numpy as np

from diffpipe.pipelines.physics.likelihood.gaussian import gaussian

BINS = 5


def grid(start, stop, *, count, seed):
    del seed
    return {"t": (np.arange(start, stop) + 0.5) / count}


def count(parameters, inputs):
    t = inputs["t"]
    weight = parameters["height"] + parameters["slope"] * t + parameters["bend"] * t**2
    inside = jnp.floor(BINS * t)[None, :] == jnp.arange(BINS)[:, None].astype(float)
    return {"content": jnp.sum(jnp.where(inside, weight[None, :], 0.0), axis=1) / 12.0}


def steep(parameters, inputs):
    """Not a likelihood of the library, and not a parabola."""
    del parameters
    return {"value": jnp.sum(jnp.cosh(inputs["content"] - jnp.asarray([1.0, 1.2, 1.4, 1.7, 1.9])))}


def half(parameters, inputs):
    """Half of chi^2."""
    return {"chi2": 0.5 * gaussian(parameters, inputs)["chi2"]}
