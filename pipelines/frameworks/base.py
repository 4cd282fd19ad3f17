"""The contract between the runner and the ways to run a stage."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diffpipe.pipelines.core.steps import Call

Arrays = Mapping[str, Any]  # name -> array; a whole dataset is a mapping of its columns


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

    rows: how many events the shard has; event_inputs: those with one row per event.
    """

    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    rows: int = 1
    event_inputs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Push:
    """What is pushed forward: directions, unit vectors of parameters, all in one.

    seeds: (local parameter, component, direction); inputs: local name -> the directions that its
    tangent has, one row each. event_inputs, event_outputs: those with one row per event, of which
    the tangents have the directions behind the events; all others have them in front.
    """

    count: int
    outputs: tuple[str, ...]
    seeds: tuple[tuple[str, int, int], ...]
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
        self, call: Call, push: Push, parameters: Arrays, inputs: Arrays, tangents: Arrays
    ) -> Arrays:
        """The JVP along all directions: `tangent.<output>` of every differentiable output."""


class TracingFramework(Framework):
    """A framework that sees a stage's every operation: it keeps residuals, and bends."""

    @abstractmethod
    def depends(self, call: Call, parameters: Arrays, inputs: Arrays) -> set[str]:
        """The outputs that are computed from a parameter or an input (or may be)."""

    @abstractmethod
    def curvature(
        self, call: Call, push: Push, parameters: Arrays, inputs: Arrays, tangents: Arrays
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
