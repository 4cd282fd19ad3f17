"""Stages served as a Tesseract (tesseract-core, pasteurlabs): its HTTP interface, arrays in base64.

Parameters and inputs are sent under the names that `framework: {arguments: {local: server's}}`
gives them (else their own), options of the stage beside them as they are; of the answer, the
declared outputs are taken. A VJP is one question for all inputs. Where the server evaluates shapes
abstractly, they are compared with the declared ones before anything runs.
"""

from collections.abc import Mapping
from typing import Any, final

import msgspec
import numpy as np

from diffpipe.cache.errors import did_you_mean
from diffpipe.pipelines.core.steps import Call
from diffpipe.pipelines.frameworks.base import Abstract, Arrays, Both, Pull
from diffpipe.pipelines.frameworks.encoding import BASE64, ShapeDtype, decode, encode
from diffpipe.pipelines.frameworks.http import Client, Complaint, Protocol
from diffpipe.pipelines.frameworks.plain import PlainFramework, declared, named

_ABSTRACT = "/abstract_eval"
_VJP, _JVP = "/vector_jacobian_product", "/jacobian_vector_product"
_INSTEAD = {
    _VJP: "write derivative: finite-difference, or none",
    _JVP: "write framework: {name: tesseract, jvp: false}",
}


class _Info(msgspec.Struct):
    version: str


class _Interface(msgspec.Struct):
    """What a Tesseract says of itself: who it is, and which questions it answers."""

    info: _Info
    paths: dict[str, Any]
    components: dict[str, dict[str, Any]] = {}

    def differentiable(self, schema: str) -> dict[str, Any]:
        """Name -> dtype and shape (None: any size), of the arrays that it can differentiate."""
        said = self.components.get("schemas", {}).get(schema, {})
        found: dict[str, Any] = said.get("differentiable_arrays", {})
        return found


def _complaint(status: int, document: Any) -> Complaint | None:
    if status == 200 or not isinstance(document, dict) or "detail" not in document:
        return None
    return Complaint(_said(document["detail"]), is_missing=status == 404)


def _said(detail: Any) -> str:
    """What pydantic found wrong, a place and a reason each; or any other words."""
    if not isinstance(detail, list):
        return str(detail)
    wrong = [each for each in detail if isinstance(each, dict)]
    return "; ".join(
        f"{'.'.join(map(str, each.get('loc', ())))}: {each.get('msg')}" for each in wrong
    )


PROTOCOL = Protocol("tesseract", _complaint, _INSTEAD, {"Accept": BASE64})


@final
class TesseractFramework(PlainFramework):
    """Asks the server, which is told the names of what is wanted."""

    def describe(
        self, call: Call, rows: int, parameters: Arrays, inputs: Arrays
    ) -> dict[str, Abstract]:
        """As declared, where the server that answers is the one that was meant."""
        client, outputs = Client.of(call, PROTOCOL), declared(call, rows)
        interface = client.ask("/openapi.json", _Interface)
        _check_version(client, interface)
        _check_dtypes(client, interface, {**parameters, **inputs})
        if _ABSTRACT in interface.paths:
            question = {"inputs": _sent(client, call, parameters, inputs)}
            found = client.ask(_ABSTRACT, dict[str, Any], question)
            _check_shapes(client, outputs, found)
        return outputs

    def forward(self, call: Call, parameters: Arrays, inputs: Arrays) -> Arrays:
        client = Client.of(call, PROTOCOL)
        question = {"inputs": _sent(client, call, parameters, inputs)}
        found = client.ask("/apply", dict[str, Any], question)
        return {name: _array(client, found, name) for name in call.units}

    def pullback(
        self, call: Call, pull: Pull, parameters: Arrays, inputs: Arrays, cotangents: Arrays
    ) -> Arrays:
        client = Client.of(call, PROTOCOL)
        theirs = {n: client.service.arguments[n] for n in (*pull.parameters, *pull.inputs)}
        question = {
            "inputs": _sent(client, call, parameters, inputs),
            "vjp_inputs": list(theirs.values()),
            "vjp_outputs": list(cotangents),
            "cotangent_vector": _encoded(cotangents),
        }
        found = client.ask(_VJP, dict[str, Any], question)
        pulled = {local: _array(client, found, name) for local, name in theirs.items()}
        return named(call, pull, pulled, pulled)

    def jvp(self, call: Call, outputs: tuple[str, ...], given: Both, moving: Both) -> Arrays:
        client = Client.of(call, PROTOCOL)
        theirs = {client.service.arguments[n]: v for n, v in {**moving[0], **moving[1]}.items()}
        smooth = [n for n in outputs if declared(call, 1)[n].is_differentiable]
        question = {
            "inputs": _sent(client, call, *given),
            "jvp_inputs": list(theirs),
            "jvp_outputs": smooth,
            "tangent_vector": _encoded(theirs),
        }
        found = client.ask(_JVP, dict[str, Any], question)
        return {name: _array(client, found, name) for name in smooth}


def _check_version(client: Client, interface: _Interface) -> None:
    wanted, found = client.service.version, interface.info.version
    if wanted is not None and wanted != found:
        raise client.fail(
            f"{client.service.address} is version {found!r}, not {wanted!r}",
            "start the version that is meant, or change framework: {version: ...}",
        )


def _check_dtypes(client: Client, interface: _Interface, given: Arrays) -> None:
    """Refuse a server that would round what it is sent."""
    known = interface.differentiable("ApplyInputSchema")
    for local, name in client.service.arguments.items():
        wanted = known.get(name, {}).get("dtype")
        each = given[local]
        if wanted and isinstance(each, Abstract) and wanted != each.dtype:
            text = f"{name} of {client.service.address} is {wanted}, {local} is {each.dtype}"
            raise client.fail(text, "nothing is rounded on the way: serve it in float64")


def _check_shapes(client: Client, outputs: Mapping[str, Abstract], found: Arrays) -> None:
    for name, each in outputs.items():
        there = _shape(client, found, name)
        if (there.shape, there.dtype) != (each.shape, each.dtype):
            raise client.fail(
                f"output {name} is declared {each.dtype} {each.shape}, "
                f"{client.service.address} gives {there.dtype} {there.shape}"
            )


def _shape(client: Client, found: Arrays, name: str) -> ShapeDtype:
    try:
        return msgspec.convert(_of(client, found, name), ShapeDtype)
    except msgspec.ValidationError as error:
        raise client.wrong(f"gives {name} as no shape: {error}") from error


def _sent(client: Client, call: Call, parameters: Arrays, inputs: Arrays) -> dict[str, Any]:
    """The inputs under the server's names; abstract ones as their shapes."""
    given = {**parameters, **inputs}
    mine = {name: given[local] for local, name in client.service.arguments.items()}
    return {**call.options, **_encoded(mine)}


def _encoded(arrays: Arrays) -> dict[str, Any]:
    return {name: _encode(each) for name, each in arrays.items()}


def _encode(each: Any) -> Any:
    if isinstance(each, Mapping):
        return _encoded(each)
    if isinstance(each, Abstract):
        return ShapeDtype(each.shape, each.dtype)
    return encode(np.asarray(each))


def _array(client: Client, found: Arrays, name: str) -> np.ndarray:
    """An array of an answer, as it is encoded there."""
    encoded = _of(client, found, name)
    try:
        return decode(encoded)
    except ValueError as error:
        raise client.wrong(f"gives {name} as no array: {error}") from error


def _of(client: Client, found: Arrays, name: str) -> Any:
    if name in found:
        return found[name]
    hint = did_you_mean(name, found)
    raise client.fail(f"{client.service.address} gives no {name!r}", hint)
