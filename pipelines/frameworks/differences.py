"""Derivatives by finite differences: a stage is called again, nothing of it is known.

Central differences at a step h and at h / 2, extrapolated (Richardson),

    D(h) = (f(x + h) - f(x - h)) / 2h,    D = (4 D(h/2) - D(h)) / 3,

are right to h^4 and to rounding / h; their error is estimated by |D - D(h/2)| and the rounding of
f. A component of a parameter or of a once-input takes four calls. An input per event is shifted
in all events at once, a component at a time: an output of an event depends on that event alone.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, final

import numpy as np

from diffpipe.cache.errors import PipelineError
from diffpipe.pipelines.core.steps import (
    Call,
    cotangent_array,
    error_array,
    gradient_array,
)
from diffpipe.pipelines.frameworks.base import Abstract, Arrays, Both, Framework, Pull, Push
from diffpipe.pipelines.frameworks.plain import moving, on_host, stacked

_RELATIVE = 1e-3  # of a value: balances h^4 and 1e-16 / h
_ROUNDING = np.finfo(np.float64).eps
Outputs = Mapping[str, np.ndarray]


class Slope(NamedTuple):
    """A derivative, and the estimate of its error."""

    value: np.ndarray
    error: np.ndarray


@final
class Differences(Framework):
    """A framework, with derivatives by finite differences in place of its own."""

    def __init__(self, framework: Framework) -> None:
        self._framework = framework

    def describe(
        self, call: Call, rows: int, parameters: Arrays, inputs: Arrays
    ) -> dict[str, Abstract]:
        return self._framework.describe(call, rows, parameters, inputs)

    def forward(self, call: Call, parameters: Arrays, inputs: Arrays) -> Arrays:
        return self._framework.forward(call, parameters, inputs)

    def pullback(
        self, call: Call, pull: Pull, parameters: Arrays, inputs: Arrays, cotangents: Arrays
    ) -> Arrays:
        """The VJP; beside each array, `error.<array>` estimates its error."""
        found: dict[str, Slope] = {}
        for name in pull.parameters:
            run = _replacing(self._outputs, call, parameters, inputs, (name, None))
            found[gradient_array(name)] = _pulled(call, name, parameters[name], run, cotangents)
        for name in pull.inputs:
            run = _replacing(self._outputs, call, parameters, inputs, (None, name))
            per_event = name in pull.event_inputs
            found[cotangent_array(name)] = _pulled(
                call, name, inputs[name], run, cotangents, per_event=per_event
            )
        errors = {error_array(name): slope.error for name, slope in found.items()}
        return {name: slope.value for name, slope in found.items()} | errors

    def pushforward(
        self, call: Call, push: Push, parameters: Arrays, inputs: Arrays, tangents: Both
    ) -> Arrays:
        rows = []
        for number in range(push.count):
            of_parameters, of_inputs = moving(push, number, tangents)

            def run(t: float, along: tuple[Arrays, Arrays] = (of_parameters, of_inputs)) -> Outputs:
                moved = _moved(parameters, along[0], t), _moved(inputs, along[1], t)
                return self._outputs(call, *moved)

            step = _distance(call, {**parameters, **inputs}, {**of_parameters, **of_inputs})
            slopes = _slopes(run, step)
            rows.append({name: slopes[name].value for name in push.outputs if name in slopes})
        return stacked(push, rows)

    def _outputs(self, call: Call, parameters: Arrays, inputs: Arrays) -> Outputs:
        found = on_host(self._framework.forward(call, parameters, inputs))
        return {name: each for name, each in found.items() if each.dtype.kind in "fc"}


def _replacing(
    outputs: Callable[..., Outputs],
    call: Call,
    parameters: Arrays,
    inputs: Arrays,
    names: tuple[str | None, str | None],
) -> Callable[[np.ndarray], Outputs]:
    """The outputs as a function of one parameter or one input."""

    def run(value: np.ndarray) -> Outputs:
        given = [dict(parameters), dict(inputs)]
        for arrays, name in zip(given, names, strict=True):
            if name is not None:
                arrays[name] = value
        return outputs(call, *given)

    return run


def _pulled(
    call: Call,
    name: str,
    value: Any,
    run: Callable[[np.ndarray], Outputs],
    cotangents: Arrays,
    *,
    per_event: bool = False,
) -> Slope:
    """The cotangent of an array, each of its components shifted by itself, or in all events."""
    x = _real(call, name, value)
    found = Slope(np.zeros(x.shape), np.zeros(x.shape))
    kept = 1 if per_event else 0  # dimensions of an output that are not summed over
    for index in np.ndindex(x.shape[kept:]):
        place = (slice(None), *index) if per_event else index
        unit = np.zeros(x.shape)
        unit[place] = 1.0
        slopes = _slopes(_line(run, x, unit), _step(call, name, x, place))
        for output, cotangent in cotangents.items():
            rest = tuple(range(kept, np.ndim(cotangent)))
            slope = slopes[output]
            found.value[place] += np.sum((cotangent * slope.value).real, axis=rest)
            found.error[place] += np.sum(abs(cotangent) * slope.error, axis=rest)
    return found


def _line(
    run: Callable[[np.ndarray], Outputs], x: np.ndarray, unit: np.ndarray
) -> Callable[[float], Outputs]:
    """The outputs as functions of the distance from a point, along a direction."""
    return lambda t: run(x + t * unit)


def _slopes(run: Callable[[float], Outputs], step: float) -> dict[str, Slope]:
    """The derivatives at zero of the outputs as functions of a distance."""
    whole, half = [(run(t), run(-t)) for t in (step, step / 2)]
    found = {}
    for name, upper in half[0].items():
        rough = (whole[0][name] - whole[1][name]) / (2 * step)
        fine = (upper - half[1][name]) / step
        best = (4 * fine - rough) / 3
        rounding = 2 * _ROUNDING * (abs(upper) + abs(half[1][name])) / step
        found[name] = Slope(best, abs(best - fine) + rounding)
    return found


def _step(call: Call, name: str, x: np.ndarray, place: tuple[Any, ...]) -> float:
    """How far a component is shifted, or a component of all events."""
    given = (call.steps or {}).get(name)
    return given or _RELATIVE * (_size(x[place]) or _size(x) or 1.0)


def _distance(call: Call, primals: Arrays, tangents: Arrays) -> float:
    """How far to go along tangents: none of the arrays may go further than its own step."""
    steps = []
    for name, tangent in tangents.items():
        largest = float(np.max(abs(tangent), initial=0.0))
        if largest:
            steps.append(_step(call, name, np.asarray(primals[name]), ()) / largest)
    return min(steps, default=_RELATIVE)


def _moved(primals: Arrays, tangents: Arrays, t: float) -> dict[str, Any]:
    return {**primals, **{name: primals[name] + t * each for name, each in tangents.items()}}


def _size(values: np.ndarray) -> float:
    """The root mean square."""
    return float(np.sqrt(np.mean(np.square(abs(values)))))


def _real(call: Call, name: str, value: Any) -> np.ndarray:
    x = np.asarray(value)
    if x.dtype.kind == "c":
        raise PipelineError(
            f"stage {call.stage}: finite differences are not taken in {name!r}, which is complex",
            hint="give its real and imaginary parts as two inputs",
            stage=call.stage,
        )
    return x
