"""A workspace as named arrays: nothing of it is code, so one traced function serves them all.

Three kinds: templates (`templates.py`); settings of parameters and constraints (`constraints.py`);
and index tables, int32, into the model's vector of values (`Values`), padded to rows of one length:

    row_factors (stretch, slot, k)         factors of a sample
    row_norms (stretch, slot, k)           logarithms of factors of a sample
    cell_factors (stretch, slot, lane, k)  factors of a cell
    shift_value (stretch, slot, k)         odd, then even, of the parameter of each histosys
    norm_parameter (normsys,)              parameter of each normsys
    bin (bin,)                             where each bin's sum over samples is in (stretch, lane)
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from diffpipe.pipelines.physics.likelihood.histfactory import constraints, derive, interpolation
from diffpipe.pipelines.physics.likelihood.histfactory.layout import Layout, layout
from diffpipe.pipelines.physics.likelihood.histfactory.parameters import (
    PER_BIN,
    ParameterSet,
    parameter_sets,
)
from diffpipe.pipelines.physics.likelihood.histfactory.templates import (
    Templates,
    stat_bins,
    templates,
)
from diffpipe.pipelines.physics.likelihood.histfactory.workspace import Workspace

Arrays = dict[str, np.ndarray]


class Compiled(NamedTuple):
    """A workspace ready to be evaluated.

    tables: what `model.log_likelihood` takes; names (n,) of the parameters as pyhf's; poi: index
    of the parameter of interest, None where the workspace does not declare it; sets: the parameter
    sets by name; arrays: what the tables are derived from; bins: main bins, before auxiliary data.
    """

    tables: Mapping[str, np.ndarray]
    names: Sequence[str]
    poi: int | None
    sets: Mapping[str, ParameterSet]
    arrays: Mapping[str, np.ndarray]
    bins: int


def compile(workspace: Workspace, *, histosys: str = "code4p", normsys: str = "code4") -> Compiled:
    """The arrays and tables of a workspace.

    histosys, normsys: interpolation codes in `interpolation.SHIFTS` and `interpolation.FACTORS`.
    Raises RefusedError for parameter sets that cannot be.
    """
    sets = parameter_sets(workspace)
    grid = layout(workspace)
    arrays = _filled(templates(workspace, grid))
    arrays |= _indices(workspace, sets, grid)
    arrays |= constraints.arrays(workspace, sets, grid)
    arrays |= {
        "shift_code": np.array(interpolation.SHIFTS[histosys], np.int32),
        "norm_alpha_0": np.array(interpolation.FACTORS[normsys]),
        "observed": _floats(channel.observed for channel in workspace.channels),
        "init": _floats(each.inits for each in sets.values()),
        "lower": np.array([low for each in sets.values() for low, _ in each.bounds], np.float64),
        "upper": np.array([high for each in sets.values() for _, high in each.bounds], np.float64),
    }
    names = [name for each in sets.values() for name in each.names]
    poi = sets.get(workspace.poi)
    return Compiled(
        derive.tables(arrays, np),
        names,
        poi.first if poi is not None and poi.size == 1 else None,
        sets,
        arrays,
        len(arrays["observed"]),
    )


def _filled(found: Templates) -> Arrays:
    """The arrays of templates."""
    arrays = {name: np.zeros(shape) for name, shape in found.shapes.items()}
    for name, array in arrays.items():
        keys = [key for key, place in found.places.items() if place.array == name]
        at = np.fromiter(chain.from_iterable(found.places[key].at for key in keys), np.int64)
        array.flat[at] = _floats(found.values[key] for key in keys)
    return arrays


def _floats(parts: Iterable[Sequence[float]]) -> np.ndarray:
    return np.fromiter(chain.from_iterable(parts), np.float64)


class Values(NamedTuple):
    """Where the model's numbers are in one vector: theta, 1, 0, odd, even, log factors."""

    parameters: int

    @property
    def one(self) -> int:
        return self.parameters

    @property
    def zero(self) -> int:
        return self.parameters + 1

    def odd(self, parameter: int) -> int:
        return self.parameters + 2 + parameter

    def even(self, parameter: int) -> int:
        return 2 * self.parameters + 2 + parameter

    def norm(self, number: int) -> int:
        return 3 * self.parameters + 2 + number


def _indices(workspace: Workspace, sets: Mapping[str, ParameterSet], grid: Layout) -> Arrays:
    """What acts where."""
    values = Values(sum(each.size for each in sets.values()))
    rows = grid.stretches * grid.slots
    empty: list[list[list[int]]] = [[[] for _ in range(rows)] for _ in range(4)]
    factors, norms, odd, even = empty
    norm_parameter: list[int] = []
    for channel, sample, modifier in workspace.located():
        first = sets[modifier.name].first
        for row in grid.rows(channel.name, sample.name):
            if modifier.type == "histosys":
                odd[row].append(values.odd(first))
                even[row].append(values.even(first))
            elif modifier.type == "normsys":
                norms[row].append(values.norm(len(norm_parameter)))
            elif modifier.type in ("lumi", "normfactor"):
                factors[row].append(first)
        if modifier.type == "normsys":
            norm_parameter.append(first)
    shape = (grid.stretches, grid.slots, -1)
    sums = [grid.sums_of(channel.name) for channel in workspace.channels]
    shifts = [_padded(each, values.zero) for each in (odd, even)]
    return {
        "row_factors": _padded(factors, values.one).reshape(shape),
        "row_norms": _padded(norms, values.zero).reshape(shape),
        "cell_factors": _cell_factors(workspace, sets, grid, values),
        "shift_value": np.concatenate(shifts, axis=1).reshape(shape),
        "norm_parameter": np.array(norm_parameter, np.int32),
        "bin": np.fromiter(chain.from_iterable(sums), np.int32),
    }


def _cell_factors(
    workspace: Workspace, sets: Mapping[str, ParameterSet], grid: Layout, values: Values
) -> np.ndarray:
    cells: list[list[int]] = [[] for _ in range(grid.cells)]
    stats = stat_bins(workspace)
    first_stat = values.parameters - sum(
        each.size for each in sets.values() if each.type == "staterror"
    )
    for channel, sample, modifier in workspace.located():
        if modifier.type in PER_BIN:
            start = sets[modifier.name].first
            if modifier.type == "staterror":
                start = first_stat + stats[modifier.name, channel.name]
            for bin_, cell in enumerate(grid.cells_of(channel.name, sample.name)):
                cells[cell].append(start + bin_)
    return _padded(cells, values.one).reshape(grid.stretches, grid.slots, grid.width, -1)


def _padded(rows: Sequence[Sequence[int]], filling: int) -> np.ndarray:
    """Rows of one length (row, k)."""
    most = max(map(len, rows))
    if most == 0:
        return np.zeros((len(rows), 0), np.int32)
    return np.array([[*row, *[filling] * (most - len(row))] for row in rows], np.int32)
