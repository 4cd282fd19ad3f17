"""The first step of `mixed_wide` as a Tesseract, in PyTorch."""

import numpy as np
import torch
from pydantic import BaseModel
from tesseract_core.runtime import Array, Differentiable, Float64

Vector = Differentiable[Array[(None,), Float64]]


class InputSchema(BaseModel):
    a: Vector
    b: Vector


class OutputSchema(BaseModel):
    sum: Vector
    b: Vector


def apply(inputs: InputSchema) -> OutputSchema:
    return OutputSchema(sum=(_tensor(inputs.a) + _tensor(inputs.b)).numpy(), b=inputs.b)


def vector_jacobian_product(
    inputs: InputSchema,
    vjp_inputs: set[str],
    vjp_outputs: set[str],
    cotangent_vector: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:
    leaves = {name: _tensor(getattr(inputs, name)).requires_grad_() for name in ("a", "b")}
    outputs = {"sum": leaves["a"] + leaves["b"], "b": leaves["b"]}
    slopes = torch.autograd.grad(
        [outputs[name] for name in vjp_outputs],
        [leaves[name] for name in vjp_inputs],
        [_tensor(cotangent_vector[name]) for name in vjp_outputs],
    )
    return {name: each.numpy() for name, each in zip(vjp_inputs, slopes, strict=True)}


def _tensor(values: np.ndarray) -> torch.Tensor:
    """Without a copy, unless the array came from a request and is read-only."""
    return torch.from_numpy(np.require(values, requirements="W"))
