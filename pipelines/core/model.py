"""The pipeline as frozen values: what `assemble` makes of a file, and everything else reads.

A pipeline within a pipeline is already unfolded here: its parts carry names `stage.name`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from diffpipe.pipelines.core.resources import Resources
from diffpipe.pipelines.core.targets import Program, Service

Value = float | tuple[Any, ...]  # a number, or nested tuples of numbers


class Over(StrEnum):
    """How often a stage runs."""

    EVENTS = "events"
    ONCE = "once"


class Checkpoint(StrEnum):
    """What the forward sweep keeps for a stage's pullback; auto: as a plan decides by measure."""

    RECOMPUTE = "recompute"
    RESIDUALS = "residuals"
    AUTO = "auto"


class Derivative(StrEnum):
    """How a stage is differentiated.

    exact: by its framework. finite-difference: by calling it again. none: a gradient that would
    pass through it is refused. stop: no gradient passes through it, as if it were constant.
    """

    EXACT = "exact"
    DIFFERENCES = "finite-difference"
    NONE = "none"
    STOP = "stop"


@dataclass(frozen=True)
class Parameter:
    """A named float64 scalar or array that gradients are taken with respect to.

    fit, bounds and prior are for fits, and change nothing that is stored.
    """

    name: str
    value: Value
    unit: str = "1"
    fit: bool = False
    bounds: tuple[float, float] | None = None
    prior: tuple[Value, float] | None = None  # mean and width of a Gaussian; of each component


@dataclass(frozen=True)
class Function:
    """Python code by name: a module, a function in it, and the folder it may be imported from."""

    module: str
    name: str
    folder: Path | None = None

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"


@dataclass(frozen=True)
class Dataset:
    """A file read once by a named reader; it has no cotangent."""

    name: str
    reader: Function
    files: Mapping[str, Path]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Sample:
    """Events of one source: how many, and how they are cut into shards.

    block: over how many consecutive shards sums are added up before they are stored.
    """

    count: int
    shard: int
    seed: int | None
    block: int = 1

    @property
    def shards(self) -> int:
        return -(-self.count // self.shard)

    def rows(self, shard: int) -> tuple[int, int]:
        """The first event of a shard, and the one after its last."""
        return shard * self.shard, min((shard + 1) * self.shard, self.count)


@dataclass(frozen=True)
class OutputRef:
    """An input that is another stage's output."""

    stage: str
    output: str

    def __str__(self) -> str:
        return f"{self.stage}.{self.output}"


@dataclass(frozen=True)
class DataRef:
    """An input that is a dataset, or one column of it."""

    dataset: str
    column: str | None

    def __str__(self) -> str:
        return f"data.{self.dataset}" + (f".{self.column}" if self.column else "")


Ref = OutputRef | DataRef


@dataclass(frozen=True)
class Output:
    """What a pipeline file declares of an output.

    sum: added up over the shards. constant: depends on no parameter, so no cotangent is taken
    (checked against the stage's code).
    """

    unit: str = "1"
    sum: bool = False
    constant: bool = False
    shape: tuple[int, ...] | None = None
    dtype: str | None = None


@dataclass(frozen=True)
class Stage:
    """One pure function and its place in the pipeline.

    An event source is a stage without inputs whose `sample` is its own; it alone may read files.
    packages: folders of code that options name; files: what else the key has the content of.
    """

    name: str
    function: Function | Program | Service
    over: Over
    inputs: Mapping[str, Ref] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)  # local name -> pipeline's name
    outputs: Mapping[str, Output] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: Checkpoint = Checkpoint.RECOMPUTE
    framework: str = "jax"
    derivative: Derivative = Derivative.EXACT
    steps: Mapping[str, float] = field(default_factory=dict)  # of differences: local name -> step
    has_jvp: bool = True
    resources: Resources = field(default_factory=Resources)
    sample: Sample | None = None
    source: bool = False
    files: Mapping[str, Path] = field(default_factory=dict)
    packages: Mapping[str, Path] = field(default_factory=dict)

    def output(self, name: str) -> Output:
        """The declaration of an output; the default where the file has none."""
        return self.outputs.get(name, Output())

    def is_summed(self, name: str) -> bool:
        return self.over is Over.EVENTS and self.output(name).sum

    @property
    def has_sums(self) -> bool:
        return any(self.is_summed(name) for name in self.outputs)

    @property
    def block(self) -> int:
        return self.sample.block if self.over is Over.EVENTS and self.sample else 1

    @property
    def slots(self) -> int:
        return self.sample.shards if self.over is Over.EVENTS and self.sample else 1

    def output_inputs(self) -> Iterable[tuple[str, OutputRef]]:
        """The inputs that come from other stages, in order."""
        return ((name, ref) for name, ref in self.inputs.items() if isinstance(ref, OutputRef))


@dataclass(frozen=True)
class Pipeline:
    """Parameters, data and stages (in an order in which they can run), and the objective."""

    name: str
    parameters: Mapping[str, Parameter]
    data: Mapping[str, Dataset]
    stages: Mapping[str, Stage]
    objective: OutputRef | None
    path: Path
    description: str = ""
