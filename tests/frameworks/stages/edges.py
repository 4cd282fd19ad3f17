"""Right derivatives at awkward points: at a kink, and of complex numbers."""

import numpy as np


def hinge(parameters, inputs, *, wrong):
    del wrong
    return {"y": parameters["height"] * np.maximum(inputs["x"], 0.0)}


def vjp_hinge(parameters, inputs, cotangents, *, wrong):
    w, x = cotangents["y"], inputs["x"]
    slope = np.where(x > 0, 1.0, 0.0) * (1 + wrong * (x == 1.0))
    return {"height": w @ np.maximum(x, 0.0)}, {"x": w * parameters["height"] * slope}


def example_hinge(wrong=0.0):
    """At zero, the slope by differences is half of what either side has."""
    return {
        "parameters": {"height": 1.5},
        "inputs": {"x": np.array([0.0, 1.0, -2.0, 0.0])},
        "outputs": {"y": {"shape": [4]}},
        "options": {"wrong": wrong},
    }


def corner(parameters, inputs):
    del inputs
    return {"y": np.abs(parameters["a"])}


def vjp_corner(parameters, inputs, cotangents):
    del inputs
    return {"a": cotangents["y"] * np.sign(parameters["a"])}, {}


def example_corner():
    return {"parameters": {"a": 0.0}, "outputs": {"y": {}}}


def saturated(parameters, inputs):
    """A tail that is lost in the value: 1 + tanh is 0 where its slope is still 1e-20."""
    del parameters
    return {"y": 1 + np.tanh(inputs["x"])}


def vjp_saturated(parameters, inputs, cotangents):
    del parameters
    return {}, {"x": cotangents["y"] / np.cosh(inputs["x"]) ** 2}


def example_saturated():
    x = np.array([-30.0, -24.0, -1.0, 0.5])
    return {"inputs": {"x": x}, "outputs": {"y": {"shape": [4]}}}


def chi2(parameters, inputs):
    """The inverse of a covariance, of which the lower half alone is read."""
    del parameters
    lower = np.tril(inputs["covariance"])
    whole = lower + lower.T - np.diag(np.diag(lower))
    return {"chi2": inputs["r"] @ np.linalg.solve(whole, inputs["r"])}


def vjp_chi2(parameters, inputs, cotangents):
    """Right for symmetric changes, as a covariance has them."""
    del parameters
    solved = np.linalg.solve(inputs["covariance"], inputs["r"])
    w = cotangents["chi2"]
    return {}, {"r": 2 * w * solved, "covariance": -w * np.outer(solved, solved)}


def example_chi2():
    covariance = np.array([[2.0, 0.3, 0.1], [0.3, 1.0, -0.2], [0.1, -0.2, 0.5]])
    return {
        "inputs": {"covariance": covariance, "r": np.array([0.3, -1.0, 0.7])},
        "outputs": {"chi2": {}},
    }


def wave(parameters, inputs):
    return {"psi": parameters["a"] * inputs["z"] ** 2, "flux": np.sum(abs(inputs["z"]) ** 2)}


def vjp_wave(parameters, inputs, cotangents):
    """dL = Re(sum w dy): no conjugate where y is holomorphic in z."""
    a, z, w = parameters["a"], inputs["z"], cotangents["psi"]
    of_z = 2 * a * w * z + 2 * cotangents["flux"] * np.conj(z)
    return {"a": np.sum(w * z**2).real}, {"z": of_z}


def jvp_wave(parameters, inputs, moved_a, moved_z):
    a, z, d_a, d_z = parameters["a"], inputs["z"], moved_a["a"], moved_z["z"]
    d_flux = 2 * np.sum((np.conj(z) * d_z).real)
    return {"psi": d_a * z**2 + 2 * a * z * d_z, "flux": np.asarray(d_flux)}


def example_wave():
    generator = np.random.default_rng(1)
    z = generator.normal(size=4) + 1j * generator.normal(size=4)
    return {
        "parameters": {"a": 0.7},
        "inputs": {"z": z},
        "outputs": {"psi": {"shape": [4], "dtype": "complex128"}, "flux": {}},
    }


def plain(parameters, inputs):
    del parameters
    return {"y": np.sum(inputs["x"])}


def example_plain():
    """Nothing is said of derivatives, and none are written."""
    return {"inputs": {"x": np.ones(3)}, "outputs": {"y": {}}}
