"""A detector response in JAX: smearing, a table, a branch at a cut, and sums."""

import jax.numpy as jnp
from maths import example


def respond(parameters, inputs, *, cut):
    scale, shape = parameters["scale"], parameters["shape"]
    x, t, table = inputs["x"], inputs["t"], inputs["table"]
    y = scale * x * jnp.exp(-shape[0] * x * x) + shape[1] * jnp.sin(t[:, 0]) * t[:, 1]
    bent = jnp.where(y > cut, jnp.log1p(jnp.where(y > cut, y - cut, 0.0)), y - cut)
    z = jnp.stack([bent * shape[2], jnp.tanh(t[:, 2]) * table[inputs["label"]]], axis=1)
    total = jnp.stack([jnp.sum(y), jnp.sum(y * x), jnp.sum(y * x * x)])
    return {"y": y, "z": z, "total": total}


def example_respond():
    return example()
