"""Random functions with right derivatives: smooth, linear, zero, kinked, cut, noisy, of any scale.

y = a g(b x / size + c p) with random matrices a, b, c, and g applied to each component.
"""

import numpy as np

SHAPES = {"x": 6, "p": 3, "hidden": 5, "y": 4}


def _noisy(u):
    """exp(-u), its last digits lost: as an iteration that stops at 1e-9."""
    return np.exp(-u) * (1 + 1e-9 * np.sin(1e13 * u))


# name -> g, and its derivative
FUNCTIONS = {
    "sine": (lambda u: np.sin(3 * u), lambda u: 3 * np.cos(3 * u)),
    "fast": (lambda u: np.sin(40 * u), lambda u: 40 * np.cos(40 * u)),
    "bell": (lambda u: np.exp(-u * u), lambda u: -2 * u * np.exp(-u * u)),
    "tanh": (np.tanh, lambda u: 1 / np.cosh(u) ** 2),
    "cube": (lambda u: u**3, lambda u: 3 * u**2),
    "linear": (lambda u: u, np.ones_like),
    "offset": (lambda u: 1e6 + u, np.ones_like),
    "zero": (np.zeros_like, np.zeros_like),
    "root": (lambda u: np.sqrt(np.abs(u)), lambda u: np.sign(u) / (2 * np.sqrt(np.abs(u)))),
    "kink": (lambda u: np.maximum(u, 0.0), lambda u: (u > 0) * 1.0),
    "absolute": (np.abs, np.sign),
    "cut": (lambda u: np.where(u > 0, np.exp(-u), 0.0), lambda u: np.where(u > 0, -np.exp(-u), 0)),
    "steps": (lambda u: np.floor(3 * u), np.zeros_like),
    "noisy": (_noisy, lambda u: -np.exp(-u)),
    "single": (lambda u: np.sin(u.astype(np.float32)).astype(np.float64), np.cos),
}


def curve(parameters, inputs, *, kind, seed, size, level, fault, wrong):
    del fault, wrong
    function, _ = FUNCTIONS[kind]
    a, u = _hidden(parameters, inputs, seed, size)[:2]
    return {"y": level * (a @ function(u))}


def _jacobian(parameters, inputs, kind, seed, size, level, fault, wrong):
    """By p and by x; wrong by a share in all components or in one, or in a small term's sign."""
    _, slope = FUNCTIONS[kind]
    a, u, b, c = _hidden(parameters, inputs, seed, size)
    inner = level * a * slope(u)
    if fault == "sign":
        inner[:, _small(inner)] *= -1
    of_p, of_x = inner @ c, inner @ b / size
    if fault in ("all", "component"):
        of_p[:, 1 if fault == "component" else slice(None)] *= 1 + wrong
        of_x[:, 2 if fault == "component" else slice(None)] *= 1 + wrong
    return of_p, of_x


def _small(inner):
    """The hidden component that contributes least, of those that count at all."""
    sizes = np.sum(abs(inner), axis=0)
    return int(np.argmin(np.where(sizes > 1e-3 * np.max(sizes), sizes, np.inf)))


def vjp_curve(parameters, inputs, cotangents, **options):
    of_p, of_x = _jacobian(parameters, inputs, **options)
    return {"p": cotangents["y"] @ of_p}, {"x": cotangents["y"] @ of_x}


def jvp_curve(parameters, inputs, moved_p, moved_x, **options):
    of_p, of_x = _jacobian(parameters, inputs, **options)
    return {"y": of_p @ moved_p["p"] + of_x @ moved_x["x"]}


def _hidden(parameters, inputs, seed, size):
    generator = np.random.default_rng(seed)
    a = generator.normal(size=(SHAPES["y"], SHAPES["hidden"]))
    b = generator.normal(size=(SHAPES["hidden"], SHAPES["x"]))
    c = generator.normal(size=(SHAPES["hidden"], SHAPES["p"]))
    return a, b @ inputs["x"] / size + c @ parameters["p"], b, c


def point(kind, seed, size=1.0, level=1.0, fault="none", wrong=0.0):
    """An example of it; at an even seed the last components of x are zero."""
    generator = np.random.default_rng([seed, 1])
    x = size * generator.normal(size=SHAPES["x"])
    x[4:] *= seed % 2
    return {
        "parameters": {"p": generator.normal(size=SHAPES["p"]).tolist()},
        "inputs": {"x": x},
        "outputs": {"y": {"shape": [SHAPES["y"]]}},
        "options": {
            "kind": kind,
            "seed": seed,
            "size": size,
            "level": level,
            "fault": fault,
            "wrong": wrong,
        },
    }
