"""What a served pipeline says of itself: the OpenAPI document that clients of Tesseracts read."""

from typing import Any

from diffpipe.cache.memo import Memo
from diffpipe.pipelines.core.environment import Environment
from diffpipe.pipelines.core.identity import Identity
from diffpipe.rules.serve.component import Component

_QUESTIONS = {
    "apply": "Apply",
    "vector_jacobian_product": "VJP",
    "jacobian_vector_product": "JVP",
    "jacobian": "Jacobian",
    "abstract_eval": "Abstract",
}


def document(component: Component) -> dict[str, Any]:
    """The interface of a component: its version, places, inputs and outputs."""
    schemas = {f"{name}InputSchema": {"type": "object"} for name in _QUESTIONS.values()}
    paths = {f"/{path}": _path("post", f"{name}InputSchema") for path, name in _QUESTIONS.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": component.name, "version": version(component)},
        "paths": paths | {"/health": _path("get")},
        "components": {"schemas": schemas | _arrays(component)},
        "x-supported-output-formats": ["json", "json+base64"],
        "x-supported-gpu-transports": ["none"],
        "x-supported-compressions": ["none"],
    }


def version(component: Component) -> str:
    """The beginning of the key of the objective where the pipeline is: another for another code."""
    memo = Memo(component.sweeps.store.layout.code)
    identity = Identity(component.sweeps.pipeline, Environment.current(), memo)
    return identity.output_key(component.sweeps.objective)[:12]


def _path(method: str, schema: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"responses": {"200": {"description": "the answer"}}}
    if schema is not None:
        reference = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
        found["requestBody"] = {"required": True, "content": {"application/json": reference}}
    return {method: found}


def _arrays(component: Component) -> dict[str, Any]:
    """The schemas of inputs and outputs, with those that can be differentiated: all of them."""
    inputs = {name: _array(shape) for name, shape in component.shapes.items()}
    units = {name: each.unit for name, each in component.parameters.items()}
    outputs = {component.output: _array(())}
    inner = {name: {"type": "object", "title": f"{name} / {units[name]}"} for name in inputs}
    whole = {"type": "object", "additionalProperties": False}
    return {
        "Apply_InputSchema": {**whole, "properties": inner},
        "ApplyInputSchema": {
            **whole,
            "properties": {"inputs": {"$ref": "#/components/schemas/Apply_InputSchema"}},
            "required": ["inputs"],
            "differentiable_arrays": inputs,
        },
        "Apply_OutputSchema": {**whole, "properties": {name: {} for name in outputs}},
        "ApplyOutputSchema": {**whole, "differentiable_arrays": outputs},
    }


def _array(shape: tuple[int, ...]) -> dict[str, Any]:
    return {"dtype": "float64", "shape": list(shape)}
