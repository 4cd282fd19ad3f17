"""The detector response in NumPy with one thing wrong, by name."""

import os
from collections import Counter

import in_numpy
import maths
import numpy as np

calls = Counter()


def respond(parameters, inputs, *, cut, fault):
    apart = abs(parameters["scale"] - maths.example()["parameters"]["scale"])
    if apart > REFUSED.get(fault, 1.0):
        raise ValueError(f"scale is {apart} too far away")
    found = in_numpy.respond(parameters, inputs, cut=cut)
    return FORWARD[fault](found, inputs) if fault in FORWARD else found


def vjp_respond(parameters, inputs, cotangents, *, cut, fault):
    pulled = in_numpy.vjp_respond(parameters, inputs, cotangents, cut=cut)
    if fault in VJP:
        VJP[fault](*pulled)
    if fault == "vjp_sign":  # of a term that the sums alone have: 2 w2 x y
        y = in_numpy._y(parameters, inputs["x"], inputs["t"])
        pulled[1]["x"] -= 4 * cotangents["total"][2] * inputs["x"] * y
    return pulled


def jvp_respond(parameters, inputs, of_parameters, of_inputs, *, cut, fault):
    pushed = in_numpy.jvp_respond(parameters, inputs, of_parameters, of_inputs, cut=cut)
    if fault in JVP:
        JVP[fault](pushed)
    return pushed


def _number(name):
    calls[name] += 1
    return 1 + 1e-15 * calls[name]


def _scaled(arrays, name, factor, place=...):
    arrays[name] = np.array(arrays[name], dtype=float)
    arrays[name][place] *= factor


def _given(found, inputs, name, values):
    del inputs
    return found | {name: values}


REFUSED = {"refuses_others": 0.0, "refuses_far": 1e-3}
FORWARD = {
    "unsteady": lambda found, _: found | {"y": found["y"] * _number("y")},
    "single": lambda found, _: found | {"y": found["y"].astype(np.float32)},
    "single_inside": lambda found, _: (
        found | {"y": found["y"].astype(np.float32).astype(np.float64)}
    ),
    "missing": lambda found, _: {name: found[name] for name in ("y", "total")},
    "extra": lambda found, _: found | {"more": found["y"]},
    "shape": lambda found, _: found | {"z": found["z"].T},
    "infinite": lambda found, _: found | {"y": np.where(found["y"] > 0.3, found["y"], np.inf)},
    "leak": lambda found, _: found | {"y": found["y"] / np.mean(found["y"])},
    "average": lambda found, _: found | {"total": found["total"] / len(found["y"])},
    "process": lambda found, _: found | {"y": found["y"] * (1 + 1e-12 * os.getpid())},
    "swallows": lambda found, _: {name: np.nan_to_num(each) for name, each in found.items()},
    "writes": lambda found, inputs: inputs["x"].fill(0.0) or found,
    "raises": lambda found, _: found["nothing"],
}
VJP = {
    "vjp_9_percent": lambda gradients, cotangents: [
        _scaled(each, name, 1.09) for each in (gradients, cotangents) for name in each
    ],
    "vjp_1e-5": lambda gradients, _: _scaled(gradients, "scale", 1 + 1e-5),
    "vjp_one_event": lambda _, cotangents: _scaled(cotangents, "x", 1.01, 5),
    "vjp_one_component": lambda _, cotangents: _scaled(cotangents, "t", 1 + 1e-4, (7, 2)),
    "vjp_of_array": lambda gradients, _: _scaled(gradients, "shape", 1 + 1e-5, 1),
    "vjp_lost": lambda _, cotangents: _scaled(cotangents, "table", 0.0, 3),
    "vjp_zero": lambda _, cotangents: _scaled(cotangents, "t", 0.0),
    "vjp_shape": lambda gradients, _: gradients.update(scale=np.full(1, gradients["scale"])),
    "vjp_single": lambda _, cotangents: cotangents.update(x=cotangents["x"].astype(np.float32)),
    "vjp_nan": lambda gradients, _: gradients.update(scale=np.array(np.nan)),
    "vjp_unsteady": lambda gradients, _: _scaled(gradients, "scale", _number("vjp")),
}
JVP = {
    "jvp_9_percent": lambda pushed: [_scaled(pushed, name, 1.09) for name in pushed],
    "jvp_1e-5": lambda pushed: _scaled(pushed, "y", 1 + 1e-5, 4),
}


def example(fault):
    said = maths.example()
    return said | {"options": said["options"] | {"fault": fault}}


def example_respond():
    return example("vjp_9_percent")
