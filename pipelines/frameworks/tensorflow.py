"""Stages written in TensorFlow: VJPs by `GradientTape`, JVPs by `ForwardAccumulator`, in float64.

A stage is given dicts of tensors and gives one. It is traced once in a worker for each shape of
its inputs (AutoGraph makes `if` and `for` over tensors part of the graph); parameter values are
arguments, so that a change traces nothing.
"""

import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, final

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # else it greets in every worker's log

import numpy as np
import tensorflow as tf

from diffpipe.cache.errors import PipelineError
from diffpipe.pipelines.core.steps import Call, tangent_array
from diffpipe.pipelines.frameworks.base import Abstract, Arrays, Both, Pull, Push, row_of
from diffpipe.pipelines.frameworks.plain import PlainFramework, moving, named, with_zeros
from diffpipe.pipelines.frameworks.stage_code import StageFunction, StageKey, only

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
tf.config.experimental.enable_op_determinism()
Tensors = dict[str, Any]


@final
class TensorflowFramework(PlainFramework):
    """Calls traced functions, on the CPU or on the GPU that its worker was given."""

    def __init__(self, platform: str = "cpu") -> None:
        super().__init__(platform)
        if platform == "cpu":
            tf.config.set_visible_devices([], "GPU")

    def describe(
        self, call: Call, rows: int, parameters: Arrays, inputs: Arrays
    ) -> dict[str, Abstract]:
        del rows  # inputs have them
        run = _forward(StageKey.of(call))
        outputs = run.get_concrete_function(_specs(parameters), _specs(inputs)).structured_outputs
        return {name: _abstract(call, name, each) for name, each in outputs.items()}

    def forward(self, call: Call, parameters: Arrays, inputs: Arrays) -> Arrays:
        return _on_host(_forward(StageKey.of(call))(_tensors(parameters), _tensors(inputs)))

    def pullback(
        self, call: Call, pull: Pull, parameters: Arrays, inputs: Arrays, cotangents: Arrays
    ) -> Arrays:
        run = _pullback(StageKey.of(call), pull)
        gradients, back = run(_tensors(parameters), _tensors(inputs), _tensors(cotangents))
        return named(call, pull, _on_host(gradients), _on_host(back))

    def jvp(self, call: Call, outputs: tuple[str, ...], given: Both, moving: Both) -> Arrays:
        run = _jvp(StageKey.of(call), outputs)
        return _on_host(run(*map(_tensors, (*given, *moving))))

    def bend(
        self, call: Call, pull: Pull, push: Push, given: Both, tangents: Both, cotangents: Both
    ) -> Arrays:
        run, (weights, of_weights) = _bend(StageKey.of(call), pull), cotangents
        rows = []
        for k in range(push.count):
            turned = with_zeros(weights, row_of(pull, k, of_weights))
            along = (*moving(push, k, tangents), turned)
            gradients, back = run(*map(_tensors, (*given, weights, *along)))
            rows.append(named(call, pull, _on_host(gradients), _on_host(back)))
        return {
            tangent_array(name): np.stack([row[name] for row in rows], axis=pull.axis(name))
            for name in rows[0]
        }


@cache
def _forward(stage: StageKey) -> Any:
    return tf.function(_stage(stage), autograph=False)


@cache
def _pullback(stage: StageKey, pull: Pull) -> Callable[..., Any]:
    return tf.function(_pulled(stage, pull), autograph=False)


def _pulled(stage: StageKey, pull: Pull) -> Callable[..., tuple[Tensors, Tensors]]:
    """cotangents of the outputs -> those of what is active, with the forward pass inside."""

    def run(parameters: Tensors, inputs: Tensors, cotangents: Tensors) -> tuple[Tensors, Tensors]:
        active = (
            {name: parameters[name] for name in pull.parameters},
            {name: inputs[name] for name in pull.inputs},
        )
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(active)
            found = _stage(stage)(parameters, inputs)
        slopes = tape.gradient(
            [found[name] for name in pull.outputs],
            active,
            [tf.math.conj(cotangents[name]) for name in pull.outputs],  # as JAX has them
            tf.UnconnectedGradients.ZERO,
        )
        gradients, back = ({n: _conjugate(x) for n, x in each.items()} for each in slopes)
        return gradients, back

    return run


@cache
def _jvp(stage: StageKey, outputs: tuple[str, ...]) -> Callable[..., Any]:
    def run(
        parameters: Tensors, inputs: Tensors, of_parameters: Tensors, of_inputs: Tensors
    ) -> Tensors:
        primals = [parameters[name] for name in of_parameters]
        primals += [inputs[name] for name in of_inputs]
        along = [*of_parameters.values(), *of_inputs.values()]
        with tf.autodiff.ForwardAccumulator(primals, along) as accumulator:
            found = _stage(stage)(parameters, inputs)
        zero = tf.UnconnectedGradients.ZERO
        return {
            name: accumulator.jvp(found[name], zero)
            for name in outputs
            if found[name].dtype.is_floating or found[name].dtype.is_complex
        }

    return tf.function(run, autograph=False)


@cache
def _bend(stage: StageKey, pull: Pull) -> Callable[..., Any]:
    """The tangents of the pullback, forward over reverse."""
    zero = tf.UnconnectedGradients.ZERO

    def run(
        parameters: Tensors,
        inputs: Tensors,
        weights: Tensors,
        of_parameters: Tensors,
        of_inputs: Tensors,
        of_weights: Tensors,
    ) -> tuple[Tensors, Tensors]:
        point = ((parameters, of_parameters), (inputs, of_inputs), (weights, of_weights))
        primals = [given[name] for given, along in point for name in along]
        tangents = [each for _, along in point for each in along.values()]
        with tf.autodiff.ForwardAccumulator(primals, tangents) as accumulator:
            slopes = _pulled(stage, pull)(parameters, inputs, weights)
        gradients, back = (
            {name: accumulator.jvp(each, zero) for name, each in found.items()} for found in slopes
        )
        return gradients, back

    return tf.function(run, autograph=False)


def _stage(stage: StageKey) -> StageFunction:
    """The stage, with `if` and `for` over tensors made part of the graph."""
    run = stage.function(tf.autograph.to_graph)

    return only(run, "tensor", tf.is_tensor)


def _conjugate(slope: Any) -> Any:
    """A slope as JAX has it; those of gathered rows come as slices."""
    return tf.math.conj(tf.convert_to_tensor(slope))


def _abstract(call: Call, name: str, tensor: Any) -> Abstract:
    if not tensor.shape.is_fully_defined():
        raise PipelineError(
            f"stage {call.stage}: the shape {tensor.shape} of output {name} depends on values",
            hint="declare every output: outputs: {y: {shape: [3]}}, {shape: []} for numbers",
            stage=call.stage,
        )
    return Abstract(tuple(tensor.shape), tensor.dtype.name)


def _specs(arrays: Arrays) -> Tensors:
    return {
        name: _specs(each)
        if isinstance(each, Mapping)
        else tf.TensorSpec(each.shape, each.dtype, name=name)
        for name, each in arrays.items()
    }


def _tensors(arrays: Arrays) -> Tensors:
    return {
        name: _tensors(each) if isinstance(each, Mapping) else tf.constant(np.asarray(each))
        for name, each in arrays.items()
    }


def _on_host(tensors: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: each.numpy() for name, each in tensors.items()}
