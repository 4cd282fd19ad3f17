"""The same detector response as a Tesseract: in_numpy's, of arrays by their names."""

import in_numpy
import numpy as np
from pydantic import BaseModel
from tesseract_core.runtime import Array, Differentiable, Float64, Int32, ShapeDType

PARAMETERS, INPUTS = ("scale", "shape"), ("x", "t", "table", "label")


class InputSchema(BaseModel):
    scale: Differentiable[Float64]
    shape: Differentiable[Array[(3,), Float64]]
    x: Differentiable[Array[(None,), Float64]]
    t: Differentiable[Array[(None, 3), Float64]]
    table: Differentiable[Array[(5,), Float64]]
    label: Array[(None,), Int32]
    cut: float


class OutputSchema(BaseModel):
    y: Differentiable[Array[(None,), Float64]]
    z: Differentiable[Array[(None, 2), Float64]]
    total: Differentiable[Array[(3,), Float64]]


def given(inputs):
    parameters = {name: getattr(inputs, name) for name in PARAMETERS}
    return parameters, {name: getattr(inputs, name) for name in INPUTS}


def apply(inputs):
    return OutputSchema(**in_numpy.respond(*given(inputs), cut=inputs.cut))


def vector_jacobian_product(inputs, vjp_inputs, vjp_outputs, cotangent_vector):
    rows = len(inputs.x)
    zeros = {"y": np.zeros(rows), "z": np.zeros((rows, 2)), "total": np.zeros(3)}
    w = zeros | {name: cotangent_vector[name] for name in vjp_outputs}
    of_parameters, of_inputs = in_numpy.vjp_respond(*given(inputs), w, cut=inputs.cut)
    return {name: (of_parameters | of_inputs)[name] for name in vjp_inputs}


def jacobian_vector_product(inputs, jvp_inputs, jvp_outputs, tangent_vector):
    parameters, others = given(inputs)
    zeros = {name: np.zeros_like(each) for name, each in (parameters | others).items()}
    moved = zeros | {name: tangent_vector[name] for name in jvp_inputs}
    pushed = in_numpy.jvp_respond(parameters, others, moved, moved, cut=inputs.cut)
    return {name: pushed[name] for name in jvp_outputs}


def abstract_eval(abstract_inputs):
    rows = abstract_inputs.x.shape[0]
    shapes = {"y": (rows,), "z": (rows, 2), "total": (3,)}
    return {name: ShapeDType(shape=each, dtype="float64") for name, each in shapes.items()}
