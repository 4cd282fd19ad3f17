"""The example that every framework's stage is put to, and the stages before it in a pipeline."""

import numpy as np

ROWS = 24
TABLE = np.array([0.3, -1.2, 0.8, 2.5, 0.1])
SHAPE = [0.4, -0.7, 1.1]


def events(start, stop, *, count, seed):
    del count
    drawn = np.random.default_rng(seed).uniform(size=(stop, 4))[start:]
    return {
        "x": 0.2 + 1.8 * drawn[:, 0],
        "t": 4 * drawn[:, 1:] - 2,
        "label": np.arange(start, stop, dtype=np.int32) % 5,
    }


def moved(parameters, inputs):
    """Events that move with a parameter, so that derivatives are taken in them."""
    return {"x": inputs["x"] + parameters["shift"], "t": inputs["t"] + parameters["shift"]}


def vjp_moved(parameters, inputs, cotangents):
    del parameters, inputs
    return {"shift": cotangents["x"].sum() + cotangents["t"].sum()}, {}


def table(parameters, inputs):
    del inputs
    return {"table": parameters["height"] * TABLE}


def vjp_table(parameters, inputs, cotangents):
    del parameters, inputs
    return {"height": cotangents["table"] @ TABLE}, {}


def example(**more):
    columns = events(0, ROWS, count=ROWS, seed=7)
    return {
        "over": "events",
        "parameters": {"scale": 1.3, "shape": SHAPE},
        "inputs": columns | {"table": TABLE},
        "outputs": {"y": {}, "z": {"shape": [2]}, "total": {"sum": True, "shape": [3]}},
        "options": {"cut": 0.25},
    } | more
