"""The first step and the third, in NumPy, each with its VJP and its JVP beside it."""

from collections.abc import Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]


def add(parameters: Arrays, inputs: Arrays) -> dict[str, np.ndarray]:  # noqa: ARG001
    """a + b, and b again."""
    return {"sum": parameters["a"] + parameters["b"], "b": parameters["b"]}


def vjp_add(parameters: Arrays, inputs: Arrays, cotangents: Arrays) -> tuple[Arrays, Arrays]:  # noqa: ARG001
    return {"a": cotangents["sum"], "b": cotangents["sum"] + cotangents["b"]}, {}


def jvp_add(parameters: Arrays, inputs: Arrays, tangents: Arrays, _: Arrays) -> Arrays:  # noqa: ARG001
    return {"sum": tangents["a"] + tangents["b"], "b": tangents["b"]}


def square(parameters: Arrays, inputs: Arrays) -> dict[str, np.ndarray]:  # noqa: ARG001
    """The square of x."""
    return {"y": inputs["x"] ** 2}


def vjp_square(parameters: Arrays, inputs: Arrays, cotangents: Arrays) -> tuple[Arrays, Arrays]:  # noqa: ARG001
    return {}, {"x": 2.0 * inputs["x"] * cotangents["y"]}


def jvp_square(parameters: Arrays, inputs: Arrays, _: Arrays, tangents: Arrays) -> Arrays:  # noqa: ARG001
    return {"y": 2.0 * inputs["x"] * tangents["x"]}
