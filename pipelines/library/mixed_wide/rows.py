"""The rows that the chain works on, in NumPy."""

from collections.abc import Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]


def rows(parameters: Arrays, inputs: Arrays, *, count: int) -> dict[str, np.ndarray]:  # noqa: ARG001
    """scale_a u and scale_b (1 - u), with u the middles of `count` intervals of (0, 1)."""
    u = _middles(count)
    return {"a": parameters["scale_a"] * u, "b": parameters["scale_b"] * (1.0 - u)}


def vjp_rows(
    parameters: Arrays,  # noqa: ARG001  what a VJP is given
    inputs: Arrays,  # noqa: ARG001
    cotangents: Arrays,
    *,
    count: int,
) -> tuple[Arrays, Arrays]:
    u = _middles(count)
    return {"scale_a": cotangents["a"] @ u, "scale_b": cotangents["b"] @ (1.0 - u)}, {}


def _middles(count: int) -> np.ndarray:
    return (np.arange(count) + 0.5) / count
