"""Frameworks that are called with NumPy arrays: what they share."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np

from diffpipe.cache.errors import PipelineError
from diffpipe.pipelines.core.steps import Call, cotangent_array, gradient_array, tangent_array
from diffpipe.pipelines.core.ways import TRACED
from diffpipe.pipelines.frameworks.base import Abstract, Arrays, Both, Framework, Pull, Push


class PlainFramework(Framework):
    """A framework that takes directions one by one.

    platform: "cpu" or "gpu"; of those that know no GPU it changes nothing.
    """

    def __init__(self, platform: str = "cpu") -> None:
        self.platform = platform

    def describe(
        self, call: Call, rows: int, parameters: Arrays, inputs: Arrays
    ) -> dict[str, Abstract]:
        """As declared; a framework that can find more overrides it."""
        del parameters, inputs
        return declared(call, rows)

    @abstractmethod
    def jvp(self, call: Call, outputs: tuple[str, ...], given: Both, moving: Both) -> Arrays:
        """The tangents of those outputs named that are differentiable; moving: of what moves."""

    @final
    def pushforward(
        self, call: Call, push: Push, parameters: Arrays, inputs: Arrays, tangents: Both
    ) -> Arrays:
        given = (parameters, inputs)
        rows = [
            self.jvp(call, push.outputs, given, moving(push, k, tangents))
            for k in range(push.count)
        ]
        return stacked(push, rows)


def is_declared(call: Call) -> bool:
    """Whether a framework that could find the shapes need not be imported for them."""
    return call.framework in TRACED and call.framework != "jax" and bool(call.declared)


def declared(call: Call, rows: int) -> dict[str, Abstract]:
    """The outputs as the pipeline file declares them; those per event have so many rows.

    Where it does not say, an output is a number (for each event), and a float64.
    """
    found = {}
    for name in call.units:
        said = call.declared.get(name, {})
        shape = tuple(said.get("shape") or ())
        whole = (rows, *shape) if call.is_per_event(name) else shape
        found[name] = Abstract(whole, said.get("dtype") or "float64")
    return found


def all_cotangents(call: Call, pull: Pull, given: Arrays) -> dict[str, np.ndarray]:
    """The cotangents of all outputs that are declared and differentiable, zero where none is."""
    shapes = declared(call, pull.rows)
    zeros = {n: np.zeros(s.shape, s.dtype) for n, s in shapes.items() if s.is_differentiable}
    return zeros | {name: np.asarray(each) for name, each in given.items()}


def named(call: Call, pull: Pull, gradients: Arrays, cotangents: Arrays) -> dict[str, np.ndarray]:
    """What is wanted of a VJP's gradients and cotangents, under the names of their arrays."""
    found = {gradient_array(n): _given(call, n, gradients) for n in pull.parameters}
    return found | {cotangent_array(n): _given(call, n, cotangents) for n in pull.inputs}


def _given(call: Call, name: str, found: Arrays) -> np.ndarray:
    if name in found:
        return np.asarray(found[name])
    raise PipelineError(
        f"stage {call.stage}: its VJP gives nothing for {name!r}",
        hint=f"it gives {', '.join(found) or 'nothing'}",
        stage=call.stage,
    )


def moving(
    push: Push, number: int, tangents: Both
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The tangents of parameters and inputs along one direction; only of those that move in it."""
    of_parameters, of_inputs = tangents
    rows = {name: np.asarray(of_parameters[name][number]) for name in push.parameters}
    given = {
        name: np.take(of_inputs[name], numbers.index(number), axis=int(name in push.event_inputs))
        for name, numbers in push.inputs
        if number in numbers
    }
    return {name: row for name, row in rows.items() if row.any()}, given


def with_zeros(primals: Arrays, moving: Arrays) -> dict[str, Any]:
    """The tangents of all that is differentiable, zero where nothing moves."""
    return {n: moving.get(n, np.zeros_like(v)) for n, v in primals.items() if _can_move(v)}


def _can_move(value: Any) -> bool:
    return not isinstance(value, Mapping) and np.asarray(value).dtype.kind in "fc"


def stacked(push: Push, rows: Sequence[Arrays]) -> dict[str, np.ndarray]:
    """The tangents of the outputs in one array each, from those of each direction."""
    return {
        tangent_array(name): np.stack(
            [np.asarray(row[name]) for row in rows], axis=int(name in push.event_outputs)
        )
        for name in rows[0]
    }


def on_host(arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays as NumPy has them."""
    return {name: np.asarray(each) for name, each in arrays.items()}
