"""A function with an example beside it: `example_<function>()` says where to put it to the proof.

    def example_smear():
        return {
            "over": "events",
            "parameters": {"width": 0.1},
            "inputs": {"x": np.linspace(0.5, 2.0, 32)},
            "outputs": {"y": {}, "total": {"sum": True, "shape": [3]}},
            "options": {"order": 2},
        }

The words are those of a stage in a pipeline file. `outputs` is needed where the file would need
it. Of a stage over events, the inputs as long as the first array are per event.
"""

from typing import Any, Literal

import msgspec
import numpy as np

from diffpipe.cache.errors import PipelineError
from diffpipe.pipelines.core.code import defined
from diffpipe.pipelines.core.model import Derivative, Function
from diffpipe.pipelines.core.schema import OutputEntry
from diffpipe.pipelines.core.steps import Call, Code, Step
from diffpipe.pipelines.core.ways import TRACED
from diffpipe.pipelines.proof.layout import is_smooth
from diffpipe.pipelines.proof.point import Point, Traits


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `example_<function>()` gives."""

    parameters: dict[str, Any] = {}
    inputs: dict[str, Any] = {}
    options: dict[str, Any] = {}
    outputs: dict[str, OutputEntry] = {}
    over: Literal["events", "once"] = "once"
    derivative: Derivative | None = None


def example_name(function: Function) -> str:
    """The function that gives the example."""
    return f"example_{function.name}"


def point_of(function: Function, framework: str, said: Any) -> Point:
    """The stage at the point that an example says; raises PipelineError."""
    try:
        example = msgspec.convert(said, Example)
    except msgspec.ValidationError as error:
        hint = 'return {"parameters": {...}, "inputs": {...}}, as a stage has them in a file'
        raise PipelineError(f"{example_name(function)}() gives: {error}", hint=hint) from error
    if framework not in TRACED and not example.outputs:
        text = f"{example_name(function)}() declares no outputs, which {framework} needs"
        raise PipelineError(text, hint='add "outputs": {"y": {}}, with shape and dtype')
    if example.derivative is Derivative.DIFFERENCES and example.over == "events":
        _refuse_sums(function, example)
    parameters = {name: np.asarray(each, np.float64) for name, each in example.parameters.items()}
    inputs = {name: np.asarray(each) for name, each in example.inputs.items()}
    rows = next((len(each) for each in inputs.values() if each.ndim), 1)
    events = [name for name, each in inputs.items() if each.ndim and len(each) == rows]
    over_events = example.over == "events"
    has_vjp, has_jvp = _derivatives(function, framework, example)
    traits = Traits(
        shard=0,
        rows=rows if over_events else 1,
        of_rows=rows if over_events else 1,
        event_inputs=events if over_events else [],
        moving=[name for name, each in inputs.items() if is_smooth(each)],
        has_vjp=has_vjp,
        has_jvp=has_jvp,
    )
    return Point(_step(function, framework, example, traits), traits, parameters, inputs)


def _refuse_sums(function: Function, example: Example) -> None:
    """As a pipeline file does: a sum would be differentiated event by event."""
    for name, each in example.outputs.items():
        if each.sum:
            text = (
                f"{example_name(function)}(): no finite differences of the sum {name} over events"
            )
            raise PipelineError(text, hint="leave it out: give what is per event")


def _derivatives(function: Function, framework: str, example: Example) -> tuple[bool, bool]:
    """Whether there is a VJP, and a JVP."""
    if example.derivative in (Derivative.NONE, Derivative.STOP):
        return False, False
    if framework != "numpy" or example.derivative is Derivative.DIFFERENCES:
        return True, True
    written = defined(function)
    return f"vjp_{function.name}" in written, f"jvp_{function.name}" in written


def _step(function: Function, framework: str, example: Example, traits: Traits) -> Step:
    folder = None if function.folder is None else str(function.folder)
    declared = {
        name: {"shape": each.shape, "dtype": each.dtype}
        for name, each in example.outputs.items()
        if each.shape is not None or each.dtype is not None
    }
    call = Call(
        stage=function.name,
        code=Code(function.module, function.name, folder),
        framework=framework,
        options=example.options,
        parameters={name: np.asarray(each).tolist() for name, each in example.parameters.items()},
        source=False,
        summed=[name for name, each in example.outputs.items() if each.sum],
        constant=[],
        units={name: each.unit for name, each in example.outputs.items()},
        declared=declared,
        parameter_units=dict.fromkeys(example.parameters, "1"),
        sample=(traits.rows, traits.rows, None) if example.over == "events" else None,
        steps={} if example.derivative is Derivative.DIFFERENCES else None,
    )
    return Step(
        id=f"{function.name}:primal",
        kind="primal",
        stage=function.name,
        key="",
        slots=1,
        over=example.over,
        framework=framework,
        ingredients={},
        call=call,
    )
