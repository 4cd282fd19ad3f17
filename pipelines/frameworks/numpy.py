"""Stages written in NumPy, with a VJP written by hand.

Beside a function `smear(parameters, inputs, **options)` stand, in the same module,

    vjp_smear(parameters, inputs, cotangents, **options)
        -> ({parameter: gradient}, {input: cotangent})
    jvp_smear(parameters, inputs, parameter_tangents, input_tangents, **options)
        -> {output: tangent}

(the second is optional). Cotangents of all outputs are given, zero where there is none, and all
tangents; a VJP may leave out what is not differentiable. Of complex arrays, the cotangent w of y
is that for which dL = Re(sum w dy), as in JAX. What is given is read-only.
"""

from collections.abc import Callable, Mapping
from typing import Any, final

import numpy as np

from diffpipe.cache.errors import PipelineError
from diffpipe.pipelines.core.steps import Call
from diffpipe.pipelines.frameworks.base import Arrays, Both, Pull
from diffpipe.pipelines.frameworks.plain import (
    PlainFramework,
    all_cotangents,
    named,
    with_zeros,
)
from diffpipe.pipelines.frameworks.stage_code import beside, code_of, load_stage


@final
class NumpyFramework(PlainFramework):
    """Calls the functions as they are."""

    def forward(self, call: Call, parameters: Arrays, inputs: Arrays) -> Arrays:
        run = load_stage(call.stage, code_of(call), call.options)
        return run(_read_only(parameters), _read_only(inputs))

    def pullback(
        self, call: Call, pull: Pull, parameters: Arrays, inputs: Arrays, cotangents: Arrays
    ) -> Arrays:
        given = _read_only(parameters), _read_only(inputs)
        whole = _read_only(all_cotangents(call, pull, cotangents))
        pulled = _written(call, "vjp")(*given, whole, **call.options)
        return named(call, pull, *_pair(call, pulled))

    def jvp(self, call: Call, outputs: tuple[str, ...], given: Both, moving: Both) -> Arrays:
        primals = [_read_only(each) for each in given]
        both = (with_zeros(all_of, some) for all_of, some in zip(primals, moving, strict=True))
        pushed = _written(call, "jvp")(*primals, *both, **call.options)
        return {name: pushed[name] for name in outputs if name in pushed}


def _written(call: Call, what: str) -> Callable[..., Any]:
    found = beside(call, what)
    if found is None:
        raise PipelineError(
            f"stage {call.stage}: there is no {what}_{code_of(call).name} beside its function",
            hint="write it, or derivative: finite-difference",
            stage=call.stage,
        )
    return found


def _pair(call: Call, pulled: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    pair = pulled if isinstance(pulled, tuple) else ()
    if len(pair) == 2 and all(isinstance(each, Mapping) for each in pair):
        return pair[0], pair[1]
    raise PipelineError(
        f"stage {call.stage}: its VJP gives a {type(pulled).__name__}",
        hint="write return {parameter: gradient}, {input: cotangent}",
        stage=call.stage,
    )


def _read_only(arrays: Arrays) -> dict[str, Any]:
    """Views that cannot be written to: what is stored and shared has to stay as it is."""
    return {name: _closed(each) for name, each in arrays.items()}


def _closed(each: Any) -> Any:
    if isinstance(each, Mapping):
        return _read_only(each)
    view = np.asarray(each).view()
    view.flags.writeable = False
    return view
