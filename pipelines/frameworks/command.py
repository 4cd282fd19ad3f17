"""Stages that are programs: an executable in any language, started anew for each call.

    PROGRAM ARGUMENTS... forward|vjp|jvp

in a work folder of its own, with arrays as .npy files (see `exchange`):

    forward   parameters/  inputs/                      ->  outputs/
    vjp       ... and cotangents/ (of outputs)          ->  gradients/parameters/  gradients/inputs/
    jvp       ... and tangents/parameters/  .../inputs/ ->  tangents/outputs/

Cotangents and tangents of all that is differentiable are given, zero where there is none; of what
a VJP writes only that is read which `request.json` names as wanted. Of complex arrays, the
cotangent w of y is that for which dL = Re(sum w dy).
"""

from typing import Any, final

import numpy as np

from diffpipe.pipelines.core.steps import Call
from diffpipe.pipelines.frameworks.base import Arrays, Both, Pull
from diffpipe.pipelines.frameworks.exchange import Expected, exchange
from diffpipe.pipelines.frameworks.plain import (
    PlainFramework,
    all_cotangents,
    declared,
    named,
    with_zeros,
)


@final
class CommandFramework(PlainFramework):
    """Runs the program once for each shard and direction."""

    def forward(self, call: Call, parameters: Arrays, inputs: Arrays) -> Arrays:
        given = {"parameters": parameters, "inputs": inputs}
        found: Arrays = exchange(call, "forward", given, {"outputs": _outputs(call)})["outputs"]
        return found

    def pullback(
        self, call: Call, pull: Pull, parameters: Arrays, inputs: Arrays, cotangents: Arrays
    ) -> Arrays:
        whole = all_cotangents(call, pull, cotangents)
        given = {"parameters": parameters, "inputs": inputs, "cotangents": whole}
        wanted = {
            "parameters": {name: _like(parameters[name]) for name in pull.parameters},
            "inputs": {name: _like(inputs[name]) for name in pull.inputs},
        }
        found = exchange(call, "vjp", given, {"gradients": wanted})["gradients"]
        return named(call, pull, found["parameters"], found["inputs"])

    def jvp(self, call: Call, outputs: tuple[str, ...], given: Both, moving: Both) -> Arrays:
        parameters, inputs = given
        tangents = {
            "parameters": with_zeros(parameters, moving[0]),
            "inputs": with_zeros(inputs, moving[1]),
        }
        sent = {"parameters": parameters, "inputs": inputs, "tangents": tangents}
        shapes = declared(call, rows=1)
        smooth = [name for name in outputs if shapes[name].is_differentiable]
        wanted = {name: each for name, each in _outputs(call).items() if name in smooth}
        found = exchange(call, "jvp", sent, {"tangents": {"outputs": wanted}})
        pushed: Arrays = found["tangents"]["outputs"]
        return pushed


def _outputs(call: Call) -> dict[str, Expected]:
    """The outputs as declared; how many events there are, a program sees in its inputs."""
    found = {}
    for name, each in declared(call, rows=1).items():
        shape = (None, *each.shape[1:]) if call.is_per_event(name) else each.shape
        found[name] = Expected(shape, each.dtype)
    return found


def _like(array: Any) -> Expected:
    return Expected(np.shape(array), str(np.asarray(array).dtype))
