"""The same detector response, of flat vectors: in_numpy's, served by UM-Bridge's own package."""

import sys
from functools import partial

import aiohttp.web as web
import in_numpy
import numpy as np
import umbridge
from maths import ROWS

web.run_app = partial(web.run_app, host="127.0.0.1", print=None)  # it listens everywhere else
PARAMETERS = {"scale": (), "shape": (3,)}
INPUTS = {"x": (ROWS,), "t": (ROWS, 3), "table": (5,), "label": (ROWS,)}
OUTPUTS = {"y": (ROWS,), "z": (ROWS, 2), "total": (3,)}
GIVEN = PARAMETERS | INPUTS


def named(vectors):
    """The parameters and the inputs that vectors stand for."""
    pairs = zip(GIVEN.items(), vectors, strict=True)
    found = {name: np.reshape(np.array(each, float), shape) for (name, shape), each in pairs}
    found["label"] = found["label"].astype(int)
    return {n: found[n] for n in PARAMETERS}, {n: found[n] for n in INPUTS}


def sizes(shapes):
    return [int(np.prod(shape)) for shape in shapes.values()]


def only(shapes, number, vector):
    """Arrays that are zero but for one."""
    found = {name: np.zeros(shape) for name, shape in shapes.items()}
    name = list(shapes)[number]
    return found | {name: np.reshape(vector, shapes[name])}


class Respond(umbridge.Model):
    def supports_evaluate(self):
        return True

    supports_gradient = supports_apply_jacobian = supports_evaluate

    def get_input_sizes(self, config):
        del config
        return sizes(GIVEN)

    def get_output_sizes(self, config):
        del config
        return sizes(OUTPUTS)

    def __call__(self, parameters, config):
        found = in_numpy.respond(*named(parameters), **config)
        return [np.ravel(found[name]).tolist() for name in OUTPUTS]

    def gradient(self, out, into, parameters, sens, config):
        w = only(OUTPUTS, out, sens)
        of_parameters, of_inputs = in_numpy.vjp_respond(*named(parameters), w, **config)
        return np.ravel((of_parameters | of_inputs)[list(GIVEN)[into]]).tolist()

    def apply_jacobian(self, out, into, parameters, vec, config):
        moved = only(GIVEN, into, vec)
        pushed = in_numpy.jvp_respond(*named(parameters), moved, moved, **config)
        return np.ravel(pushed[list(OUTPUTS)[out]]).tolist()


class Leaky(Respond):
    """Each event's y knows of the others."""

    def __call__(self, parameters, config):
        y, *others = super().__call__(parameters, config)
        return [(np.array(y) / np.mean(y)).tolist(), *others]


umbridge.serve_models([Respond("respond"), Leaky("leaky")], int(sys.argv[1]))
