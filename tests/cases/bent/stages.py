"""y = h exp(s0 x) + s1 x^2 + s2 sin(3 x), its sums over events, and what can be wrong with it."""

import numpy as np

TARGET = np.array([10.0, 31.0])


def grid(start, stop, *, count, seed):
    del seed
    return {"t": (np.arange(start, stop) + 0.5) / count}


def moved(parameters, inputs):
    return {"x": inputs["t"] * (1 + parameters["shift"])}


def vjp_moved(parameters, inputs, cotangents):
    del parameters
    return {"shift": cotangents["x"] @ inputs["t"]}, {}


def jvp_moved(parameters, inputs, of_parameters, of_inputs):
    del parameters, of_inputs
    return {"x": inputs["t"] * of_parameters["shift"]}


def bent(parameters, inputs, *, fault):
    h, s, x = parameters["height"], parameters["shape"], inputs["x"]
    y = h * np.exp(s[0] * x) + s[1] * x**2 + s[2] * np.sin(3 * x)
    if fault == "noisy":  # the last digits are lost, as where an iteration stops at 1e-9
        y = y * (1 + 1e-9 * np.sin(1e13 * y))
    return {"y": y, "total": np.stack([np.sum(y), np.sum(x * y)])}


def _slopes(parameters, inputs, fault):
    """d y / d h, d y / d s (3, event) and d y / d x."""
    h, s, x = parameters["height"], parameters["shape"], inputs["x"]
    rise = np.exp(s[0] * x)
    small = -1 if fault == "sign of a small term" else 1
    of_x = h * s[0] * rise + 2 * s[1] * x + 3 * s[2] * np.cos(3 * x)
    return rise, np.stack([h * x * rise, small * x**2, np.sin(3 * x)]), of_x


WRONG = {"wrong by 9%": 1.09, "wrong by 1e-5": 1 + 1e-5}


def vjp_bent(parameters, inputs, cotangents, *, fault):
    x, of_total = inputs["x"], cotangents["total"]
    w = cotangents.get("y", 0.0) + of_total[0] + of_total[1] * x
    of_h, of_s, of_x = _slopes(parameters, inputs, fault)
    y = bent(parameters, inputs, fault=fault)["y"]
    factor = WRONG.get(fault, 1.0)
    one = np.array([1, 1, 1.01 if fault == "one component" else 1.0])
    gradients = {"height": factor * (w @ of_h), "shape": factor * one * (of_s @ w)}
    return gradients, {"x": factor * (w * of_x + of_total[1] * y)}


def jvp_bent(parameters, inputs, of_parameters, of_inputs, *, fault):
    del fault
    of_h, of_s, of_x = _slopes(parameters, inputs, "none")
    h, s, x = of_parameters.get("height", 0.0), of_parameters.get("shape"), of_inputs.get("x", 0.0)
    y_dot = h * of_h + of_x * x + (0.0 if s is None else s @ of_s)
    y = bent(parameters, inputs, fault="none")["y"]
    total = [np.sum(y_dot), np.sum(inputs["x"] * y_dot + x * y)]
    return {"y": y_dot, "total": np.stack(total)}


def level(parameters, inputs):
    del inputs
    return {"level": parameters["cut"] ** 2}


def fit(parameters, inputs):
    del parameters
    pull = inputs["total"] - TARGET - inputs["level"]
    return {"chi2": pull @ pull}


def vjp_fit(parameters, inputs, cotangents):
    del parameters
    pull = inputs["total"] - TARGET - inputs["level"]
    w = 2 * cotangents["chi2"] * pull
    return {}, {"total": w, "level": -np.sum(w)}


def jvp_fit(parameters, inputs, of_parameters, of_inputs):
    del parameters, of_parameters
    pull = inputs["total"] - TARGET - inputs["level"]
    return {"chi2": 2 * pull @ (of_inputs["total"] - of_inputs.get("level", 0.0))}
