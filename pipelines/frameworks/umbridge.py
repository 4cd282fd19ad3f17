"""Stages served by UM-Bridge, protocol 1.0 (Seelinger et al., JOSS 8 (2023) 4748).

A model has input and output vectors. Each parameter and input of the stage is one input vector, in
the order of `framework: {arguments: [...]}` (else that of the file), each declared output one
output vector in its order; arrays are raveled row by row. Options of the stage are the `config` of
the model. The protocol knows no versions: `version` stands in the stage's key alone, so raise it
when the model that is served has changed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import msgspec
import numpy as np

from diffpipe.cache.errors import NonFiniteError, did_you_mean
from diffpipe.pipelines.core.steps import Call
from diffpipe.pipelines.frameworks.base import Abstract, Arrays, Both, Pull
from diffpipe.pipelines.frameworks.http import Answer, Client, Complaint, Protocol
from diffpipe.pipelines.frameworks.plain import PlainFramework, declared, named

_VERSION = 1.0
_GRADIENT, _JACOBIAN = "/Gradient", "/ApplyJacobian"
_NOTHING: Mapping[str, Any] = {}
_INSTEAD = {
    _GRADIENT: "write derivative: finite-difference, or none",
    _JACOBIAN: "write framework: {name: umbridge, jvp: false}",
}


class _Info(msgspec.Struct, rename="camel"):
    protocol_version: float
    models: list[str]


class _Support(msgspec.Struct):
    support: dict[str, bool]


class _InputSizes(msgspec.Struct, rename="camel"):
    input_sizes: list[int]


class _OutputSizes(msgspec.Struct, rename="camel"):
    output_sizes: list[int]


class _Vectors(msgspec.Struct):
    output: list[list[float]]


class _Vector(msgspec.Struct):
    output: list[float]


def _complaint(status: int, document: Any) -> Complaint | None:
    del status  # some servers tell an error with status 200
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict):
        return None
    kind = error.get("type")
    return Complaint(f"{kind}: {error.get('message')}", is_missing=kind == "UnsupportedFeature")


PROTOCOL = Protocol("umbridge", _complaint, _INSTEAD, headers={})


@final
class UmbridgeFramework(PlainFramework):
    """Asks the model; a VJP takes a question for each pair of an output and an input."""

    def describe(
        self, call: Call, rows: int, parameters: Arrays, inputs: Arrays
    ) -> dict[str, Abstract]:
        """As declared, where the model that is served has vectors of these sizes."""
        client, outputs = Client.of(call, PROTOCOL), declared(call, rows)
        given = _in_order(client, parameters, inputs)
        _check_real(client, "input", given, "float64", "int64", "int32", "uint32", "bool")
        _check_real(client, "output", outputs, "float64")
        _check_model(client)
        asked = {"name": client.service.model, "config": call.options}
        sizes = client.ask("/InputSizes", _InputSizes, asked).input_sizes
        _check_sizes(client, "input", given, sizes)
        sizes = client.ask("/OutputSizes", _OutputSizes, asked).output_sizes
        _check_sizes(client, "output", outputs, sizes)
        return outputs

    def forward(self, call: Call, parameters: Arrays, inputs: Arrays) -> Arrays:
        model = _Model.of(call, parameters, inputs)
        return model.evaluate()

    def pullback(
        self, call: Call, pull: Pull, parameters: Arrays, inputs: Arrays, cotangents: Arrays
    ) -> Arrays:
        model = _Model.of(call, parameters, inputs)
        found = {n: model.gradient(n, cotangents) for n in (*pull.parameters, *pull.inputs)}
        return named(call, pull, found, found)

    def jvp(self, call: Call, outputs: tuple[str, ...], given: Both, moving: Both) -> Arrays:
        model = _Model.of(call, *given)
        return {name: model.tangent(name, {**moving[0], **moving[1]}) for name in outputs}


@dataclass(frozen=True)
class _Model:
    """A model at a point: its input vectors by the stage's local names, in the model's order.

    shapes: those of the outputs, in their order; -1 for the events, of which there are as many as
    the model gives.
    """

    client: Client
    config: Mapping[str, Any]
    given: Mapping[str, np.ndarray]
    shapes: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, call: Call, parameters: Arrays, inputs: Arrays) -> "_Model":
        client = Client.of(call, PROTOCOL)
        given = {n: np.asarray(v) for n, v in _in_order(client, parameters, inputs).items()}
        _check_finite(client, given)
        shapes = {name: each.shape for name, each in declared(call, rows=-1).items()}
        return cls(client, call.options, given, shapes)

    def evaluate(self) -> dict[str, np.ndarray]:
        found = self._ask("/Evaluate", _Vectors).output
        if len(found) != len(self.shapes):
            text = f"{len(self.shapes)} outputs are declared, the model gives {len(found)}"
            raise self.client.fail(text, "declare its output vectors, in its order")
        return {
            name: self._shaped(f"output {name}", each, shape)
            for (name, shape), each in zip(self.shapes.items(), found, strict=True)
        }

    def gradient(self, name: str, cotangents: Arrays) -> np.ndarray:
        """The sum over outputs of the VJPs into one input."""
        place = {"inWrt": list(self.given).index(name)}
        total = np.zeros(self.given[name].shape)
        for output, cotangent in cotangents.items():
            about = place | {"outWrt": list(self.shapes).index(output), "sens": _vector(cotangent)}
            found = self._ask(_GRADIENT, _Vector, about).output
            total += self._shaped(f"the gradient in {name}", found, total.shape)
        return total

    def tangent(self, name: str, tangents: Arrays) -> np.ndarray:
        """The sum over inputs of the JVPs into one output."""
        place = {"outWrt": list(self.shapes).index(name)}
        first = next(iter(self.given))
        total: np.ndarray | None = None
        for local, tangent in (tangents or {first: np.zeros_like(self.given[first])}).items():
            about = place | {"inWrt": list(self.given).index(local), "vec": _vector(tangent)}
            found = self._ask(_JACOBIAN, _Vector, about).output
            pushed = self._shaped(f"the tangent of {name}", found, self.shapes[name])
            total = pushed if total is None else total + pushed
        assert total is not None
        return total

    def _ask(self, path: str, answer: type[Answer], about: Mapping[str, Any] = _NOTHING) -> Answer:
        vectors = [_vector(each) for each in self.given.values()]
        question = {"name": self.client.service.model, "input": vectors, "config": self.config}
        return self.client.ask(path, answer, question | dict(about))

    def _shaped(self, what: str, found: list[float], shape: tuple[int, ...]) -> np.ndarray:
        try:
            return np.reshape(np.array(found, np.float64), shape)
        except ValueError as error:
            text = f"{what} has shape {shape}, the model gives a vector of {len(found)}"
            raise self.client.fail(text, "see what the server's OutputSizes are") from error


def _check_model(client: Client) -> None:
    info, name = client.ask("/Info", _Info), client.service.model
    if info.protocol_version != _VERSION:
        text = f"{client.service.address} speaks version {info.protocol_version:g} of UM-Bridge"
        raise client.fail(text, f"a server of version {_VERSION:g} is needed")
    if name not in info.models:
        hint = f"{did_you_mean(name, info.models)} (write framework: {{model: ...}})"
        raise client.fail(f"{client.service.address} has no model {name!r}", hint)
    support = client.ask("/ModelInfo", _Support, {"name": name}).support
    if not support.get("Evaluate"):
        raise client.fail(f"the model {name} of {client.service.address} cannot be evaluated")


def _check_sizes(
    client: Client, what: str, arrays: Mapping[str, Abstract], sizes: list[int]
) -> None:
    """Refuse, at the join, vectors of other sizes than those of the model."""
    if len(arrays) != len(sizes):
        text = f"it has {len(arrays)} {what}s ({', '.join(arrays)}), the model {len(sizes)}"
        raise client.fail(text, f"the sizes of the model's {what}s are {sizes}")
    for (name, each), size in zip(arrays.items(), sizes, strict=True):
        if math.prod(each.shape) != size:
            text = f"{what} {name} has {math.prod(each.shape)} values, that of the model {size}"
            raise client.fail(text, f"the sizes of the model's {what}s are {sizes}, in this order")


def _check_real(client: Client, what: str, arrays: Mapping[str, Abstract], *dtypes: str) -> None:
    for name, each in arrays.items():
        if each.dtype not in dtypes:
            hint = "vectors of UM-Bridge are float64"
            raise client.fail(f"{what} {name} is {each.dtype}", hint)


def _check_finite(client: Client, given: Mapping[str, np.ndarray]) -> None:
    for name, each in given.items():
        if not np.isfinite(each).all():
            index = int(np.flatnonzero(~np.isfinite(np.ravel(each)))[0])
            text = f"stage {client.stage}: {name} is {np.ravel(each)[index]} at {index}"
            hint = "JSON, in which UM-Bridge speaks, has no word for it"
            raise NonFiniteError(text, hint=hint, stage=client.stage)


def _in_order(client: Client, parameters: Arrays, inputs: Arrays) -> dict[str, Any]:
    """What the stage is given, in the order of the model's input vectors."""
    given = {**parameters, **inputs}
    for name, each in given.items():
        if isinstance(each, Mapping):
            hint = f"name one column: {', '.join(f'data.<name>.{column}' for column in each)}"
            raise client.fail(f"input {name} is a whole dataset", hint)
    return {name: given[name] for name in client.service.arguments}


def _vector(values: Any) -> list[float]:
    flat: list[float] = np.ravel(np.asarray(values, np.float64)).tolist()
    return flat
