"""Jacobians: outputs by parameters and arrays, forward, reverse, or forward below a cut only.

A cut is a set of outputs, few numbers, that everything passes on its way from what derivatives are
taken in to what they are taken of. Cotangents of the cut go up, tangents of the cut go down, and

    dy/dp = (dy/dc) (dc/dp) + (dy/dp below the cut)

is put together when it is read.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from diffpipe.cache.errors import UsageError
from diffpipe.pipelines.core import graph
from diffpipe.pipelines.core.chain import Chain
from diffpipe.pipelines.core.derivatives import active_stages
from diffpipe.pipelines.core.joins import is_per_event
from diffpipe.pipelines.core.model import OutputRef, Pipeline
from diffpipe.pipelines.core.steps import Source
from diffpipe.pipelines.core.sweeps import directions
from diffpipe.pipelines.core.sweeps.backward import Backward, ChoosePullback
from diffpipe.pipelines.core.sweeps.directions import Directions
from diffpipe.pipelines.core.sweeps.starts import Starts
from diffpipe.pipelines.core.sweeps.tangents import Tangents
from diffpipe.pipelines.core.sweeps.wrt import Wrt, is_event_array, of_output

Mode = Literal["forward", "reverse", "mixed"]
Shapes = Mapping[OutputRef, tuple[int, ...]]
_MOST_BYTES = 4 << 30


class Axis(msgspec.Struct, frozen=True):
    """Outputs, or what they are derived in: so many rows or columns."""

    name: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)


class Pushed(msgspec.Struct, frozen=True):
    """The tangents of an output, and the numbers of the directions that they are along."""

    source: Source
    numbers: list[int]


class Jacobian(msgspec.Struct, frozen=True):
    """Where the parts of a Jacobian are.

    Directions of pushed tangents are the components of the columns named in `direct`, then those
    of the cut; rows of pulled gradients are the components of the cut, or of the rows.
    """

    mode: Mode
    rows: list[Axis]
    columns: list[Axis]
    cut: list[Axis]
    direct: list[str]
    pushed: dict[str, Pushed]
    pulled: dict[str, list[Source]]


def add(
    chain: Chain, rows: Shapes, wrt: Wrt, mode: Mode, cut: Shapes, choose: ChoosePullback
) -> Jacobian:
    """Add the steps of a Jacobian to a chain; cut: of a mixed one. Raises UsageError."""
    pipeline = chain.pipeline
    columns = [Axis(name, directions.shape(pipeline.parameters[name])) for name in wrt.parameters]
    axes = [Axis(str(ref), shape) for ref, shape in rows.items()]
    _check_size(sum(each.size for each in axes), sum(each.size for each in columns))
    direct: list[str] = []
    pushed: dict[str, Pushed] = {}
    pulled: dict[str, list[Source]] = {}
    if mode == "reverse":
        pulled = Backward(chain, Starts.components(rows), wrt, choose).add()
    else:
        direct = wrt.parameters if mode == "forward" else below(pipeline, rows, wrt, cut)
        start = directions.unit_vectors(pipeline, direct)
        arrays = {str(ref): (of_output(pipeline, ref), shape) for ref, shape in cut.items()}
        pushed = _push(chain, list(rows), directions.with_arrays(start, arrays))
        if mode == "mixed":
            pulled = Backward(chain, Starts.components(cut), wrt, choose).add()
    return Jacobian(
        mode=mode,
        rows=axes,
        columns=columns,
        cut=[Axis(str(ref), shape) for ref, shape in cut.items()],
        direct=list(direct),
        pushed=pushed,
        pulled=pulled,
    )


def _push(chain: Chain, of: list[OutputRef], wanted: Directions) -> dict[str, Pushed]:
    tangents = Tangents(chain, wanted)
    found = tangents.add(of)
    return {str(ref): Pushed(source, tangents.reached[ref.stage]) for ref, source in found.items()}


def cuts(pipeline: Pipeline, of: list[OutputRef], wrt: Wrt) -> Iterator[list[OutputRef]]:
    """The cuts that there are: all that passes from the first stages to the others."""
    active = active_stages(pipeline, set(wrt.parameters))
    ends = {ref.stage for ref in of}
    order = [n for n in pipeline.stages if n in ends | graph.above_all(pipeline, ends)]
    seen: set[tuple[OutputRef, ...]] = set()
    for k in range(1, len(order)):
        crossing = _crossing(pipeline, set(order[:k]), order[k:], active)
        below_all = not ends & set(order[:k])
        if crossing and below_all and crossing not in seen:
            seen.add(crossing)
            if not any(is_per_event(pipeline.stages, ref) for ref in crossing):
                yield list(crossing)


def below(pipeline: Pipeline, of: Shapes, wrt: Wrt, cut: Shapes) -> list[str]:
    """The parameters that outputs depend on otherwise than through a cut."""
    stages = _below(pipeline, {ref.stage for ref in of}, set(cut))
    own = {name for stage in stages for name in pipeline.stages[stage].parameters.values()}
    return [name for name in wrt.parameters if name in own]


def _below(pipeline: Pipeline, ends: set[str], cut: set[OutputRef]) -> set[str]:
    """The stages that are reached from the ends without passing a cut."""
    found = set(ends)
    for stage in reversed(list(pipeline.stages.values())):
        if stage.name in found:
            found |= {ref.stage for _, ref in stage.output_inputs() if ref not in cut}
    return found


def _crossing(
    pipeline: Pipeline, upper: set[str], lower: list[str], active: set[str]
) -> tuple[OutputRef, ...]:
    """The outputs of the upper stages that move and that the lower ones read."""
    found = [
        ref
        for name in lower
        for _, ref in pipeline.stages[name].output_inputs()
        if ref.stage in upper & active
        and not pipeline.stages[ref.stage].output(ref.output).constant
    ]
    return tuple(dict.fromkeys(found))


def _check_size(rows: int, columns: int) -> None:
    nbytes = 8 * rows * columns
    if nbytes > _MOST_BYTES:
        raise UsageError(
            f"the Jacobian has {rows} x {columns} numbers, {nbytes / 1e9:.1f} GB: over "
            f"{_MOST_BYTES / 1e9:.1f} GB it is not put together",
            hint="name fewer parameters with --wrt or fewer outputs with --of; for a product with "
            "it run tangent, or run backward --cotangent",
        )


def check_columns(pipeline: Pipeline, wrt: Wrt) -> None:
    """Refuse a Jacobian in arrays: its size is that of a backward sweep for each row."""
    if wrt.arrays:
        name = next(iter(wrt.arrays))
        rows = "one row per event, " if is_event_array(pipeline, wrt, name) else ""
        raise UsageError(
            f"--wrt {name}: a Jacobian is taken in parameters ({name} has {rows}no parameter)",
            hint="diffpipe run backward --wrt stage.input gives the derivatives of one output",
        )
