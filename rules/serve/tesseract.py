"""A component as a Tesseract: the HTTP interface of tesseract-core (pasteurlabs).

The inputs are the parameters by their names; those that are left out are where the pipeline has
them. The one output is the objective.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar, final

import msgspec
import numpy as np

from diffpipe.cache.errors import did_you_mean
from diffpipe.pipelines.core.model import Value
from diffpipe.pipelines.frameworks.encoding import (
    BASE64,
    JSON,
    EncodedArray,
    ShapeDtype,
    decode,
    encode,
)
from diffpipe.rules.serve import openapi
from diffpipe.rules.serve.component import point
from diffpipe.rules.serve.server import Answering, Interface, Question, QuestionError

T = TypeVar("T")


class _Inputs(msgspec.Struct, forbid_unknown_fields=True):
    inputs: dict[str, Any]


class _Vjp(_Inputs, forbid_unknown_fields=True):
    vjp_inputs: list[str]
    vjp_outputs: list[str]
    cotangent_vector: dict[str, Any]


class _Jvp(_Inputs, forbid_unknown_fields=True):
    jvp_inputs: list[str]
    jvp_outputs: list[str]
    tangent_vector: dict[str, Any]


class _Jacobian(_Inputs, forbid_unknown_fields=True):
    jac_inputs: list[str]
    jac_outputs: list[str]


@final
class Tesseract(Interface):
    """Answers what is asked of a Tesseract."""

    title: ClassVar[str] = "Tesseract"

    def places(self) -> Mapping[str, Answering]:
        return {
            "GET /health": lambda _: {"status": "ok"},
            "GET /openapi.json": lambda _: openapi.document(self.component),
            "POST /apply": self._apply,
            "POST /vector_jacobian_product": self._vjp,
            "POST /jacobian_vector_product": self._jvp,
            "POST /jacobian": self._jacobian,
            "POST /abstract_eval": self._abstract,
        }

    def error(self, status: int, message: str) -> Any:
        del status
        return {"detail": message}

    def media_type(self, question: Question) -> str:
        return _media_type(question.accept) or JSON

    def _apply(self, question: Question) -> Any:
        asked = _read(question, _Inputs)
        return _encoded({self.component.output: self.component.value(self._point(asked))}, question)

    def _vjp(self, question: Question) -> Any:
        asked = _read(question, _Vjp)
        self._check_names(asked.vjp_inputs, asked.vjp_outputs)
        weights = self._arrays("cotangent_vector", asked.cotangent_vector, self._outputs)
        weight = weights.get(self.component.output, np.zeros(()))
        slopes = self.component.gradient(self._point(asked))
        return _encoded({name: weight * slopes[name] for name in asked.vjp_inputs}, question)

    def _jvp(self, question: Question) -> Any:
        asked = _read(question, _Jvp)
        self._check_names(asked.jvp_inputs, asked.jvp_outputs)
        tangents = self._arrays("tangent_vector", asked.tangent_vector, self.component.shapes)
        slopes = self.component.gradient(self._point(asked))
        moving = [name for name in asked.jvp_inputs if name in tangents]
        pushed = sum((np.sum(slopes[name] * tangents[name]) for name in moving), np.zeros(()))
        return _encoded(dict.fromkeys(asked.jvp_outputs, pushed), question)

    def _jacobian(self, question: Question) -> Any:
        asked = _read(question, _Jacobian)
        self._check_names(asked.jac_inputs, asked.jac_outputs)
        slopes = self.component.gradient(self._point(asked))
        wanted = {name: slopes[name] for name in asked.jac_inputs}
        return {name: _encoded(wanted, question) for name in asked.jac_outputs}

    def _abstract(self, question: Question) -> Any:
        asked = _read(question, _Inputs)
        shapes = self.component.shapes
        for name, each in asked.inputs.items():
            _check_name("inputs", name, shapes)
            found = _convert(each, ShapeDtype, f"inputs.{name}").shape
            _check_shape(f"inputs.{name}", found, shapes[name])
        return {self.component.output: ShapeDtype((), "float64")}

    @property
    def _outputs(self) -> dict[str, tuple[int, ...]]:
        return {self.component.output: ()}

    def _check_names(self, inputs: list[str], outputs: list[str]) -> None:
        for name in inputs:
            _check_name("inputs", name, self.component.shapes)
        for name in outputs:
            _check_name("outputs", name, self._outputs)

    def _point(self, asked: _Inputs) -> dict[str, Value]:
        arrays = self._arrays("inputs", asked.inputs, self.component.shapes)
        return {name: point(array) for name, array in arrays.items()}

    def _arrays(
        self, place: str, given: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
    ) -> dict[str, np.ndarray]:
        found = {}
        for name, each in given.items():
            _check_name(place, name, shapes)
            found[name] = _decoded(f"{place}.{name}", each)
            _check_shape(f"{place}.{name}", found[name].shape, shapes[name])
        return found


def _read(question: Question, kind: type[T]) -> T:
    if _media_type(question.accept) is None:
        text = f"no encoding of {question.accept!r} is known; there are {JSON} and {BASE64}"
        raise QuestionError(406, {"detail": {"message": text}})
    return _convert(msgspec.json.decode(question.body), kind, "body")


def _media_type(accept: str) -> str | None:
    """The first of the encodings that are accepted which is known."""
    for each in accept.split(","):
        name = each.partition(";")[0].strip().lower()
        if name in (BASE64, JSON):
            return name
        if name in ("*/*", "application/*", ""):
            return JSON
    return None


def _decoded(place: str, each: Any) -> np.ndarray:
    """Real numbers as they are encoded: one, nested lists of them, or an encoded array."""
    try:
        found = decode(each) if isinstance(each, dict) else np.array(each, np.float64)
    except (TypeError, ValueError) as error:
        raise _invalid(place, f"is no array: {error}") from error
    if found.dtype.kind == "c" or not np.all(np.isfinite(found)):
        raise _invalid(place, "has numbers that are not real and finite")
    return found.astype(np.float64)


def _encoded(arrays: Mapping[str, Any], question: Question) -> dict[str, EncodedArray]:
    base64 = _media_type(question.accept) == BASE64
    return {name: encode(np.asarray(each), base64=base64) for name, each in arrays.items()}


def _convert(each: Any, kind: type[T], place: str) -> T:
    try:
        return msgspec.convert(each, kind)
    except msgspec.ValidationError as error:
        raise _invalid(place, str(error)) from error


def _check_name(place: str, name: str, known: Mapping[str, Any]) -> None:
    if name not in known:
        raise _invalid(f"{place}.{name}", f"there is no {name}; {did_you_mean(name, known)}")


def _check_shape(place: str, found: tuple[int, ...], shape: tuple[int, ...]) -> None:
    if found != shape:
        raise _invalid(place, f"has shape {found}, {shape} is needed")


def _invalid(place: str, message: str) -> QuestionError:
    """What a Tesseract says of wrong input: a place and a reason."""
    where = ["body", *place.split(".", 1)] if place != "body" else ["body"]
    return QuestionError(422, {"detail": [{"type": "value_error", "loc": where, "msg": message}]})
