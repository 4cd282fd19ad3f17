"""A component as a model of UM-Bridge, protocol 1.0 (Seelinger et al., JOSS 8 (2023) 4748).

One input vector for each parameter, in the order of the pipeline (arrays raveled row by row), and
one output vector, which has the objective.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar, final

import msgspec
import numpy as np

from diffpipe.pipelines.core.model import Value
from diffpipe.rules.serve.component import point
from diffpipe.rules.serve.server import Answering, Interface, Question, QuestionError

_SUPPORT = {"Evaluate": True, "Gradient": True, "ApplyJacobian": True, "ApplyHessian": False}
_TYPES = {400: "InvalidInput", 404: "UnsupportedFeature", 411: "InvalidInput"}
_FAILED = "ModelError"  # of the protocol's own types none is for a model that fails


class _Named(msgspec.Struct):
    name: str


class _Point(msgspec.Struct):
    input: list[list[float]]
    config: dict[str, Any] = {}


class _Pair(_Point, rename="camel", kw_only=True):
    out_wrt: int
    in_wrt: int


class _Sensitive(_Pair, kw_only=True):
    sens: list[float]


class _Along(_Pair, kw_only=True):
    vec: list[float]


Asked = TypeVar("Asked", bound=_Point)


@final
class Umbridge(Interface):
    """Answers what UM-Bridge asks of a model."""

    title: ClassVar[str] = "UM-Bridge"

    def places(self) -> Mapping[str, Answering]:
        return {
            "GET /Info": lambda _: {"protocolVersion": 1.0, "models": [self.component.name]},
            "POST /ModelInfo": self._named(lambda _: {"support": _SUPPORT}),
            "POST /InputSizes": self._named(lambda _: {"inputSizes": self._sizes}),
            "POST /OutputSizes": self._named(lambda _: {"outputSizes": [1]}),
            "POST /Evaluate": self._named(self._evaluate),
            "POST /Gradient": self._named(self._gradient),
            "POST /ApplyJacobian": self._named(self._apply_jacobian),
            "POST /ApplyHessian": self._named(self._unsupported),
        }

    def error(self, status: int, message: str) -> Any:
        return _error(_TYPES.get(status, _FAILED), message)

    @property
    def _sizes(self) -> list[int]:
        return [int(np.prod(shape)) for shape in self.component.shapes.values()]

    def _named(self, answering: Answering) -> Answering:
        """What answers if the question names this model."""

        def checked(question: Question) -> Any:
            name = msgspec.json.decode(question.body, type=_Named).name
            if name != self.component.name:
                text = f"there is no model {name!r}; there is {self.component.name!r}"
                raise QuestionError(400, _error("ModelNotFound", text))
            return answering(question)

        return checked

    def _evaluate(self, question: Question) -> Any:
        _, values = self._asked(question, _Point)
        return {"output": [[self.component.value(values)]]}

    def _gradient(self, question: Question) -> Any:
        asked, values = self._asked(question, _Sensitive)
        _check_size("sens", asked.sens, 1)
        slopes = self._slopes(asked, values)
        return {"output": (asked.sens[0] * slopes).tolist()}

    def _apply_jacobian(self, question: Question) -> Any:
        asked, values = self._asked(question, _Along)
        self._check_pair(asked)
        _check_size("vec", asked.vec, self._sizes[asked.in_wrt])
        return {"output": [float(self._slopes(asked, values) @ asked.vec)]}

    def _unsupported(self, question: Question) -> Any:
        del question
        raise QuestionError(400, _error("UnsupportedFeature", "second derivatives are not served"))

    def _slopes(self, asked: _Pair, values: Mapping[str, Value]) -> np.ndarray:
        self._check_pair(asked)
        name = self.component.names[asked.in_wrt]
        return np.ravel(self.component.gradient(values)[name])

    def _check_pair(self, asked: _Pair) -> None:
        counts = ("outWrt", asked.out_wrt, 1), ("inWrt", asked.in_wrt, len(self.component.names))
        for what, index, count in counts:
            if not 0 <= index < count:
                raise _invalid(f"{what} is {index}, not in 0..{count - 1}")

    def _asked(self, question: Question, kind: type[Asked]) -> tuple[Asked, dict[str, Value]]:
        """What is asked, and the point that its input vectors are."""
        asked = msgspec.json.decode(question.body, type=kind)
        if asked.config:
            raise _invalid(f"config has {', '.join(asked.config)}; this model knows none")
        shapes = self.component.shapes
        if len(asked.input) != len(shapes):
            raise _invalid(f"there are {len(shapes)} input vectors, not {len(asked.input)}")
        values: dict[str, Value] = {}
        for vector, (name, shape) in zip(asked.input, shapes.items(), strict=True):
            _check_size(f"the input vector of {name}", vector, int(np.prod(shape)))
            values[name] = point(np.reshape(vector, shape))
        return asked, values


def _check_size(what: str, vector: list[float], size: int) -> None:
    if len(vector) != size:
        raise _invalid(f"{what} has {size} components, not {len(vector)}")


def _invalid(message: str) -> QuestionError:
    return QuestionError(400, _error("InvalidInput", message))


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"error": {"type": kind, "message": message}}
