"""Stages written in PyTorch: VJPs by autograd, JVPs by `torch.func`, in float64.

A stage is given dicts of tensors and gives one. It keeps no state: the parameters of a module are
parameters of the pipeline (`torch.func.functional_call`). It may branch on values; its shapes then
have to be declared.
"""

import os
from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)

from diffpipe.cache.errors import PipelineError
from diffpipe.pipelines.core.steps import Call, cotangent_array, gradient_array, tangent_array
from diffpipe.pipelines.frameworks.base import Abstract, Arrays, Both, Pull, Push, row_of
from diffpipe.pipelines.frameworks.plain import PlainFramework, moving, named, with_zeros
from diffpipe.pipelines.frameworks.stage_code import StageFunction, code_of, load_stage, only

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else sums on a GPU vary
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
Tensors = dict[str, Any]


@final
class TorchFramework(PlainFramework):
    """Calls a stage eagerly, on the CPU or on the GPU that its worker was given."""

    def __init__(self, platform: str = "cpu") -> None:
        super().__init__(platform)
        if platform == "gpu":
            torch.set_default_device("cuda")  # of constants that a stage makes

    def describe(
        self, call: Call, rows: int, parameters: Arrays, inputs: Arrays
    ) -> dict[str, Abstract]:
        """The shapes that come out for tensors without values."""
        del rows  # inputs have them
        try:
            with FakeTensorMode(allow_non_fake_inputs=True):
                found = _stage(call)(_empty(parameters), _empty(inputs))
        except (DataDependentOutputException, DynamicOutputShapeException) as error:
            raise PipelineError(
                f"stage {call.stage}: it looks at values ({error}), so that its shapes cannot be "
                "found without them",
                hint="declare every output: outputs: {y: {shape: [3]}}, {shape: []} for numbers",
                stage=call.stage,
            ) from error
        return {name: Abstract(tuple(each.shape), _dtype(each)) for name, each in found.items()}

    def forward(self, call: Call, parameters: Arrays, inputs: Arrays) -> Arrays:
        with torch.no_grad():
            return _on_host(_stage(call)(self._tensors(parameters), self._tensors(inputs)))

    def pullback(
        self, call: Call, pull: Pull, parameters: Arrays, inputs: Arrays, cotangents: Arrays
    ) -> Arrays:
        values, given = self._tensors(parameters), self._tensors(inputs)
        leaves = [values[name].requires_grad_() for name in pull.parameters]
        leaves += [given[name].requires_grad_() for name in pull.inputs]
        outputs = _stage(call)(values, given)
        moving = [name for name in pull.outputs if outputs[name].requires_grad]
        weights = [self._tensor(cotangents[name]).conj() for name in moving]  # as JAX has them
        slopes = _slopes([outputs[name] for name in moving], leaves, weights)
        count = len(pull.parameters)
        gradients = dict(zip(pull.parameters, slopes[:count], strict=True))
        back = dict(zip(pull.inputs, slopes[count:], strict=True))
        return named(call, pull, _on_host(gradients), _on_host(back))

    def jvp(self, call: Call, outputs: tuple[str, ...], given: Both, moving: Both) -> Arrays:
        values, inputs = (self._tensors(each) for each in given)
        along = tuple(self._tensors(each) for each in moving)
        point = ({n: values[n] for n in along[0]}, {n: inputs[n] for n in along[1]})

        def run(of_parameters: Tensors, of_inputs: Tensors) -> Tensors:
            found = _stage(call)(values | of_parameters, inputs | of_inputs)
            return {n: found[n] for n in outputs if _is_differentiable(found[n])}

        if not any(point):  # integers alone reach it, and these do not move
            return _on_host({name: torch.zeros_like(each) for name, each in run({}, {}).items()})
        _, tangents = torch.func.jvp(run, point, along)
        return _on_host(tangents)

    def bend(
        self, call: Call, pull: Pull, push: Push, given: Both, tangents: Both, cotangents: Both
    ) -> Arrays:
        values, inputs = (self._tensors(each) for each in given)
        weights, of_weights = cotangents
        start = {name: self._tensor(each) for name, each in weights.items()}

        def pulled(moved: list[Tensors], weights: Tensors) -> Tensors:
            return _pulled(call, pull, values | moved[0], inputs | moved[1], weights)

        rows = []
        for k in range(push.count):
            along = [self._tensors(each) for each in moving(push, k, tangents)]
            point = [{n: values[n] for n in along[0]}, {n: inputs[n] for n in along[1]}]
            turned = self._tensors(with_zeros(weights, row_of(pull, k, of_weights)))
            _, bent = torch.func.jvp(pulled, (point, start), (along, turned))
            rows.append(_on_host(bent))
        return {
            tangent_array(name): np.stack([row[name] for row in rows], axis=pull.axis(name))
            for name in rows[0]
        }

    def _tensors(self, arrays: Arrays) -> Tensors:
        return {
            name: self._tensors(each) if isinstance(each, Mapping) else self._tensor(each)
            for name, each in arrays.items()
        }

    def _tensor(self, values: Any) -> torch.Tensor:
        """A copy: what is stored and shared has to stay as it is."""
        made = torch.from_numpy(np.array(values))
        return made.cuda() if self.platform == "gpu" else made


def _stage(call: Call) -> StageFunction:
    run = load_stage(call.stage, code_of(call), call.options)

    return only(run, "tensor", lambda each: isinstance(each, torch.Tensor))


def _pulled(call: Call, pull: Pull, values: Tensors, inputs: Tensors, weights: Tensors) -> Tensors:
    """The arrays of a pullback, as a function that can be differentiated again."""
    active = {n: values[n] for n in pull.parameters}, {n: inputs[n] for n in pull.inputs}

    def outputs(parameters: Tensors, given: Tensors) -> Tensors:
        found = _stage(call)(values | parameters, inputs | given)
        return {name: found[name] for name in pull.outputs}

    _, vjp = torch.func.vjp(outputs, *active)
    gradients, back = vjp({name: weights[name].conj() for name in pull.outputs})  # as JAX has them
    found = {gradient_array(name): each.conj() for name, each in gradients.items()}
    return found | {cotangent_array(name): each.conj() for name, each in back.items()}


def _slopes(
    outputs: list[torch.Tensor], leaves: list[torch.Tensor], weights: list[torch.Tensor]
) -> list[torch.Tensor]:
    """The cotangents of the leaves; zero where no output depends on one."""
    if not outputs:
        return [torch.zeros_like(leaf) for leaf in leaves]
    found = torch.autograd.grad(outputs, leaves, weights, materialize_grads=True)
    return [each.conj() for each in found]


def _empty(arrays: Arrays) -> Tensors:
    return {
        name: _empty(each)
        if isinstance(each, Mapping)
        else torch.empty(each.shape, dtype=getattr(torch, each.dtype))
        for name, each in arrays.items()
    }


def _is_differentiable(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _on_host(tensors: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {name: each.detach().cpu().resolve_conj().numpy() for name, each in tensors.items()}
