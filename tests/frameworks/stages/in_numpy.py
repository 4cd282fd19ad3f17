"""The same detector response in NumPy, its VJP and its JVP written by hand."""

import numpy as np
from maths import example


def respond(parameters, inputs, *, cut):
    x, t, table = inputs["x"], inputs["t"], inputs["table"]
    y = _y(parameters, x, t)
    bent = np.where(y > cut, np.log1p(np.maximum(y - cut, 0.0)), y - cut)
    z = np.stack([bent * parameters["shape"][2], np.tanh(t[:, 2]) * table[inputs["label"]]], axis=1)
    return {"y": y, "z": z, "total": np.array([y.sum(), (y * x).sum(), (y * x * x).sum()])}


def vjp_respond(parameters, inputs, cotangents, *, cut):
    shape, x, t, label = parameters["shape"], inputs["x"], inputs["t"], inputs["label"]
    y, grown = _y(parameters, x, t), np.exp(-shape[0] * x * x)
    w0, w1, w2 = cotangents["total"]
    w_bent, w_table = cotangents["z"].T
    slope, bent = _bend(y, cut)
    w_y = cotangents["y"] + w0 + w1 * x + w2 * x * x + w_bent * shape[2] * slope
    direct = w1 * y + 2 * w2 * x * y  # x in the weights of the sums
    w_x = w_y * parameters["scale"] * grown * (1 - 2 * shape[0] * x * x) + direct
    w_t = np.stack(
        [
            w_y * shape[1] * np.cos(t[:, 0]) * t[:, 1],
            w_y * shape[1] * np.sin(t[:, 0]),
            w_table * inputs["table"][label] / np.cosh(t[:, 2]) ** 2,
        ],
        axis=1,
    )
    of_shape = [
        -np.sum(w_y * parameters["scale"] * x**3 * grown),
        np.sum(w_y * np.sin(t[:, 0]) * t[:, 1]),
        np.sum(w_bent * bent),
    ]
    of_table = np.bincount(label, w_table * np.tanh(t[:, 2]), minlength=len(inputs["table"]))
    gradients = {"scale": np.sum(w_y * x * grown), "shape": np.array(of_shape)}
    return gradients, {"x": w_x, "t": w_t, "table": of_table}


def jvp_respond(parameters, inputs, parameter_tangents, input_tangents, *, cut):
    shape, x, t = parameters["shape"], inputs["x"], inputs["t"]
    d_shape, d_x, d_t = parameter_tangents["shape"], input_tangents["x"], input_tangents["t"]
    y, grown = _y(parameters, x, t), np.exp(-shape[0] * x * x)
    d_y = parameter_tangents["scale"] * x * grown
    d_y = d_y + parameters["scale"] * grown * (d_x * (1 - 2 * shape[0] * x * x) - d_shape[0] * x**3)
    d_y = d_y + d_shape[1] * np.sin(t[:, 0]) * t[:, 1]
    d_y = d_y + shape[1] * (np.cos(t[:, 0]) * t[:, 1] * d_t[:, 0] + np.sin(t[:, 0]) * d_t[:, 1])
    slope, bent = _bend(y, cut)
    label = inputs["label"]
    d_z = [
        d_shape[2] * bent + shape[2] * slope * d_y,
        inputs["table"][label] * d_t[:, 2] / np.cosh(t[:, 2]) ** 2
        + np.tanh(t[:, 2]) * input_tangents["table"][label],
    ]
    sums = [d_y.sum(), (d_y * x + y * d_x).sum(), (d_y * x * x + 2 * y * x * d_x).sum()]
    return {"y": d_y, "z": np.stack(d_z, axis=1), "total": np.array(sums)}


def _y(parameters, x, t):
    shape = parameters["shape"]
    decay = parameters["scale"] * x * np.exp(-shape[0] * x * x)
    return decay + shape[1] * np.sin(t[:, 0]) * t[:, 1]


def _bend(y, cut):
    """The slope of the branch, and its value."""
    above = np.maximum(y - cut, 0.0)
    return np.where(y > cut, 1 / (1 + above), 1.0), np.where(y > cut, np.log1p(above), y - cut)


def respond_each(parameters, inputs, *, cut):
    """What of it is per event."""
    found = respond(parameters, inputs, cut=cut)
    return {"y": found["y"], "z": found["z"]}


def example_respond():
    return example()
