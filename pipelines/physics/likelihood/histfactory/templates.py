"""The arrays that hold templates, and where each template of a workspace is in them.

Arrays: nominal (stretch, slot, lane), events; shift_lo and shift_hi (stretch, slot, k, lane), the
k-th histosys of a sample; norm_lo and norm_hi (normsys,), factors; shapesys (bin of one,) and
stat (bin of one, sample), absolute uncertainties of shapesys and staterror. Plain Python.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from diffpipe.pipelines.physics.likelihood.histfactory.layout import Layout
from diffpipe.pipelines.physics.likelihood.histfactory.workspace import (
    Channel,
    Modifier,
    Sample,
    Workspace,
)


class Template(NamedTuple):
    """The name of a template: nominal (no modifier), or of a modifier; side: "lo", "hi" or ""."""

    channel: str
    sample: str
    modifier: str = ""
    type: str = ""
    side: str = ""


class Place(NamedTuple):
    """The flat indices of a template's values in an array."""

    array: str
    at: Sequence[int]


class Templates(NamedTuple):
    """Shapes of the arrays; places and values of the templates."""

    shapes: Mapping[str, tuple[int, ...]]
    places: Mapping[Template, Place]
    values: Mapping[Template, Sequence[float]]


def templates(workspace: Workspace, grid: Layout) -> Templates:
    """All templates of a workspace on a grid of cells."""
    places: dict[Template, Place] = {}
    values: dict[Template, Sequence[float]] = {}
    shapes: dict[str, tuple[int, ...]] = {"nominal": (grid.stretches, grid.slots, grid.width)}
    for channel, sample in _samples(workspace):
        name = Template(channel.name, sample.name)
        places[name] = Place("nominal", grid.cells_of(channel.name, sample.name))
        values[name] = sample.data
    for part in (
        _shifts(workspace, grid),
        _norms(workspace),
        _shapes(workspace),
        _stats(workspace),
    ):
        places |= part.places
        values |= part.values
        shapes |= part.shapes
    return Templates(shapes, places, values)


def stat_bins(workspace: Workspace) -> dict[tuple[str, str], int]:
    """First parameter of each (staterror, channel), among those of all staterrors: the last ones.

    They are in the order of name and channel."""
    found: dict[tuple[str, str], int] = {}
    total = 0
    keys = {
        (modifier.name, channel.name): channel.bins
        for channel, _, modifier in workspace.located()
        if modifier.type == "staterror"
    }
    for key in sorted(keys):
        found[key] = total
        total += keys[key]
    return found


def _samples(workspace: Workspace) -> Iterator[tuple[Channel, Sample]]:
    return ((channel, sample) for channel in workspace.channels for sample in channel.samples)


def _of_type(workspace: Workspace, kind: str) -> list[tuple[Channel, Sample, Modifier]]:
    return [each for each in workspace.located() if each[2].type == kind]


def _shifts(workspace: Workspace, grid: Layout) -> Templates:
    places, values = {}, {}
    counted: dict[tuple[str, str], int] = {}
    found = _of_type(workspace, "histosys")
    for channel, sample, _ in found:
        key = channel.name, sample.name
        counted[key] = counted.get(key, 0) + 1
    most = max(counted.values(), default=0)
    for channel, sample, modifier in reversed(found):
        key = channel.name, sample.name
        counted[key] -= 1
        starts = [(row * most + counted[key]) * grid.width for row in grid.rows(*key)]
        at = grid.lanes(channel.name, starts)
        for side in ("lo", "hi"):
            name = Template(*key, modifier.name, "histosys", side)
            places[name] = Place(f"shift_{side}", at)
            values[name] = modifier.data[f"{side}_data"]
    shape = (grid.stretches, grid.slots, most, grid.width)
    return Templates({"shift_lo": shape, "shift_hi": shape}, places, values)


def _norms(workspace: Workspace) -> Templates:
    places, values = {}, {}
    found = _of_type(workspace, "normsys")
    for i, (channel, sample, modifier) in enumerate(found):
        for side in ("lo", "hi"):
            name = Template(channel.name, sample.name, modifier.name, "normsys", side)
            places[name] = Place(f"norm_{side}", [i])
            values[name] = [modifier.data[side]]
    return Templates({"norm_lo": (len(found),), "norm_hi": (len(found),)}, places, values)


def _shapes(workspace: Workspace) -> Templates:
    places, values = {}, {}
    total = 0
    for channel, sample, modifier in _of_type(workspace, "shapesys"):
        name = Template(channel.name, sample.name, modifier.name, "shapesys")
        places[name] = Place("shapesys", range(total, total + channel.bins))
        values[name] = modifier.data
        total += channel.bins
    return Templates({"shapesys": (total,)}, places, values)


def _stats(workspace: Workspace) -> Templates:
    places, values = {}, {}
    first = stat_bins(workspace)
    counted: dict[tuple[str, str], int] = {}
    found = _of_type(workspace, "staterror")
    slots: list[int] = []
    for channel, _, modifier in found:
        key = modifier.name, channel.name
        slots.append(counted.get(key, 0))
        counted[key] = slots[-1] + 1
    most = max(counted.values(), default=0)
    rows = sum({(m.name, c.name): c.bins for c, _, m in found}.values())
    for slot, (channel, sample, modifier) in zip(slots, found, strict=True):
        name = Template(channel.name, sample.name, modifier.name, "staterror")
        start = first[modifier.name, channel.name]
        at = range(start * most + slot, (start + channel.bins) * most + slot, most)
        places[name] = Place("stat", at)
        values[name] = modifier.data
    return Templates({"stat": (rows, most)}, places, values)
