"""Steps: the units of work of a run. Each makes one artefact, slot by slot.

    primal     a stage applied to its inputs, once or per shard (with residuals, if stored)
    pullback   a stage's VJP applied to the cotangents of its outputs, one or many at once
    tangent    a stage's JVP along directions of parameters or inputs, all in one
    bend       the tangents of a pullback along directions: forward over reverse
    curvature  gradient and Hessian of the objective's stage along its inputs' tangents
    reduction  the sum over shards of what a step gives per shard: sums, their tangents, partials

Steps are frozen into the plan as JSON; a worker needs nothing else to compute one.
"""

import math
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from diffpipe.pipelines.core.resources import Resources
from diffpipe.pipelines.core.targets import Program, Service

Kind = Literal["primal", "pullback", "tangent", "bend", "curvature", "reduction"]


class Code(msgspec.Struct, frozen=True, tag="function"):
    """A function by name (see `functions`)."""

    module: str
    name: str
    folder: str | None


class Source(msgspec.Struct, frozen=True, tag="array"):
    """Where an array is read: an array of an artefact that a step makes.

    slot: the same shard as the reader's; else the whole of a once-artefact.
    """

    step: str
    key: str
    array: str
    slot: bool


class DataSource(msgspec.Struct, frozen=True, tag="data"):
    """Where data is read: files, their reader, and the column asked for (None: all of them)."""

    reader: Code
    files: dict[str, str]
    options: dict[str, Any]
    column: str | None


class Call(msgspec.Struct, frozen=True):
    """A stage's function with all that it is given by the pipeline file.

    steps: where its derivatives are finite differences, local name -> step; None: they are exact.
    """

    stage: str
    code: Code | Program | Service
    framework: str
    options: dict[str, Any]
    parameters: dict[str, Any]
    source: bool
    summed: list[str]
    constant: list[str]
    units: dict[str, str]
    declared: dict[str, Any]
    parameter_units: dict[str, str]
    sample: tuple[int, int, int | None] | None  # count, shard, seed
    files: dict[str, str] = {}
    steps: dict[str, float] | None = None

    def is_per_event(self, output: str) -> bool:
        """Whether an output has one row per event."""
        return self.sample is not None and output not in self.summed

    def rows(self, shard: int) -> int:
        """How many events a shard has; one where the stage runs once."""
        if self.sample is None:
            return 1
        count, size, _ = self.sample
        return min(size, count - shard * size)


class Along(msgspec.Struct, frozen=True):
    """The directions that a stage is pushed along, numbered from zero.

    Its own parameters have seeds (local name, component, direction, how far); an input moves in
    those directions that reached it: their numbers here, in the order in which its tangent has
    them. units: inputs whose components are directions themselves, from this number on, and which
    move in no others.
    """

    count: int
    outputs: list[str]
    seeds: list[tuple[str, int, int, float]]
    sources: dict[str, Source]
    numbers: dict[str, list[int]]
    units: dict[str, int] = {}


class Units(msgspec.Struct, frozen=True, tag="units"):
    """Cotangents of an output, one for each component: a 1 each, in rows from `first` on."""

    first: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def ingredients(self) -> list[Any]:
        return ["units", self.first, list(self.shape)]


class Given(msgspec.Struct, frozen=True, tag="given"):
    """The cotangent of an output, an array in a file; digest: of its dtype, shape and values."""

    path: str
    array: str
    digest: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def ingredients(self) -> list[Any]:
        return ["given", self.digest]


class Step(msgspec.Struct, frozen=True):
    """One artefact to make, and what making it reads."""

    id: str
    kind: Kind
    stage: str
    key: str
    slots: int
    over: Literal["events", "once"]
    framework: str
    ingredients: dict[str, Any]
    call: Call | None = None
    inputs: dict[str, Source | DataSource] = {}
    residuals: str | None = None  # of a primal: the key of what its pullback will be given
    saved: Source | None = None  # of a pullback: where those residuals are
    cotangents: dict[str, list[Source]] = {}  # output -> what is added up; [] is the objective's 1
    seeds: dict[str, Units | Given] = {}  # output -> what is added to it, where a sweep starts
    count: int | None = None  # how many cotangents at once; None: one, without an axis for them
    active_inputs: list[str] = []
    active_parameters: list[str] = []
    along: Along | None = None  # of a tangent, a bend or a curvature
    bends: dict[str, list[Source]] = {}  # of a bend: output -> tangents of its cotangents, added up
    of: Source | None = None
    block: int = 1  # over how many shards its sums are added up before they are stored
    platform: str = "cpu"
    resources: Resources = Resources()

    def reads(self) -> Iterator[Source]:
        """Everything that must be there before a slot of this step can be computed."""
        yield from (source for source in (self.of, self.saved) if source is not None)
        for source in self.inputs.values():
            if isinstance(source, Source):
                yield source
        for sources in (*self.cotangents.values(), *self.bends.values()):
            yield from sources
        if self.along is not None:
            yield from self.along.sources.values()


def cotangent_array(name: str) -> str:
    """The array of a pullback that holds the cotangent of an input."""
    return f"cotangent.{name}"


def gradient_array(name: str) -> str:
    """The array of a pullback that holds the gradient (or its partials) of a parameter."""
    return f"gradient.{name}"


def error_array(array: str) -> str:
    """The array beside one of a pullback by finite differences that estimates its error."""
    return f"error.{array}"


def tangent_array(name: str) -> str:
    """The array that holds the tangents of an array (of a bend: of a cotangent or a gradient).

    Directions come first; in a per-event array they come after the event.
    """
    return f"tangent.{name}"


def primal_id(stage: str) -> str:
    """The step of a stage's primal."""
    return f"{stage}:primal"


def pullback_id(stage: str) -> str:
    """The step of a stage's pullback."""
    return f"{stage}:pullback"


def tangent_id(stage: str) -> str:
    """The step of a stage's tangents."""
    return f"{stage}:tangent"


def bend_id(stage: str) -> str:
    """The step of the tangents of a stage's pullback."""
    return f"{stage}:bend"


def reduction_id(summed: str) -> str:
    """The step of the sum over a step's shards."""
    return f"{summed}:sum"
