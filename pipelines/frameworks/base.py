"""The contract between the runner and the ways to run a stage."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from diffpipe.cache.errors import PipelineError
from diffpipe.pipelines.core.steps import Call

Arrays = Mapping[str, Any]  # name -> array; a whole dataset is a mapping of its columns
Both = tuple[Arrays, Arrays]  # of parameters, and of inputs


@dataclass(frozen=True)
class Abstract:
    """An array without its values."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def is_differentiable(self) -> bool:
        return self.dtype in ("float64", "complex128")


@dataclass(frozen=True)
class Pull:
    """What a pullback is taken of and with respect to, by local names.

    rows: how many events the shard has; event_inputs, event_outputs: those with one row per event.
    count: how many cotangents at once (None: one). In arrays with events they come behind these,
    in all others in front.
    """

    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    rows: int = 1
    event_inputs: frozenset[str] = frozenset()
    event_outputs: frozenset[str] = frozenset()
    count: int | None = None

    @property
    def each(self) -> "Pull":
        """The pullback of one of many cotangents."""
        return replace(self, count=None)

    def axis(self, array: str) -> int:
        """Where an array of the pullback has the cotangents."""
        return int(array.removeprefix("error.").removeprefix("cotangent.") in self.event_inputs)


@dataclass(frozen=True)
class Push:
    """What is pushed forward along many directions at once: parameters and inputs that move.

    Parameters have a tangent with a row for each direction; inputs: local name -> the directions
    that its tangent has, one row each. event_inputs, event_outputs: those with one row per event,
    of which the tangents have the directions behind the events; all others have them in front.
    """

    count: int
    outputs: tuple[str, ...]
    parameters: tuple[str, ...]
    inputs: tuple[tuple[str, tuple[int, ...]], ...]
    event_inputs: frozenset[str]
    event_outputs: frozenset[str]


class Framework(ABC):
    """Runs stages of one framework; states nothing, writes nothing.

    Shapes never depend on values. Pullbacks give the arrays `cotangent.<input>` and
    `gradient.<parameter>`; integer inputs have none.
    """

    @abstractmethod
    def describe(
        self, call: Call, rows: int, parameters: Arrays, inputs: Arrays
    ) -> dict[str, Abstract]:
        """The outputs for abstract inputs of so many events; raises PipelineError, StageError."""

    @abstractmethod
    def forward(self, call: Call, parameters: Arrays, inputs: Arrays) -> Arrays:
        """The outputs."""

    @abstractmethod
    def pullback(
        self, call: Call, pull: Pull, parameters: Arrays, inputs: Arrays, cotangents: Arrays
    ) -> Arrays:
        """The VJP, recomputing what it needs from the inputs."""

    @abstractmethod
    def pushforward(
        self, call: Call, push: Push, parameters: Arrays, inputs: Arrays, tangents: Both
    ) -> Arrays:
        """The JVP along all directions: `tangent.<output>` of every differentiable output."""

    def pullbacks(
        self, call: Call, pull: Pull, parameters: Arrays, inputs: Arrays, cotangents: Arrays
    ) -> Arrays:
        """The VJPs of many cotangents: one by one, where a framework has no better way."""
        assert pull.count is not None
        rows = [
            self.pullback(call, pull.each, parameters, inputs, row_of(pull, k, cotangents))
            for k in range(pull.count)
        ]
        return {
            name: np.stack([np.asarray(row[name]) for row in rows], axis=pull.axis(name))
            for name in rows[0]
        }

    def bend(
        self, call: Call, pull: Pull, push: Push, given: Both, tangents: Both, cotangents: Both
    ) -> Arrays:
        """The tangents of a VJP's arrays along all directions: forward over reverse.

        given: parameters and inputs; cotangents: of the outputs, and the tangents of those that
        move, one row per direction. Raises PipelineError where there are no second derivatives.
        """
        del pull, push, given, tangents, cotangents
        text = f"stage {call.stage}: {call.framework} has no second derivatives"
        raise PipelineError(text, stage=call.stage)


def row_of(pull: Pull, number: int, cotangents: Arrays) -> Arrays:
    """One of many cotangents."""
    return {
        name: np.take(each, number, axis=int(name in pull.event_outputs))
        for name, each in cotangents.items()
    }


class TracingFramework(Framework):
    """A framework that sees a stage's every operation: it keeps residuals."""

    @abstractmethod
    def depends(self, call: Call, parameters: Arrays, inputs: Arrays) -> set[str]:
        """The outputs that are computed from a parameter or an input (or may be)."""

    @abstractmethod
    def curvature(
        self, call: Call, push: Push, parameters: Arrays, inputs: Arrays, tangents: Both
    ) -> Arrays:
        """`gradient` (k,) and `curvature` (k, k) of a scalar output along the directions."""

    @abstractmethod
    def describe_residuals(
        self, call: Call, parameters: Arrays, inputs: Arrays
    ) -> dict[str, Abstract]:
        """What `forward_keeping` keeps: one flat array per dtype."""

    @abstractmethod
    def forward_keeping(
        self, call: Call, parameters: Arrays, inputs: Arrays
    ) -> tuple[Arrays, Arrays]:
        """The outputs, and the residuals that `pullback_from` needs beside the inputs."""

    @abstractmethod
    def pullback_from(
        self,
        call: Call,
        pull: Pull,
        parameters: Arrays,
        inputs: Arrays,
        cotangents: Arrays,
        residuals: Arrays,
    ) -> Arrays:
        """The VJP from stored residuals, without a second forward pass."""
