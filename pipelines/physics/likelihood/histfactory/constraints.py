"""The constraint terms of a workspace as arrays: which data they have, and how wide they are.

Auxiliary data stand behind the bins, one for each constrained parameter, in the order of
parameters. Data and widths of shapesys, and widths of staterror, come from templates unless the
measurement sets them; so does whether their parameters are fixed. Each `<name>_from` says what
comes whence: an index into <name>, the values set here, followed by those that `derive` finds.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from diffpipe.pipelines.physics.likelihood.histfactory.layout import Layout
from diffpipe.pipelines.physics.likelihood.histfactory.parameters import ParameterSet
from diffpipe.pipelines.physics.likelihood.histfactory.templates import stat_bins
from diffpipe.pipelines.physics.likelihood.histfactory.workspace import Workspace

Arrays = dict[str, np.ndarray]


def arrays(workspace: Workspace, sets: Mapping[str, ParameterSet], grid: Layout) -> Arrays:
    """Arrays of the constraints; a is an auxiliary datum.

    aux_parameter (a,); aux (a,), the data; normal (a,), whether a constraint is normal, with sigma
    (a,), or Poisson, its rate having the factor tau (a,); where they have no meaning these are 1;
    fixed (n,). Then shapesys_cell (bin of one,) and stat_cell (bin of one, sample): the cells of
    the uncertainties.
    """
    constrained = [each for each in sets.values() if each.constraint]
    shapes = _starts(sets, "shapesys", 0)
    stats = _starts(sets, "staterror", sum(sets[name].size for name in shapes))
    return {
        **_source("aux", constrained, shapes, lambda each: each.auxdata),
        **_source("tau", constrained, shapes, _tau),
        **_source("sigma", constrained, _starts(sets, "staterror", 0), _sigma),
        **_source("fixed", list(sets.values()), shapes | stats, _fixed),
        "aux_parameter": np.array([i for each in constrained for i in each.indices], np.int32),
        "normal": np.array(
            [each.constraint == "normal" for each in constrained for _ in each.indices], bool
        ),
        "shapesys_cell": _shapesys_cells(workspace, grid),
        "stat_cell": _stat_cells(workspace, grid),
    }


def _starts(sets: Mapping[str, ParameterSet], kind: str, first: int) -> dict[str, int]:
    """Where the parameters of each set of a type begin, among those of the type."""
    found = {}
    for each in sets.values():
        if each.type == kind:
            found[each.name] = first
            first += each.size
    return found


def _source(
    name: str,
    sets: Sequence[ParameterSet],
    starts: Mapping[str, int],
    given: Callable[[ParameterSet], Sequence[float] | None],
) -> Arrays:
    """Values that are given, and where each comes from; `starts`: where else."""
    values: list[float] = []
    at: list[int] = []
    count = sum(each.size for each in sets)
    for each in sets:
        numbers = given(each)
        first = len(values) if numbers is not None else count + starts[each.name]
        at += range(first, first + each.size)
        values += numbers if numbers is not None else [1.0] * each.size
    return {name: np.array(values, np.float64), f"{name}_from": np.array(at, np.int32)}


def _tau(each: ParameterSet) -> Sequence[float] | None:
    return each.widths if each.constraint == "poisson" else [1.0] * each.size


def _sigma(each: ParameterSet) -> Sequence[float] | None:
    if each.constraint == "normal" and (each.widths or each.type == "staterror"):
        return each.widths
    return [1.0] * each.size


def _fixed(each: ParameterSet) -> Sequence[float] | None:
    return None if each.fixed is None else [float(each.fixed)] * each.size


def _shapesys_cells(workspace: Workspace, grid: Layout) -> np.ndarray:
    found = [
        cell
        for channel, sample, modifier in workspace.located()
        if modifier.type == "shapesys"
        for cell in grid.cells_of(channel.name, sample.name)
    ]
    return np.array(found, np.int32)


def _stat_cells(workspace: Workspace, grid: Layout) -> np.ndarray:
    """The cells whose contents a staterror adds up; those that are missing: one after the last."""
    first = stat_bins(workspace)
    rows: dict[int, list[int]] = {}
    for channel, sample, modifier in workspace.located():
        if modifier.type == "staterror":
            start = first[modifier.name, channel.name]
            for i, cell in enumerate(grid.cells_of(channel.name, sample.name)):
                rows.setdefault(start + i, []).append(cell)
    most = max(map(len, rows.values()), default=0)
    filled = [[*rows[i], *[grid.cells] * (most - len(rows[i]))] for i in range(len(rows))]
    return np.array(filled, np.int32).reshape(len(rows), most)
